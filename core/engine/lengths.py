"""How long prompts and answers are, in tokens: read from the data where it is at hand.

The limits of a recipe are far above what most data need, so an estimate that only knew them would be
several times too high. Only the longest texts are encoded; where no tokenizer is at hand, characters are
counted instead.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.data.chat import prompt_ids, teacher_messages
from core.engine.estimate import LengthsFrom

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from core.data.example import Example, Message

ENCODED = 32
"""Longest texts that are encoded; by characters they are nearly in the order of their tokens."""
CHARACTERS_PER_TOKEN = 3.0
"""Fewer than in English prose (about 4): JSON and formulas are cut finer, and too long is the safe side."""
TEMPLATE_TOKENS = 24
"""Tokens that a chat template adds to a short conversation."""


@dataclass(frozen=True)
class Span:
    """The longest and the mean number of tokens of some texts."""

    longest: int = 0
    mean: float = 0.0

    def within(self, limit: int) -> Span:
        """The same when longer ones are left out or cut."""
        return Span(min(self.longest, limit), min(self.mean, limit))


@dataclass(frozen=True)
class Lengths:
    """What is known about the items of a stage.

    Attributes:
        items: how many; 0 when unknown.
        prompt: of the student.
        teacher: prompts with the demonstration in them.
        answer: demonstrations.
        source: where it comes from.
    """

    items: int
    prompt: Span
    teacher: Span
    answer: Span
    source: LengthsFrom


def limits(prompt: int, answer: int) -> Lengths:
    """The lengths when nothing but the limits is known."""
    longest, written = Span(prompt, prompt), Span(answer, answer)
    return Lengths(0, longest, longest, written, "limits")


def lengths_of(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase | None) -> Lengths:
    """The lengths of these examples; at least one.

    Raises:
        UserError: the tokenizer has no chat template, or rejects a conversation.
    """

    def measured(text: Callable[[Example], str], count: Callable[[Example], int]) -> Span:
        sizes = {index: len(text(example)) for index, example in enumerate(examples)}
        longest = heapq.nlargest(ENCODED, sizes, key=lambda index: sizes[index])
        counts = [count(examples[index]) for index in longest]
        characters = sum(sizes[index] for index in longest) or 1
        rate = sum(counts) / characters  # tokens a character
        return Span(max(counts), min(max(counts), rate * sum(sizes.values()) / len(sizes)))

    def prompt(example: Example) -> str:
        return "".join(message.content for message in example.messages)

    def shown(example: Example) -> Sequence[Message]:
        # Evaluation items have no demonstration, and no teacher.
        return teacher_messages(example) if example.demonstration else example.messages

    def taught(example: Example) -> str:
        return "".join(message.content for message in shown(example))

    if tokenizer is None:
        return Lengths(
            len(examples),
            measured(prompt, lambda it: _guessed(prompt(it))),
            measured(taught, lambda it: _guessed(taught(it))),
            measured(lambda it: it.demonstration, lambda it: _guessed(it.demonstration)),
            "characters",
        )
    known = tokenizer
    return Lengths(
        len(examples),
        measured(prompt, lambda it: len(prompt_ids(known, it.messages))),
        measured(taught, lambda it: len(prompt_ids(known, shown(it)))),
        measured(
            lambda it: it.demonstration,
            lambda it: 1 + len(known.encode(it.demonstration, add_special_tokens=False)),
        ),
        "data",
    )


def _guessed(text: str) -> int:
    return TEMPLATE_TOKENS + int(len(text) / CHARACTERS_PER_TOKEN)
