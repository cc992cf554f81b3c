"""Whether an evaluation task is given exactly what its scorer reads its items from."""

from __future__ import annotations

from collections.abc import Iterator

from core.recipe.messages import Problem
from core.recipe.sources import Task


def check_task(path: str, task: Task) -> Iterator[Problem]:
    """What is wrong inside one task; `path` is put before the fields."""
    if task.dataset is None:
        yield Problem(
            f"{path}.dataset",
            f"{task.scorer} scores the items of a dataset, and none is named.",
            "Name the dataset with the evaluation items.",
        )
    if task.fewshot_dataset is not None and task.fewshot_dataset == task.dataset:
        yield Problem(
            f"{path}.fewshot_dataset",
            "The worked examples would be items that are scored.",
            "Name another dataset, or leave this empty: then they come from beyond the task's limit.",
        )
