"""A run page beside a run at work: what a person looks at stays, what they did not choose follows the run."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from app.viewmodels.run import RunViewModel
from core.events import (
    CkaMeasured,
    CompletionSampled,
    Event,
    GuardWarning,
    Metrics,
    StageFinished,
    TaskEvaluated,
)
from core.store.rows import LoggedEvent
from tests.app.sample_runs import STEPS
from tests.app.test_run_page import RECIPE, Shown, recorded, replay, settle, shown
from tests.app.test_viewmodels_run import row

__all__ = ["shown"]
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", "raise\\(\\)", "grabbing the keyboard")
EARLY, LATER = 60, 100


def _live(page: Shown, until: int = EARLY) -> RunViewModel:
    run = replay("running", until=until)
    page.page.show_run(run)
    settle(page)
    return run


def _goes_on(page: Shown, run: RunViewModel, *more: Event) -> None:
    """Steps up to `LATER`, or `more`."""
    known = len(recorded(EARLY))
    found = more or recorded(LATER)[known:]
    run.apply([LoggedEvent(known + at, 5000.0 + at, it) for at, it in enumerate(found, 1)])
    settle(page)


def _other_stage(run: RunViewModel) -> CkaMeasured:
    newest = next(it for it in reversed(recorded(EARLY)) if isinstance(it, CkaMeasured) and it.step)
    return newest.model_copy(update={"stage": "second", "subject": "second", "step": 5})


def test_that_the_map_follows_the_stage_that_trains_until_one_is_chosen(shown: Shown) -> None:
    run = _live(shown)
    cka = shown.page.cka
    assert cka.subject.key() == "recovered"
    _goes_on(shown, run, _other_stage(run))
    assert cka.subject.key() == "second"
    cka.subject.chosen.emit("recovered")
    _goes_on(shown, run, _other_stage(run).model_copy(update={"step": 10}))
    assert cka.subject.key() == "recovered"


def test_that_a_warning_stands_in_the_charts_of_its_stage_only(shown: Shown) -> None:
    run = _live(shown)
    chart = shown.page.area.tiles[0].chart
    before = [mark.x for mark in chart.references.marks]
    _goes_on(shown, run, GuardWarning(stage="second", code="entropy_collapse", step=7))
    assert [mark.x for mark in chart.references.marks] == before
    _goes_on(shown, run, GuardWarning(stage="recovered", code="entropy_collapse", step=7))
    assert [mark.x for mark in chart.references.marks] == [*before, 7]


def test_that_the_step_chosen_at_the_slider_stays_while_measurements_come(
    shown: Shown, qtbot: QtBot
) -> None:
    run = _live(shown)
    cka = shown.page.cka
    qtbot.keyClick(cka.slider, Qt.Key.Key_Home)
    assert cka.at.text() == "step 5"
    places = cka.slider.maximum()
    _goes_on(shown, run)
    assert cka.slider.maximum() > places
    assert (cka.at.text(), cka.slider.value()) == ("step 5", 0)
    _goes_on(shown, run, _other_stage(run))
    assert cka.subject.key() == "recovered"
    qtbot.keyClick(cka.slider, Qt.Key.Key_End)
    assert cka.at.text() == f"step {LATER}"


def test_that_the_column_under_the_pointer_stays_while_measurements_come(shown: Shown) -> None:
    run = _live(shown)
    cka = shown.page.cka
    box = cka.map.plot.getPlotItem().getViewBox()
    cka.map.hover(box.mapViewToScene(QPointF(3.5, 10.5)))
    told = cka.map.readout.text()
    _goes_on(shown, run)
    live = run.cka_live()
    assert live is not None
    np.testing.assert_allclose(cka.profile.curve.xData, live.values[:, 3])
    assert cka.map.readout.text() == told
    cka.map.leave()
    np.testing.assert_allclose(cka.profile.curve.xData, live.values[:, -1])


def test_that_the_end_of_the_slider_is_the_finished_checkpoint(shown: Shown, qtbot: QtBot) -> None:
    cka = shown.page.cka
    cka.layout_choice.choose("layers")
    assert cka.at.text() == "finished"
    finished = next(it for it in shown.run.cka_maps() if it.subject == "recovered")
    assert cka.how.whole() == finished.heatmap.caption
    qtbot.keyClick(cka.slider, Qt.Key.Key_Left)
    assert cka.at.text() == "step 200"
    last = shown.run.cka_map("recovered", 200)
    assert last is not None
    assert cka.how.whole() == last.caption


@pytest.mark.parametrize("pick", ["newest", "worst"])
def test_that_a_completion_that_is_read_stays_and_says_that_others_came(
    shown: Shown, qtbot: QtBot, pick: str
) -> None:
    run = _live(shown)
    card = shown.page.completions
    card.pick.choose(pick)
    read = card._shown
    card.view.student.setFocus()
    qtbot.waitUntil(card.view.student.hasFocus)
    newest = next(it for it in reversed(recorded(EARLY)) if isinstance(it, CompletionSampled))
    _goes_on(shown, run, newest.model_copy(update={"step": EARLY + 1, "kl": 99.0}))
    assert card._shown is read
    assert card.count.whole().endswith("have come" if pick == "newest" else "has come")
    shown.page.completions.search.setFocus()
    _goes_on(shown, run, newest.model_copy(update={"step": EARLY + 2, "kl": 98.0}))
    assert card._shown is not read
    assert "come" not in card.count.whole()


def test_that_a_log_that_is_read_anew_is_written_anew(shown: Shown) -> None:
    run = _live(shown, LATER)
    log = shown.page.details.log_panel
    before = log.text.toPlainText().splitlines()
    run.reset()
    first = recorded(LATER)
    run.apply([LoggedEvent(at, 90_000.0 + at, it) for at, it in enumerate((*first, *first), 1)])
    settle(shown)
    after = log.text.toPlainText().splitlines()
    assert len(after) == 2 * len(before) == len(run.log())
    assert after[0].split()[0] == run.log()[0].clock


def test_that_a_completion_of_a_log_that_is_read_anew_is_known_again(shown: Shown) -> None:
    run = _live(shown)
    card = shown.page.completions
    card.move_by(-1)
    here = card._shown
    run.reset()
    run.apply([LoggedEvent(at, 3.0 * at, it) for at, it in enumerate(recorded(EARLY), 1)])
    settle(shown)
    assert card._shown == here
    card.move_by(1)
    assert card._shown is run.completions()[-1]


def test_that_a_run_whose_training_was_found_again_says_where_its_curves_are(shown: Shown) -> None:
    run = RunViewModel("fedcba9876543210")
    run.describe(row("done", name="again", recipe_json=RECIPE.model_dump_json(by_alias=True)))
    shown.page.show_run(run)
    settle(shown)
    tiles = shown.page.area.tiles
    assert tiles[0].chart.empty.text().startswith("Curves begin")
    training = (Metrics, CompletionSampled)
    found: list[Event] = []
    for it in recorded(STEPS):
        live = isinstance(it, CkaMeasured | TaskEvaluated) and it.step is not None
        if isinstance(it, StageFinished) and it.stage == "recovered":
            found.append(it.model_copy(update={"reused": True}))
        elif not live and not isinstance(it, training):
            found.append(it)
    run.apply([LoggedEvent(at, 3.0 * at, it) for at, it in enumerate(found, 1)])
    settle(shown)
    why = run.untrained()
    assert why.startswith("recovered was found again")
    assert [tile.chart.empty.text() for tile in tiles] == [why, why]
    assert shown.page.completions._empty._text.text() == why
    shown.page.show_run(shown.run)
    settle(shown)
    assert shown.run.untrained() == ""
    assert not tiles[0].chart.empty.isVisible()
