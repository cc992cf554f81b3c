"""Compare a checkpoint with the reference, layer by layer, by linear CKA on the probe.

The reference is read first and freed before the other network is opened. What was read of it is kept for the
process, because live measurements and later stages ask for the same; per sample that is its Grams, per sequence
its states, since which tokens are sinks depends on both networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from core.analysis.cka import (
    SMALLEST_SEQUENCE,
    Grams,
    grams,
    kept_tokens,
    null_floor,
    over_sequences,
    similarity,
)
from core.data.example import Example
from core.errors import UserError
from core.evaluation.evaluate import scored_examples
from core.events import CkaMeasured, GuardWarning
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model, load_tokenizer
from core.recipe.stage_specs import CkaSettings, CkaSpec
from core.stages.context import StageContext
from core.stages.probe import Inputs, Prompt, States, inputs_of, read
from core.stages.progress import Counter

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MEMORY_SHARE = 0.5
"""Share of the free host memory that the reference's states may take in per-sequence mode."""

Layers = dict[str, NDArray[np.float32]]
OnRead = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Reference:
    """What was read of the reference: `grams` per sample, `sequences` (one an item) per sequence."""

    inputs: Inputs
    names: tuple[str, ...]
    grams: Grams | None
    sequences: tuple[Layers, ...]


class _Kept:
    """The last reference read in this process, with everything that decides what was read."""

    key: tuple[Any, ...] | None = None
    reference: Reference | None = None


