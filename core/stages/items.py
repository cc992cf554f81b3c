"""The items that a training stage can use: with a demonstration, and not too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from core.data.example import Example
from core.errors import UserError
from core.events import GuardWarning
from core.stages.context import StageContext

Item = TypeVar("Item")


Source = tuple[Example, int]
"""An example, and which of the stage's datasets it comes from."""


def demonstrated(names: Sequence[str], context: StageContext) -> list[Source]:
    """All examples of the datasets, in their order.

    Raises:
        UserError: a dataset has items without a demonstration.
    """
    examples: list[Source] = []
    for number, name in enumerate(names):
        dataset = context.datasets(name)
        missing = sum(not example.demonstration for example in dataset.examples)
        if missing:
            raise UserError(
                f"Dataset {name} has no demonstration for {missing} of its {len(dataset)} items, and "
                f"stage {context.stage} learns from demonstrations.",
                "Train on a dataset with worked answers, or map the column that holds them to "
                "demonstration.",
            )
        examples.extend((example, number) for example in dataset.examples)
    return examples


def fitting(
    examples: Sequence[Source],
    context: StageContext,
    encode: Callable[[Example, int], Item],
    fits: Callable[[Item], bool],
) -> list[Item]:
    """Encode every example and leave out, with a warning, those that do not fit; nothing is cut.

    Raises:
        UserError: none is left.
    """
    kept: list[Item] = []
    for example, dataset in examples:
        context.check_stop()
        item = encode(example, dataset)
        if fits(item):
            kept.append(item)
    dropped = len(examples) - len(kept)
    if dropped:
        context.emit(
            GuardWarning(
                stage=context.stage,
                code="samples_dropped",
                values={"dropped": float(dropped), "kept": float(len(kept))},
            )
        )
    if not kept:
        raise UserError(
            f"None of the {len(examples)} items of stage {context.stage} fits the length limits.",
            "Raise max_prompt_length, or lower max_completion_length so that prompt and answer fit the "
            "model's context together.",
        )
    return kept


def within(
    prompt: int, completion: int, *, max_prompt_length: int, context_length: int | None
) -> bool:
    """Whether a prompt is short enough and fits the model's context with its completion, in tokens."""
    if prompt > max_prompt_length:
        return False
    return context_length is None or prompt + completion <= context_length
