"""The probe: fixed inputs on which the activations of two networks are compared.

Here a probe is a set of inputs, not a classifier trained on activations, as the word means elsewhere. This
module decides what is fed and which positions are read; the comparison is `core.analysis.cka`.

The paper gives one vector per item (section 5.4) without naming the token, and one row per token of prompt +
ground truth (section 4.3). The ground truth here is the item's demonstration, or its answer key where there is
none, closed by the end-of-turn token as in training.

Where it departs from the paper: the paper takes the vectors of its evaluation samples (section 5.4). Here items
that a task scores are passed over unless `disjoint` is off, so that similarity and accuracy are not measured on
the same items: a relation between the two would else be one of these very items (methods.md F3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.analysis.cka import SMALLEST_N, SMALLEST_SEQUENCE
from core.data.chat import answer_ids, prompt_ids
from core.data.example import Dataset, Example, Message
from core.errors import UserError
from core.evaluation import multiple_choice, tooluse
from core.lm.activations import FINAL_NORM, capture, layer_names
from core.recipe.stage_specs import CkaSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_TOKENS = 4096
"""Tokens, padding included, that go through the network at once; bounds memory, decides nothing."""


@dataclass(frozen=True)
class Inputs:
    """What the networks read: token ids, and of each item the positions whose states are kept.

    Attributes:
        sequences: token ids, one list an item.
        spans: of each item (start, stop); per sample their mean is kept, per sequence all of them.
        pooled: whether the states of a span are averaged to one vector.
        dropped: items left out because they are too short.
        scored: items passed over because a task of the recipe scores them.
        asked: of each item the last token of its prompt, where next-token distributions are compared; else
            empty.
    """

    sequences: tuple[tuple[int, ...], ...]
    spans: tuple[tuple[int, int], ...]
    pooled: bool
    dropped: int = 0
    scored: int = 0
    asked: tuple[int, ...] = ()

    def batches(self) -> Iterator[range]:
        """Consecutive items that go through the network together."""
        start, width = 0, 0
        for index, sequence in enumerate(self.sequences):
            width = max(width, len(sequence))
            if index > start and width * (index + 1 - start) > BATCH_TOKENS:
                yield range(start, index)
                start, width = index, len(sequence)
        if start < len(self.sequences):
            yield range(start, len(self.sequences))


def ground_truth(example: Example) -> str:
    """The item's own answer: its demonstration, else its answer key; "" if it has neither."""
    if example.demonstration:
        return example.demonstration
    if example.calls:
        return tooluse.as_text(example.calls)
    if example.gold or example.gold_choice is None:
        return example.gold
    return multiple_choice.LETTERS[example.gold_choice]


Prompt = tuple[Message, ...]
"""The messages of an item: two items are the same question when these are equal."""


def inputs_of(
    settings: CkaSettings,
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    scored: AbstractSet[Prompt] = frozenset(),
) -> Inputs:
    """The first `settings.samples` items of the dataset that are not scored, as inputs sorted by length.

    Args:
        settings: of the measurement.
        dataset: its probe.
        tokenizer: of the networks that are compared.
        scored: prompts that tasks score; such items are passed over, and those behind them move up.

    Raises:
        UserError: too few items, or an item without the answer that is to be read.
    """
    per_sequence = settings.mode == "per_sequence"
    items: list[tuple[tuple[int, ...], tuple[int, int], int]] = []
    dropped = 0
    examples, passed = _not_scored(settings, dataset, scored)
    for example in examples:
        prompt = prompt_ids(tokenizer, example.messages)
        if not per_sequence and settings.token == "last_prompt":
            items.append((tuple(prompt), (len(prompt) - 1, len(prompt)), len(prompt) - 1))
            continue
        truth = ground_truth(example)
        if not truth:
            raise UserError(
                f"Item {example.id} of dataset {settings.probe} has no answer to read.",
                "Choose per-sample mode with token last_prompt, or a dataset with answers.",
            )
        whole = (*prompt, *answer_ids(tokenizer, truth))
        if per_sequence:
            span = (0, len(whole))
        elif settings.token == "last":
            span = (len(whole) - 1, len(whole))
        else:
            span = (len(prompt), len(whole))
        if per_sequence and len(whole) < SMALLEST_SEQUENCE:
            dropped += 1
        else:
            items.append((whole, span, len(prompt) - 1))
    needed = 1 if per_sequence else SMALLEST_N
    if len(items) < needed:
        raise UserError(
            f"CKA needs at least {needed} probe items, and dataset {settings.probe} gives {len(items)}.",
            "Choose a larger dataset, or raise its limit.",
        )
    items.sort(key=lambda item: len(item[0]))
    return Inputs(
        sequences=tuple(sequence for sequence, _, _ in items),
        spans=tuple(span for _, span, _ in items),
        pooled=not per_sequence,
        dropped=dropped,
        scored=passed,
        asked=tuple(asked for _, _, asked in items)
        if settings.second_opinions and not per_sequence
        else (),
    )


