"""Answers from other threads that come after something else was asked: the newest question counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels import preview, recipe_checks, sweep
from app.viewmodels.estimates import EstimatesViewModel
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.preview import PreviewViewModel
from app.viewmodels.sweep import SweepViewModel
from core.store.home import Home

WAIT_MS = 3000
SETTLE_MS = 100
RECIPE = """\
schema: 1
name: Late
base: {name: rekindle-1m}
datasets: {tool: {file: tool.jsonl}}
stages:
  - {id: back, kind: sdft, dataset: tool}
"""


class Slow:
    """Does its jobs when the test says so, in any order."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def __call__(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.jobs.append((job, done))

    def answer(self, place: int) -> None:
        job, done = self.jobs[place]
        done(job())


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    monkeypatch.setattr(recipe_checks, "FILES_AFTER_MS", 0)
    monkeypatch.setattr(sweep, "PAUSE_MS", 0)
    monkeypatch.setattr(preview, "LOOK_AFTER_MS", 0)
    return Slow()


def test_that_a_file_missed_earlier_is_not_missed_by_a_late_answer(
    slow: Slow, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "there.jsonl").write_text("{}\n")
    model = NewRunViewModel(lambda recipe: None, slow)
    model.load_recipe(RECIPE, str(tmp_path))
    model.preview.show_stage(None, {}, tmp_path)  # looks at files for itself
    qtbot.waitUntil(lambda: len(slow.jobs) == 1, timeout=WAIT_MS)
    model.set("datasets.tool.file", "there.jsonl")
    qtbot.waitUntil(lambda: len(slow.jobs) == 2, timeout=WAIT_MS)
    slow.answer(1)
    assert model.problems() == ()
    slow.answer(0)
    assert model.problems() == ()
    assert model.can_start


def test_that_the_runs_of_a_sweep_are_those_of_the_values_typed_last(
    slow: Slow, tmp_path: Path, qtbot: QtBot
) -> None:
    editor = NewRunViewModel(lambda recipe: None)
    estimates = EstimatesViewModel(Home(tmp_path))
    queued: list[int] = []
    model = SweepViewModel(
        editor, lambda recipes, tags, done: queued.append(len(recipes)), slow, estimates
    )
    model.add("seed")
    qtbot.waitUntil(lambda: len(slow.jobs) == 1, timeout=WAIT_MS)
    model.change("seed", text="1, 2")
    qtbot.waitUntil(lambda: len(slow.jobs) == 2, timeout=WAIT_MS)
    assert model.busy
    slow.answer(1)
    slow.answer(0)
    assert [it.values for it in model.variants()] == [("1",), ("2",)]
    model.start()
    model.start()  # no answer has come yet
    assert queued == [2]
    estimates.close()


def test_that_a_late_item_does_not_take_the_place_of_the_newer_one(
    slow: Slow, tmp_path: Path, qtbot: QtBot
) -> None:
    model = PreviewViewModel(slow)
    demo = {"demo": "science", "config": "known-own", "split": "train", "limit": 5}
    sources = {"one": {"file": "nowhere.jsonl"}, "two": demo}
    model.show_stage({"kind": "sdft", "dataset": "one"}, sources, tmp_path)
    qtbot.waitUntil(lambda: len(slow.jobs) == 1, timeout=WAIT_MS)
    model.show_stage({"kind": "sdft", "dataset": "two"}, sources, tmp_path)
    qtbot.waitUntil(lambda: len(slow.jobs) == 2, timeout=WAIT_MS)
    slow.answer(1)
    slow.answer(0)
    model.show_stage({"kind": "sdft", "dataset": "two", "max_steps": 3}, sources, tmp_path)
    assert model.prompt.item == "two, first item"
    assert model.prompt.turns
    qtbot.wait(SETTLE_MS)
    assert len(slow.jobs) == 2  # what is known is not read again
