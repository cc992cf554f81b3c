"""The estimate of a recipe being written: asked of a process, newest first, never waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels import estimate_words, estimates
from app.viewmodels.estimates import ESTIMATING, EstimatesViewModel
from app.viewmodels.new_run import NewRunViewModel
from core.engine.estimate import Machine, StageEstimate
from core.recipe.spec import Recipe
from core.store.home import Home
from tests.helpers.fake_foresight import estimate

WAIT_MS = 20_000


def recipe(name: str, **stage: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": name,
            "base": {"name": "rekindle-1m"},
            "datasets": {"d": {"file": "d.jsonl"}},
            "stages": [
                {"id": "nf4", "kind": "quantize"},
                {"id": "back", "kind": "sdft", "dataset": "d", **stage},
            ],
        }
    )


@pytest.fixture
def model(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EstimatesViewModel]:
    monkeypatch.setattr(estimates, "PAUSE_MS", 10)
    made = EstimatesViewModel(Home(tmp_path))
    yield made
    made.close()
    made.deleteLater()


def test_that_a_wanted_recipe_is_estimated_while_somebody_looks(
    model: EstimatesViewModel, qtbot: QtBot
) -> None:
    model.want(recipe("plain"))
    qtbot.wait(100)
    assert model.headline == ""  # nobody looks: no process
    model.watch(True)
    assert model.busy
    assert model.headline == ESTIMATING
    qtbot.waitUntil(lambda: bool(model.lines()), timeout=WAIT_MS)
    assert not model.busy
    assert model.headline == "back: 4.0 GiB at most, about 2 m"
    assert model.verdict == "fits"
    assert model.warning == ""
    nf4, back = model.lines()
    assert (nf4.text, nf4.items[-1]) == ("nf4, about 2 m", ("together", "2.0 GiB"))
    assert back.items == (
        ("libraries of the process", "1.0 GiB"),
        ("weights of the model", "1.0 GiB"),
        ("activations kept for backward", "2.0 GiB"),
        ("together", "4.0 GiB"),
    )
    assert "in the backward pass, 80 steps, sequences of up to 512 tokens" in back.note
    assert "50 GFLOP/s" in model.machine


def test_that_what_will_not_fit_is_said_with_what_helps(
    model: EstimatesViewModel, qtbot: QtBot
) -> None:
    model.watch(True)
    model.want(recipe("huge"))
    qtbot.waitUntil(lambda: bool(model.lines()), timeout=WAIT_MS)
    assert model.verdict == "too_large"
    assert model.warning == (
        "back will not fit: 64.0 GiB of 16.0 GiB. Switch gradient_checkpointing on; or lower "
        "chunk_tokens."
    )


def test_that_only_the_newest_recipe_is_answered(model: EstimatesViewModel, qtbot: QtBot) -> None:
    model.watch(True)
    model.want(recipe("slow one"))
    qtbot.waitUntil(lambda: model._asked is not None, timeout=WAIT_MS)
    seen: list[str] = []
    model.changed.connect(lambda: seen.append(model.verdict))
    model.want(recipe("plain"))
    model.want(recipe("huge"))
    qtbot.waitUntil(lambda: bool(model.lines()), timeout=WAIT_MS)
    assert {it for it in seen if it} == {"too_large"}


def test_that_a_page_shown_again_asks_for_nothing_that_is_known(
    model: EstimatesViewModel, qtbot: QtBot
) -> None:
    model.watch(True)
    model.want(recipe("plain"))
    qtbot.waitUntil(lambda: bool(model.lines()), timeout=WAIT_MS)
    model.watch(False)
    model.watch(True)
    assert not model.busy
    with qtbot.assertNotEmitted(model.changed, wait=200):
        pass


def test_that_an_unusable_recipe_has_no_estimate(model: EstimatesViewModel, qtbot: QtBot) -> None:
    model.watch(True)
    model.want(recipe("plain"))
    qtbot.waitUntil(lambda: bool(model.lines()), timeout=WAIT_MS)
    model.want(None)
    assert model.headline == ""
    assert model.lines() == ()
    assert not model.busy


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("error", "There is no such device. Choose another."),
        ("end", "its process ended"),
        ("nonsense", "said something else"),
    ],
)
def test_that_a_failure_is_said_and_the_next_recipe_is_answered(
    model: EstimatesViewModel, qtbot: QtBot, name: str, says: str
) -> None:
    model.watch(True)
    model.want(recipe(name))
    qtbot.waitUntil(lambda: says in model.headline, timeout=WAIT_MS)
    assert not model.busy
    model.want(recipe("plain"))
    qtbot.waitUntil(lambda: bool(model.lines()), timeout=WAIT_MS)


def test_that_a_process_that_cannot_be_started_is_said(
    model: EstimatesViewModel, qtbot: QtBot
) -> None:
    model._process._command = (str(Path(sys.executable).with_name("no-such-program")),)
    model.watch(True)
    model.want(recipe("plain"))
    qtbot.waitUntil(lambda: "its process ended" in model.headline, timeout=WAIT_MS)


def test_that_an_idle_process_is_ended_and_started_again(
    model: EstimatesViewModel, qtbot: QtBot
) -> None:
    model._idle.setInterval(10)
    model.watch(True)
    model.want(recipe("plain"))
    qtbot.waitUntil(lambda: bool(model.lines()) and not model._process.running, timeout=WAIT_MS)
    model.want(recipe("huge"))
    qtbot.waitUntil(lambda: model.verdict == "too_large", timeout=WAIT_MS)


def test_that_the_editor_hands_over_what_it_has_checked(tmp_path: Path, qtbot: QtBot) -> None:
    (tmp_path / "d.jsonl").write_text("{}\n")
    editor = NewRunViewModel(lambda it: None)
    seen: list[Recipe | None] = []
    editor.checked.connect(seen.append)
    text = (
        "schema: 1\nname: n\nbase: {name: rekindle-1m}\ndatasets: {d: {file: d.jsonl}}\n"
        "stages: [{id: back, kind: sdft, dataset: d}]\n"
    )
    editor.load_recipe(text, str(tmp_path))
    qtbot.waitUntil(lambda: bool(seen) and seen[-1] is not None, timeout=WAIT_MS)
    assert seen[-1] is not None
    assert seen[-1].datasets["d"].file == str(tmp_path / "d.jsonl")
    editor.set("stages.0.teacher", "nobody")
    assert seen[-1] is None


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (None, ""),
        (0.2, "under a second"),
        (17.3, "about 20 s"),
        (130.0, "about 2 m"),
        (754.0, "about 13 m"),
        (8000.0, "about 2 h 10 m"),
    ],
)
def test_that_times_claim_no_more_than_they_know(seconds: float | None, says: str) -> None:
    assert estimate_words.about(seconds) == says


def test_that_what_is_unknown_is_said_to_be() -> None:
    stage = StageEstimate("a", "sdft", unknown="The size of x is not known.")
    assert estimate_words.brief(stage) == "a: not known"
    assert estimate_words.rows(stage) == []
    assert estimate_words.note(stage) == "The size of x is not known."
    assert estimate_words.machine(Machine("cpu", "float32", 2**30)) == (
        "cpu in float32, 1.0 GiB of memory."
    )


def test_that_a_stage_near_the_limit_is_tight() -> None:
    found = estimate({"a": "sdft"}, 15)
    (stage,) = found.stages
    assert estimate_words.verdict(found, stage) == "tight"
    assert "a is tight: 15.0 GiB of 16.0 GiB." in estimate_words.remedy(found, stage)


def test_that_expected_and_measured_stand_beside_each_other() -> None:
    gib = 2**30
    assert estimate_words.measured(gib, None) == "1.0 GiB expected"
    assert estimate_words.measured(gib, 2 * gib) == "peak 2.0 GiB (1.0 GiB expected)"
    assert estimate_words.measured(None, 2 * gib) == "peak 2.0 GiB"
    assert estimate_words.measured(None, None) == ""


def test_that_other_recipes_are_reckoned_behind_the_one_being_written(
    model: EstimatesViewModel, qtbot: QtBot
) -> None:
    long, short = recipe("timed a", max_steps=30), recipe("timed b", max_steps=20)
    failing = recipe("error", max_steps=10)
    model.watch(True)
    model.want(recipe("plain"))
    model.reckon([long, short, failing])
    qtbot.waitUntil(lambda: model.is_reckoned(failing), timeout=WAIT_MS)
    assert (model.time_of(long), model.time_of(short), model.time_of(failing)) == (300, 200, None)
    assert model.headline.startswith("back")  # a failure of another recipe is not told of this one
    assert not model.is_reckoning
    model.reckon([recipe("timed c", max_steps=30, learning_rate=1e-3)])
    assert model.time_of(long) == 300  # it takes as long: not asked again
    assert not model.is_reckoned(short)
