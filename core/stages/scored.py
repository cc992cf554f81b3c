"""Which items the run's tasks score: what is trained on and what is probed should be other ones."""

from __future__ import annotations

from dataclasses import dataclass

from core.data.example import Example
from core.evaluation.exam import Exam
from core.stages.context import StageContext


@dataclass(frozen=True)
class ScoredItems:
    """The items that one task scores.

    Attributes:
        dataset: name of the dataset they are the first of.
        fingerprint: of that dataset.
        examples: the items.
    """

    dataset: str
    fingerprint: str
    examples: tuple[Example, ...]


def scored_items(context: StageContext) -> list[ScoredItems]:
    """Those of every task of the run; a task that brings its own items, as lm-eval's do, is left out."""
    found = []
    for name, task in context.tasks.items():
        if task.dataset is not None:
            dataset = context.datasets(task.dataset)
            examples = Exam(name, task, dataset).whole
            found.append(ScoredItems(task.dataset, dataset.fingerprint, examples))
    return found