def run(spec: CkaSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Measure `checkpoint` against the spec's reference and hand it back.

    Raises:
        UserError: the probe does not suit, or its states would not fit into memory.
    """
    progress = Counter(context, "sample")
    reference = reference_of(
        spec, context, on_start=lambda count: progress.expect(2 * count), on_read=progress.advance
    )
    report_scored(reference, context)
    if not progress.total:  # the reference was kept from an earlier measurement
        progress.expect(len(reference.inputs.sequences))
    model = load_model(checkpoint, context.compute)
    measure(
        model,
        reference,
        spec,
        context,
        subject=context.subject,
        step=None,
        on_read=progress.advance,
    )
    return checkpoint


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


def report_scored(reference: Reference, context: StageContext, step: int | None = None) -> None:
    """Say how many items of the probe were passed over because a task scores them, if any."""
    if reference.inputs.scored:
        values = {
            "dropped": reference.inputs.scored,
            "kept": len(reference.inputs.sequences),
        }
        context.emit(
            GuardWarning(stage=context.stage, code="probe_overlap", step=step, values=values)
        )


@dataclass(frozen=True)
class _Scored:
    """The items that tasks score, a tuple a task."""

    items: tuple[tuple[Example, ...], ...] = ()
    key: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, context: StageContext) -> _Scored:
        """Those of all tasks of the recipe."""
        pairs = [(task, context.datasets(task.dataset)) for task in context.tasks.values()]
        items = tuple(scored_examples(task, dataset) for task, dataset in pairs)
        facts = zip((dataset.fingerprint for _, dataset in pairs), map(len, items), strict=True)
        return cls(items, tuple(sorted(facts)))

    def prompts(self) -> frozenset[Prompt]:
        """Their messages."""
        return frozenset(example.messages for items in self.items for example in items)


def forget_reference() -> None:
    """Free what is kept of the last reference."""
    _Kept.key = _Kept.reference = None


def _read_reference(
    settings: CkaSettings,
    checkpoint: Checkpoint,
    inputs: Inputs,
    context: StageContext,
    on_read: OnRead,
) -> Reference:
    model = load_model(checkpoint, context.compute)
    if inputs.pooled:
        own = _pooled_grams(model, inputs, settings, context, on_read)
        return Reference(inputs, own.names, own, ())
    _see_that_it_fits(model, inputs, settings)
    sequences: list[Layers] = []
    for batch, states in read(model, inputs, context.check_stop):
        sequences.extend(_per_item(states))
        on_read(len(batch))
    return Reference(inputs, tuple(sequences[0]), None, tuple(sequences))


def _see_that_it_fits(model: PreTrainedModel, inputs: Inputs, settings: CkaSettings) -> None:
    config = model.config.get_text_config()
    tokens = sum(map(len, inputs.sequences))
    needed = tokens * config.hidden_size * (config.num_hidden_layers + 2) * 4
    allowed = MEMORY_SHARE * psutil.virtual_memory().available
    if needed > allowed:
        fitting = math.floor(len(inputs.sequences) * allowed / needed)
        raise UserError(
            f"Per-sequence CKA of {len(inputs.sequences)} items of {settings.probe} would keep "
            f"{needed / 2**30:.1f} GiB in memory; {allowed / 2**30:.1f} GiB are at hand.",
            f"Set samples to about {fitting} or fewer, or mode to per_sample.",
        )


def _pooled_grams(
    model: PreTrainedModel,
    inputs: Inputs,
    settings: CkaSettings,
    context: StageContext,
    on_read: OnRead,
) -> Grams:
    collected: dict[str, list[torch.Tensor]] = {}
    for batch, states in read(model, inputs, context.check_stop):
        for name, vectors in states.items():
            collected.setdefault(name, []).extend(vectors)
        on_read(len(batch))
    features = {name: torch.stack(vectors).numpy() for name, vectors in collected.items()}
    return grams(features, variant=settings.variant, preprocessing=settings.preprocessing)


def _per_item(states: States) -> Iterator[Layers]:
    for rows in zip(*states.values(), strict=True):
        yield {name: row.numpy() for name, row in zip(states, rows, strict=True)}


def measure(
    model: PreTrainedModel,
    reference: Reference,
    settings: CkaSettings,
    context: StageContext,
    *,
    subject: str,
    step: int | None,
    on_read: OnRead = lambda count: None,
) -> None:
    """Compare a network with the reference and report `CkaMeasured`, and what was left out.

    Args:
        model: the network; it is only read, and its mode is restored.
        reference: from `reference_of` with the same settings.
        settings: of the measurement.
        context: of the stage that measures.
        subject: id of the stage whose weights these are.
        step: of the training, if in one.
        on_read: told the number of items of each batch read.
    """
    if reference.grams is not None:
        own = _pooled_grams(model, reference.inputs, settings, context, on_read)
        names = own.names
        values, floor = similarity(own, reference.grams), null_floor(own, reference.grams)
        spread: tuple[float, ...] = ()
        n = own.n
    else:
        compared = _compare_sequences(model, reference, settings, context, on_read)
        _report_left_out(compared, context, step)
        names = compared.names
        summed = over_sequences(compared.values)
        values, floor = summed.mean, over_sequences(compared.floors).mean
        spread = tuple(np.diagonal(summed.iqr).tolist())
        n = summed.n
    shown = np.diagonal(values) if settings.layout == "diagonal" else values.ravel()
    context.emit(
        CkaMeasured(
            stage=context.stage,
            subject=subject,
            reference=settings.reference,
            probe=settings.probe,
            step=step,
            mode=settings.mode,
            token=settings.token if settings.mode == "per_sample" else "all",
            preprocessing=settings.preprocessing,
            variant=settings.variant,
            layout=settings.layout,
            rows=names,
            cols=reference.names,
            values=tuple(shown.tolist()),
            null_floor=tuple(np.diagonal(floor).tolist()),
            spread=spread,
            n=n,
        )
    )


@dataclass
class _Compared:
    """CKA (layers, layers) and null floor of each sequence, and what was left out."""

    names: tuple[str, ...]
    values: list[NDArray[np.float64]]
    floors: list[NDArray[np.float64]]
    tokens: int = 0
    sinks: int = 0
    short: int = 0


def _compare_sequences(
    model: PreTrainedModel,
    reference: Reference,
    settings: CkaSettings,
    context: StageContext,
    on_read: OnRead,
) -> _Compared:
    result = _Compared((), [], [], short=reference.inputs.dropped)
    for batch, states in read(model, reference.inputs, context.check_stop):
        result.names = tuple(states)
        for other, own in zip(
            (reference.sequences[index] for index in batch), _per_item(states), strict=True
        ):
            length = len(next(iter(own.values())))
            kept = np.ones(length, dtype=np.bool_)
            if settings.drop_sinks:
                kept = kept_tokens([*own.values(), *other.values()])
            result.tokens += length
            result.sinks += length - int(kept.sum())
            if kept.sum() < SMALLEST_SEQUENCE:
                result.short += 1
                continue
            a, b = (
                grams(
                    {name: layer[kept] for name, layer in layers.items()},
                    variant=settings.variant,
                    preprocessing=settings.preprocessing,
                )
                for layers in (own, other)
            )
            result.values.append(similarity(a, b))
            result.floors.append(null_floor(a, b))
        on_read(len(batch))
    if not result.values:
        raise UserError(
            f"No sequence of {settings.probe} has {SMALLEST_SEQUENCE} tokens left to compare.",
            "Choose a dataset with longer items, or set drop_sinks to false.",
        )
    return result


def _report_left_out(compared: _Compared, context: StageContext, step: int | None) -> None:
    if compared.sinks:
        context.emit(
            GuardWarning(
                stage=context.stage,
                code="sink_tokens_dropped",
                step=step,
                values={"dropped": compared.sinks, "tokens": compared.tokens},
            )
        )
    if compared.short:
        context.emit(
            GuardWarning(
                stage=context.stage,
                code="samples_dropped",
                step=step,
                values={"dropped": compared.short, "kept": len(compared.values)},
            )
        )
