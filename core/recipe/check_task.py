"""Whether an evaluation task is given exactly what its scorer reads its items from."""

from __future__ import annotations

from collections.abc import Iterator

from core.recipe.messages import Problem
from core.recipe.sources import LM_EVAL, Task


def check_task(path: str, task: Task) -> Iterator[Problem]:
    """What is wrong inside one task; `path` is put before the fields."""
    if task.scorer == LM_EVAL:
        yield from _check_lm_eval(path, task)
        return
    for field in ("lm_eval_task", "include_path"):
        if getattr(task, field) is not None:
            yield Problem(
                f"{path}.{field}",
                f"{task.scorer} scores the items of a dataset, not a task of lm-eval.",
                f"Leave this empty, or set scorer to {LM_EVAL}.",
            )
    if task.dataset is None:
        yield Problem(
            f"{path}.dataset",
            f"{task.scorer} scores the items of a dataset, and none is named.",
            "Name the dataset with the evaluation items.",
        )
    if task.num_fewshot is None:
        yield Problem(
            f"{path}.num_fewshot",
            f"{task.scorer} has no number of worked examples of its own.",
            "Give a number; 0 shows none.",
        )
    if task.fewshot_dataset is not None and task.fewshot_dataset == task.dataset:
        yield Problem(
            f"{path}.fewshot_dataset",
            "The worked examples would be items that are scored.",
            "Name another dataset, or leave this empty: then they come from beyond the task's limit.",
        )


def _check_lm_eval(path: str, task: Task) -> Iterator[Problem]:
    if task.lm_eval_task is None:
        yield Problem(
            f"{path}.lm_eval_task",
            "No task of lm-eval is named.",
            "Give its name, such as arc_easy.",
        )
    for field in ("dataset", "fewshot_dataset"):
        if getattr(task, field) is not None:
            yield Problem(
                f"{path}.{field}",
                "A task of lm-eval brings its own items.",
                "Leave this empty, or choose another scorer for the dataset.",
            )
