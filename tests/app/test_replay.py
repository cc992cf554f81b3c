"""Logs of real runs, folded without any worker: what the window then knows, and that the way they come is no matter."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from app.viewmodels.run import RunViewModel
from core.events import Metrics
from tests.app.replaying import NAMES, picture, recording

WAIT_MS = 10_000
ROUNDS = 12


def states(run: RunViewModel) -> dict[str, str]:
    """The state of each stage that stands in the recipe."""
    return {card.id: card.status for card in run.stages()}


def shares(run: RunViewModel, stage: str) -> dict[str, float]:
    """The accuracies of one checkpoint by task, per cent."""
    table = run.score_table()
    place = [column.key for column in table.columns].index(stage)
    return {
        line.task: round(cell.value, 1)
        for line in table.lines
        if (cell := line.cells[place]) is not None
    }


def test_that_there_are_recordings_of_every_way_a_run_ends() -> None:
    assert {recording(name).row.status for name in NAMES} == {"done", "failed", "interrupted"}


def test_that_the_quickstart_is_told_from_its_log() -> None:
    run = recording("quickstart").view()
    assert (run.status, run.status_text, run.progress) == ("done", "done", 1.0)
    assert states(run) == dict.fromkeys(("base", "pruned", "sdft", "sft"), "done")
    assert run.tasks() == ("tooluse", "science", "retention", "general")
    assert shares(run, "base")["tooluse"] == 100.0
    assert shares(run, "pruned")["tooluse"] == 40.7
    assert shares(run, "sdft")["tooluse"] > 90
    loss = {curve.stage: curve for curve in run.series("loss")}
    assert set(loss) == {"sdft", "sft"}
    for curve in loss.values():
        assert curve.x.tolist() == list(range(1, 81))
        assert curve.role == "recovered"
    assert loss["sdft"].y[-1] < loss["sdft"].y[0] / 100
    assert run.cka_subjects() == ("sdft", "sft")
    live = run.cka_live("sdft")
    assert live is not None
    assert live.values[:, -1].mean() > live.values[:, 0].mean()
    assert [it.subject for it in run.cka_maps()] == ["pruned", "sdft", "sft"]
    assert {it.stage for it in run.completions()} == {"sdft"}
    assert all(len(it.tokens) == len(it.divergence) for it in run.completions())
    entropy = next(row for row in run.guards() if row.signal.startswith("entropy"))
    assert entropy.bad
    assert any("entropy has fallen" in mark.text for mark in run.marks())
    assert run.log()[-1].text.startswith("Run done after")


def test_that_a_run_that_lost_nothing_has_no_warnings() -> None:
    run = recording("nf4").view()
    assert states(run) == {"base": "done", "nf4": "done", "recovered": "done"}
    assert set(shares(run, "nf4").values()) >= {100.0}
    assert run.marks() == ()
    assert not any(line.level in ("warning", "error") for line in run.log())
    assert run.failure == ("", "")


def test_that_a_killed_run_shows_how_far_it_came() -> None:
    run = recording("killed").view()
    assert run.status == "interrupted"
    assert run.can_resume
    assert not run.can_stop
    (loss,) = run.series("loss")
    assert loss.x[-1] >= 7
    assert "training state at step 6 saved" in "\n".join(line.text for line in run.log())
    assert [it.subject for it in run.cka_maps()] == ["pruned"]


def test_that_a_resumed_run_has_every_step_once() -> None:
    run = recording("resumed").view()
    assert states(run) == {"base": "done", "pruned": "done", "recovered": "done"}
    for key in run.available_keys():
        for curve in run.series(key):
            assert np.all(np.diff(curve.x) > 0), key
    (loss,) = run.series("loss")
    assert loss.x.tolist() == list(range(1, 13))
    assert any("session 2" in line.text for line in run.log())


def test_that_a_failed_run_names_its_class_and_what_to_do() -> None:
    run = recording("failed").view()
    assert run.status == "failed"
    assert run.status_text == "failed: data"
    message, hint = run.failure
    assert "tooluse.jsonl" in message
    assert hint
    assert run.log()[-1].level == "error"
    assert run.can_resume


@pytest.mark.parametrize("name", NAMES)
def test_that_a_log_read_again_after_a_reset_gives_the_same(name: str) -> None:
    recorded = recording(name)
    run = recorded.view()
    once = picture(run)
    run.reset()
    assert run.available_keys() == ()
    run.apply(recorded.log)
    run.describe(recorded.row)
    assert picture(run) == once


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=ROUNDS)
@given(cuts=st.lists(st.integers(1, 120), min_size=1, max_size=30))
def test_that_slices_of_any_size_give_the_same(name: str, cuts: list[int]) -> None:
    recorded = recording(name)
    run = recorded.view([])
    at = 0
    for size in itertools.cycle(cuts):
        run.apply(recorded.log[at : at + size])
        at += size
        if at >= len(recorded.log):
            break
    run.describe(recorded.row)
    assert picture(run) == picture(recorded.view())


@settings(deadline=None, max_examples=ROUNDS)
@given(data=st.data())
def test_that_a_window_that_saw_the_killed_session_ends_up_where_a_new_one_does(
    data: st.DataObject,
) -> None:
    killed, resumed = recording("killed"), recording("resumed")
    seen = data.draw(st.integers(0, len(killed.log)))
    run = killed.view(killed.log[:seen])
    run.reset()  # what the run's thread orders when it meets the new session
    run.describe(resumed.row)
    run.apply(resumed.log)
    new = RunViewModel(killed.row.uid)
    new.describe(resumed.row)
    new.apply(resumed.log)
    assert picture(run) == picture(new)


@settings(deadline=None, max_examples=ROUNDS)
@given(data=st.data())
def test_that_curves_never_run_backwards_when_a_session_goes_on_from_its_saved_state(
    data: st.DataObject,
) -> None:
    killed, resumed = recording("killed"), recording("resumed")
    seen = data.draw(st.integers(1, len(killed.log)))
    run = killed.view(killed.log[:seen])
    again = [it for it in resumed.log if isinstance(it.event, Metrics)]
    run.apply(again[data.draw(st.integers(0, 5)) :])
    for key in run.available_keys():
        for curve in run.series(key):
            assert np.all(np.diff(curve.x) > 0), key
    assert run.series("loss")[0].x[-1] == 12


@pytest.mark.parametrize("name", NAMES)
def test_that_what_is_fed_in_slices_of_time_is_what_is_applied_at_once(
    name: str, qtbot: QtBot
) -> None:
    recorded = recording(name)
    run = recorded.view([])
    taken: list[int] = []
    run.consumed.connect(taken.append)
    run.feed(recorded.log)
    run.caught_up()
    qtbot.waitUntil(lambda: run.loaded, timeout=WAIT_MS)
    assert sum(taken) == len(recorded.log)
    assert picture(run) == picture(recorded.view())
