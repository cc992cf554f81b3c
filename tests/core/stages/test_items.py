"""Training items that are also scored: said once, counted over the tasks, and never a reason to stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.viewmodels.guard_words import guard, guard_now
from core.data.example import Dataset, Example
from core.data.load import load as load_dataset
from core.data.overlap import overlap
from core.evaluation.exam import Exam
from core.events import GuardWarning
from core.recipe.files import load
from core.recipe.plan import scored_tasks
from core.recipe.sources import Task
from core.recipe.training_specs import TrainSpec
from core.stages.items import demonstrated
from core.stages.processes import Processes
from tests.helpers.contexts import Stand
from tests.helpers.training import weather

RECIPES = Path(__file__).resolve().parents[3] / "resources" / "recipes"


def _dataset(name: str, examples: tuple[Example, ...]) -> Dataset:
    return Dataset(name, "memory", "test", "fingerprint", examples)


def _task(dataset: str, limit: int | None = None) -> Task:
    return Task(scorer="science_exact_v1", dataset=dataset, limit=limit)


def _stand(folder: Path) -> Stand:
    train, other = weather(20), weather(6, demonstration="")
    fresh = tuple(
        replace(example, messages=(replace(example.messages[0], content=f"snow in {number}?"),))
        for number, example in enumerate(weather(5).examples)
    )
    return Stand(
        folder,
        datasets={
            "train": _dataset("train", train.examples),
            "leaked": _dataset("leaked", other.examples + fresh),
            "fresh": _dataset("fresh", fresh),
        },
    )


def test_that_scored_items_among_the_training_items_are_reported_once_with_totals(
    tmp_path: Path,
) -> None:
    place = _stand(tmp_path)
    place.tasks = {"one": _task("leaked"), "two": _task("leaked"), "other": _task("fresh")}
    assert len(demonstrated(["train"], place.context("sft"))) == 20
    (warning,) = place.of(GuardWarning)
    assert (warning.stage, warning.code) == ("sft", "contaminated")
    assert warning.values == {
        "shared": 6.0, "same_question": 6.0, "evaluated": 11.0, "trained": 20.0, "tasks": 2.0,
    }  # fmt: skip
    assert "6 of the 11 scored items of 2 tasks" in guard(warning.code, warning.values)
    assert guard_now(warning.code, warning.values) == "6 of 11"


def test_that_only_items_within_the_tasks_limit_count(tmp_path: Path) -> None:
    place = _stand(tmp_path)
    place.tasks = {"one": _task("leaked", limit=2)}
    demonstrated(["train"], place.context("sft"))
    (warning,) = place.of(GuardWarning)
    assert (warning.values["shared"], warning.values["evaluated"]) == (2.0, 2.0)


def test_that_fresh_items_and_runs_without_tasks_are_not_warned_of(tmp_path: Path) -> None:
    place = _stand(tmp_path)
    demonstrated(["train"], place.context("sft"))
    place.tasks = {"one": _task("fresh")}
    demonstrated(["train"], place.context("sft"))
    assert place.of(GuardWarning) == []


def test_that_only_the_main_process_looks(tmp_path: Path) -> None:
    place = _stand(tmp_path)
    place.tasks = {"one": _task("absent")}
    helper = replace(place.context("sft"), processes=Processes(rank=1, count=2))
    assert len(demonstrated(["train"], helper)) == 20
    with pytest.raises(KeyError):
        demonstrated(["train"], place.context("sft"))


def test_that_the_shipped_recipes_train_on_nothing_they_score() -> None:
    looked_at = 0
    made: dict[str, Dataset] = {}
    for path in sorted(RECIPES.glob("*.yaml")):
        recipe = load(path)
        sources = recipe.datasets
        if any(source.demo is None for source in sources.values()):
            continue  # its files are the user's
        found = {}
        for name, source in sources.items():
            text = source.model_dump_json()
            made[text] = found[name] = made.get(text) or load_dataset(name, source, path.parent)
        trained = [
            example
            for spec in recipe.stages
            if isinstance(spec, TrainSpec)
            for name in spec.datasets
            for example in found[name].examples
        ]
        for name, task in scored_tasks(recipe).items():
            scored = Exam(name, task, found[task.dataset]).whole
            assert overlap(trained, scored).shared == 0, f"{path.name}, {name}"
            looked_at += 1
    assert looked_at >= 15