def _not_scored(
    settings: CkaSettings, dataset: Dataset, scored: AbstractSet[Prompt]
) -> tuple[list[Example], int]:
    """The first items whose prompts are not scored, and how many were passed over on the way."""
    found: list[Example] = []
    passed = 0
    for example in dataset.examples:
        if len(found) == settings.samples:
            break
        if example.messages in scored:
            passed += 1
        else:
            found.append(example)
    if passed and len(found) < SMALLEST_N:
        raise UserError(
            f"Tasks of this recipe score {passed} of the {len(dataset)} items of probe {settings.probe}; "
            f"{len(found)} are left, and CKA needs at least {SMALLEST_N}.",
            "Choose a probe of other items, for example of another split, or set disjoint to false.",
        )
    return found, passed


States = dict[str, list[Tensor]]
"""Layer name -> one float32 CPU tensor an item: (d,) pooled, or (T, d)."""

Layers = dict[str, NDArray[np.float32]]
"""Layer name -> (n, d) of the pooled items, or (T, d) of one sequence."""

_ASKED = "asked"


def read(
    model: PreTrainedModel, inputs: Inputs, check: Callable[[], None] = lambda: None
) -> Iterator[tuple[range, States, list[Tensor]]]:
    """The kept states of every layer, batch by batch with the numbers of its items.

    The last are what enters the head at `inputs.asked`: (d,) an item, or nothing.
    `check` is called before each batch and may raise StopRequested.
    """
    layers = layer_names(model)
    for batch in inputs.batches():
        first = batch.start

        def select(index: int, states: Tensor, first: int = first) -> Tensor:
            start, stop = inputs.spans[first + index]
            kept = states[start:stop].float()
            return kept.mean(0) if inputs.pooled else kept

        def ask(index: int, states: Tensor, first: int = first) -> Tensor:
            return states[inputs.asked[first + index]]

        sequences: list[Sequence[int]] = [inputs.sequences[index] for index in batch]
        also = {_ASKED: (FINAL_NORM, ask)} if inputs.asked else {}
        states = capture(model, [sequences], layers, select, check, also)
        asked = states.pop(_ASKED, [])
        yield batch, states, asked


def read_pooled(
    model: PreTrainedModel,
    inputs: Inputs,
    check: Callable[[], None] = lambda: None,
    on_read: Callable[[int], None] = lambda count: None,
) -> tuple[Layers, Tensor | None]:
    """All pooled states at once, and what enters the head at `inputs.asked` (n, d), or None.

    `on_read` is told the number of items of each batch.
    """
    collected: States = {}
    ahead: list[Tensor] = []
    for batch, states, asked in read(model, inputs, check):
        for name, vectors in states.items():
            collected.setdefault(name, []).extend(vectors)
        ahead += asked
        on_read(len(batch))
    # popped: a layer exists twice only while it is laid together
    layers = {name: torch.stack(collected.pop(name)).numpy() for name in list(collected)}
    return layers, torch.stack(ahead) if ahead else None


def per_item(states: States) -> Iterator[Layers]:
    """The layers of one sequence after the other."""
    for rows in zip(*states.values(), strict=True):
        yield {name: row.numpy() for name, row in zip(states, rows, strict=True)}
