"""lm-eval's own MMLU and Winogrande tasks, over rows that are given instead of fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.evaluation.shots import DRAW_SEED
from tests.helpers.tiny import write_jsonl

Row = dict[str, Any]


def write_mmlu(folder: Path, name: str, rows: list[Row], shots: list[Row]) -> None:
    """A task of lm-eval's MMLU template, of one subject, with the description that lm-eval gives it."""
    subject = rows[0]["subject"].replace("_", " ")
    _write(
        folder,
        name,
        "mmlu/default/_default_template_yaml",
        {"test": rows, "dev": shots},
        description=f"The following are multiple choice questions (with answers) about {subject}.\n\n",
    )


def write_winogrande(folder: Path, name: str, rows: list[Row], shots: list[Row]) -> None:
    """lm-eval's Winogrande over JSON rows; its worked examples are drawn."""
    _write(
        folder,
        name,
        "winogrande/default.yaml",
        {"validation": rows, "train": shots},
        dataset_name=None,
    )


def write_task(folder: Path, name: str, splits: dict[str, list[Row]], **config: Any) -> None:
    """Any task over JSON rows."""
    files = {
        split: str(write_jsonl(folder / f"{name}_{split}.jsonl", rows))
        for split, rows in splits.items()
    }
    written = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        **config,
    }
    (folder / f"{name}.yaml").write_text(json.dumps(written))


def loaded(folder: Path, name: str, num_fewshot: int) -> Any:
    """The task object with the requests of all its items."""
    from lm_eval.tasks import TaskManager

    task = TaskManager(include_path=str(folder), include_defaults=False).load([name])["tasks"][name]
    task.set_config("num_fewshot", num_fewshot)
    task.set_fewshot_seed(DRAW_SEED)
    task.build_all_requests()
    return task


def _write(
    folder: Path, name: str, template: str, splits: dict[str, list[Row]], **config: Any
) -> None:
    import lm_eval

    tasks = Path(str(lm_eval.__file__)).parent / "tasks"
    write_task(folder, name, splits, include=str(tasks / template), **config)
