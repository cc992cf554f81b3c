"""What the probe shows of the reference: read once, then kept for the process.

Live measurements and later stages ask for the same. Per sample the layers are kept ready to be compared
(`core.analysis.streaming.prepare`), per sequence their states, since which tokens are sinks depends on both
networks. For second opinions the pooled states are kept too, and what its next-token distributions are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
from torch import Tensor

from core.analysis.cka import Prepared
from core.analysis.streaming import GRAM_BYTES, prepare
from core.data.example import Example
from core.distill.head import Head
from core.errors import UserError
from core.lm.activations import layer_names
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model, load_tokenizer
from core.recipe.stage_specs import CkaSettings
from core.stages.context import StageContext
from core.stages.next_token import host_head
from core.stages.probe import Inputs, Layers, Prompt, inputs_of, per_item, read, read_pooled
from core.stages.scored import scored_items

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MEMORY_SHARE = 0.5
"""Share of the free host memory that what is kept of the networks may take."""

FLOAT32 = 4

OnRead = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Reference:
    """What was read of the reference.

    Attributes:
        inputs: what was fed.
        names: of the layers.
        prepared: per sample: the layers, ready to be compared; else None.
        features: per sample with second opinions: the states themselves; else empty.
        sequences: per sequence: the states of each.
        ahead: per sample with second opinions: what enters its head at the items' last prompt tokens (n, d).
        head: with second opinions: its output head.
    """

    inputs: Inputs
    names: tuple[str, ...]
    prepared: Prepared | None = None
    features: Layers | None = None
    sequences: tuple[Layers, ...] = ()
    ahead: Tensor | None = None
    head: Head | None = None


class _Kept:
    """The last reference read in this process, with everything that decides what was read."""

    key: tuple[Any, ...] | None = None
    reference: Reference | None = None


def reference_of(
    settings: CkaSettings,
    context: StageContext,
    on_start: OnRead = lambda count: None,
    on_read: OnRead = lambda count: None,
) -> Reference:
    """What the probe shows of the reference: read now, or kept from an earlier measurement.

    Args:
        settings: of the measurement; `reference` names a finished checkpoint.
        context: of the stage that measures.
        on_start: told the number of items when they have to be read.
        on_read: told the number of items of each batch read.

    Raises:
        UserError: the probe does not suit, or its states would not fit into memory.
    """
    checkpoint = context.checkpoint_of(settings.reference)
    dataset = context.datasets(settings.probe)
    scored = _Scored.of(context) if settings.disjoint else _Scored()
    names = sorted(set(CkaSettings.model_fields) - {"reference", "probe", "layout", "drop_sinks"})
    key = (
        checkpoint.identity,
        dataset.fingerprint,
        scored.key,
        *(getattr(settings, name) for name in names),
        str(context.compute.device),
        context.compute.dtype_name,
    )
    if _Kept.reference is not None and _Kept.key == key:
        return _Kept.reference
    forget_reference()
    inputs = inputs_of(settings, dataset, load_tokenizer(checkpoint), scored.prompts())
    on_start(len(inputs.sequences))
    reference = _read_reference(settings, checkpoint, inputs, context, on_read)
    _Kept.key, _Kept.reference = key, reference
    return reference


def forget_reference() -> None:
    """Free what is kept of the last reference."""
    _Kept.key = _Kept.reference = None


@dataclass(frozen=True)
class _Scored:
    """The items that tasks score, a tuple a task."""

    items: tuple[tuple[Example, ...], ...] = ()
    key: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, context: StageContext) -> _Scored:
        """Those of all tasks of the recipe."""
        tasks = scored_items(context)
        facts = sorted((task.fingerprint, len(task.examples)) for task in tasks)
        return cls(tuple(task.examples for task in tasks), tuple(facts))

    def prompts(self) -> frozenset[Prompt]:
        """Their messages."""
        return frozenset(example.messages for items in self.items for example in items)


def _read_reference(
    settings: CkaSettings,
    checkpoint: Checkpoint,
    inputs: Inputs,
    context: StageContext,
    on_read: OnRead,
) -> Reference:
    model = load_model(checkpoint, context.compute)
    _see_that_it_fits(model, inputs, settings)
    names = layer_names(model)
    head = host_head(model) if settings.second_opinions else None
    if inputs.pooled:
        features, ahead = read_pooled(model, inputs, context.check_stop, on_read)
        prepared = prepare(features, variant=settings.variant, preprocessing=settings.preprocessing)
        kept = features if settings.second_opinions else None
        return Reference(inputs, names, prepared, kept, ahead=ahead, head=head)
    sequences: list[Layers] = []
    for batch, states, _ in read(model, inputs, context.check_stop):
        sequences.extend(per_item(states))
        on_read(len(batch))
    return Reference(inputs, names, sequences=tuple(sequences), head=head)


def _see_that_it_fits(model: PreTrainedModel, inputs: Inputs, settings: CkaSettings) -> None:
    """Refuse a probe whose states, and the Grams made of them, would not fit into memory."""
    width = int(model.config.get_text_config().hidden_size)
    layers = len(layer_names(model))
    tokens = sum(map(len, inputs.sequences)) / len(inputs.sequences)

    def needed(items: int) -> float:
        if inputs.pooled:
            return _pooled_bytes(items, layers, width, opinions=settings.second_opinions)
        return items * tokens * layers * width * FLOAT32

    items = len(inputs.sequences)
    allowed = MEMORY_SHARE * psutil.virtual_memory().available
    if needed(items) <= allowed:
        return
    fitting = max((count for count in range(1, items) if needed(count) <= allowed), default=0)
    how = "Per-sample" if inputs.pooled else "Per-sequence"
    other = "" if inputs.pooled else ", or mode to per_sample"
    raise UserError(
        f"{how} CKA of {items} items of {settings.probe} would keep {needed(items) / 2**30:.1f} GiB in "
        f"memory; {allowed / 2**30:.1f} GiB are at hand.",
        f"Set samples to about {fitting} or fewer{other}.",
    )


def _pooled_bytes(items: int, layers: int, width: int, *, opinions: bool) -> float:
    """What two networks' layers take at the worst moment: prepared both, the second one's states beside.

    Prepared are the Grams, or as much as the states where these are streamed. With second opinions the
    first one's states are there too.
    """
    states = items * layers * width * FLOAT32
    grams = items**2 * layers * FLOAT32
    prepared = states if grams > max(GRAM_BYTES, states) else grams
    return 2 * prepared + states * (2 if opinions else 1)
