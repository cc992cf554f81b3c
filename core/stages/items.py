"""The items that a training stage can use: with a demonstration, not too long; and whether they are scored, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from core.data.example import Example
from core.data.overlap import overlap
from core.errors import UserError
from core.events import GuardWarning
from core.stages.context import StageContext
from core.stages.scored import scored_items

Item = TypeVar("Item")


Source = tuple[Example, int]
"""An example, and which of the stage's datasets it comes from."""


def demonstrated(names: Sequence[str], context: StageContext) -> list[Source]:
    """All examples of the datasets, in their order; warns where they ask what the run's tasks score.

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
    if context.processes.is_main:
        _warn_of_overlap([example for example, _ in examples], context)
    return examples


def _warn_of_overlap(training: Sequence[Example], context: StageContext) -> None:
    """Report how many scored items the training items ask already; one warning with totals over the tasks.

    A person may want to train on what is scored, to see how much can be learned by heart: the run goes on.
    """
    evaluated: dict[str, tuple[Example, ...]] = {}  # tasks on one dataset count it once
    tasks = scored_items(context)
    for task in tasks:
        known = evaluated.get(task.dataset, ())
        evaluated[task.dataset] = max(known, task.examples, key=len)
    found = {name: overlap(training, examples) for name, examples in evaluated.items()}
    shared = {name: it for name, it in found.items() if it.shared}
    if not shared:
        return
    context.emit(
        GuardWarning(
            stage=context.stage,
            code="contaminated",
            values={
                "shared": float(sum(it.shared for it in shared.values())),
                "same_question": float(sum(len(it.same) for it in shared.values())),
                "evaluated": float(sum(it.evaluated for it in shared.values())),
                "trained": float(len(training)),
                "tasks": float(sum(task.dataset in shared for task in tasks)),
            },
        )
    )


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
