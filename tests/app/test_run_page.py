"""The run page as a person uses it: linked charts, keys, choices that stay, the stop ladder, what is copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QAction, QGuiApplication, QImage
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QLabel, QMenu, QWidget
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.run import RunViewModel
from app.views.machine_panel import MachinePanel
from app.views.run_page import LEAST_HEIGHT, RunPage
from app.widgets.theme import Theme
from core.events import Event, Failure, Metrics, RunFinished
from core.store.home import Home
from core.store.rows import LoggedEvent
from tests.app.files import Files
from tests.app.sample_runs import STEPS, events, recipe
from tests.app.test_viewmodels_run import row

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", "raise\\(\\)", "grabbing the keyboard")
RECIPE = recipe()
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@dataclass
class Shown:
    """The page with a replayed run, and what it asked of others."""

    page: RunPage
    run: RunViewModel
    settings: Settings
    files: Files
    calls: list[tuple[object, ...]] = field(default_factory=list)


@cache
def recorded(until: int) -> tuple[Event, ...]:
    """The recorded events up to a training step."""
    return tuple(events(RECIPE, until=until))


def replay(status: str = "done", until: int = STEPS, seconds: float = 3.0) -> RunViewModel:
    """A run folded from a recorded list of events; each came `seconds` after the one before. No worker."""
    run = RunViewModel("0123456789abcdef")
    run.describe(row(status, name="fixture", recipe_json=RECIPE.model_dump_json(by_alias=True)))
    made = recorded(until)
    run.apply([LoggedEvent(seq, seconds * seq, event) for seq, event in enumerate(made, 1)])
    run.caught_up()
    return run


@pytest.fixture
def shown(
    home: Home, theme: Theme, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shown]:
    settings, files = Settings(smoothing=0.0), Files(tmp_path)
    application = Application(home, settings)
    page = RunPage(application, settings, theme, files)
    made = Shown(page, replay(), settings, files)
    for name in ("stop", "save_now", "resume"):
        monkeypatch.setattr(
            application, name, lambda *given, name=name: made.calls.append((name, *given))
        )
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    page.activateWindow()
    qtbot.waitExposed(page)
    page.show_run(made.run)
    settle(made)
    yield made
    application.close()
    application.deleteLater()


def _press(qtbot: QtBot, widget: QWidget, key: Qt.Key, held: Qt.KeyboardModifier) -> None:
    """Press keys that only count where the focus is."""
    widget.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(widget.hasFocus)
    qtbot.keyClick(widget, key, held)


def settle(shown: Shown) -> None:
    """Let the page take what changed, and its charts draw it."""
    shown.page.refresh_now()
    for tile in shown.page.area.tiles:
        tile.chart.redraw()


def test_that_zooming_one_chart_moves_all_and_nought_shows_everything(
    shown: Shown, qtbot: QtBot
) -> None:
    first, second = (tile.chart for tile in shown.page.area.tiles)
    whole = first.x_range
    assert second.x_range == whole
    qtbot.keyClick(first, Qt.Key.Key_Plus)
    assert first.x_range[1] - first.x_range[0] < whole[1] - whole[0]
    assert second.x_range == first.x_range
    box = second.plot.getPlotItem().getViewBox()
    box.setXRange(40, 80, padding=0)
    box.sigRangeChangedManually.emit([True, False])  # what a drag or a wheel tells
    assert first.x_range == (40, 80)
    qtbot.keyClick(second, Qt.Key.Key_0)
    settle(shown)
    assert first.x_range == second.x_range == whole
    qtbot.keyClick(first, Qt.Key.Key_Minus)
    assert second.x_range[1] > whole[1]


def test_that_a_chart_added_after_a_zoom_shows_the_same_steps(shown: Shown, qtbot: QtBot) -> None:
    first = shown.page.area.tiles[0].chart
    qtbot.keyClick(first, Qt.Key.Key_Plus)
    shown.page.area.set_shown("entropy", True)
    settle(shown)
    assert shown.page.area.tiles[-1].chart.x_range == first.x_range


def test_that_what_was_zoomed_to_is_kept_by_run_and_axis(shown: Shown, qtbot: QtBot) -> None:
    area = shown.page.area

    def ranges() -> set[tuple[float, float]]:
        settle(shown)
        return {tile.chart.x_range for tile in area.tiles}

    (whole,) = ranges()
    qtbot.keyClick(area.tiles[0].chart, Qt.Key.Key_Plus)
    (zoomed,) = ranges()
    area.x_axis.chosen.emit("tokens")
    (tokens,) = ranges()
    assert tokens[1] > 900 * STEPS
    other = RunViewModel("fedcba9876543210")
    other.apply([LoggedEvent(at, 3.0 * at, it) for at, it in enumerate(recorded(STEPS), 1)])
    area.x_axis.chosen.emit("step")
    assert ranges() == {zoomed}
    shown.page.show_run(other)
    assert ranges() == {whole}
    shown.page.show_run(shown.run)
    assert ranges() == {zoomed}
    again = RunPage(shown.page._application, shown.settings, area._theme, shown.files)
    qtbot.addWidget(again)
    again.show_run(shown.run)
    assert {tile.chart.x_range for tile in again.area.tiles} == {zoomed}
    area.x_axis.chosen.emit("tokens")
    area.set_shown("entropy", True)
    qtbot.keyClick(area.tiles[0].chart, Qt.Key.Key_Plus)
    area.set_shown("loss", True)
    assert len(ranges()) == 1
    area.x_axis.chosen.emit("step")
    qtbot.mouseClick(area.whole, Qt.MouseButton.LeftButton)
    shown.page.show_run(other)
    shown.page.show_run(shown.run)
    assert ranges() == {whole}


def test_that_a_page_with_little_room_scrolls_instead_of_laying_one_part_over_another(
    shown: Shown, qtbot: QtBot
) -> None:
    page = shown.page
    page.resize(840, 420)
    qtbot.waitUntil(lambda: page.scroller.verticalScrollBar().maximum() > 0)
    view = page.completions.view
    assert page.halves.height() == LEAST_HEIGHT
    assert view.student.height() > 0
    assert view.student.geometry().top() >= view.prompt.geometry().bottom()
    assert view.student.geometry().bottom() <= view.figures.geometry().top()
    page.resize(1104, 736)
    qtbot.waitUntil(lambda: page.scroller.verticalScrollBar().maximum() == 0)


def test_that_the_next_chart_is_made_before_it_is_asked_for(shown: Shown, qtbot: QtBot) -> None:
    area = shown.page.area
    for key in ("entropy", "loss"):
        qtbot.waitUntil(lambda: len(area._spare) == 1)
        (ready,) = area._spare
        assert not ready.isVisible()
        area.set_shown(key, True)
        assert area.tiles[-1] is ready
        assert ready.isVisible()


def test_that_a_run_that_is_deleted_while_it_is_shown_leaves_an_empty_page(
    shown: Shown, qtbot: QtBot
) -> None:
    gone = replay()
    shown.page.show_run(gone)
    gone.deleteLater()
    qtbot.waitUntil(lambda: shown.page.run is None)
    assert shown.page.stack.currentWidget() is shown.page.empty
    assert not any(it.enabled() for it in shown.page.page_actions())
    shown.page.show_run(shown.run)
    settle(shown)
    assert shown.page.title.whole() == "fixture"


def test_that_the_crosshair_tells_the_values_of_the_curves_in_every_chart(
    shown: Shown, qtbot: QtBot
) -> None:
    area = shown.page.area
    area.set_shown("entropy", True)
    settle(shown)
    first = area.tiles[0].chart
    box = first.plot.getPlotItem().getViewBox()
    (curve,) = shown.run.series("divergence")
    middle = (box.viewRange()[1][0] + box.viewRange()[1][1]) / 2
    first.plot.scene().sigMouseMoved.emit(box.mapViewToScene(QPointF(100.2, middle)))
    assert f"Divergence to teacher {curve.y[99]:.4g}" in first.readout.text()
    (entropy,) = shown.run.series("entropy")
    assert [tile.chart.cross.at for tile in area.tiles] == [100.0] * 3
    assert area.tiles[2].chart.readout.text() == f"{entropy.y[99]:.4g}"
    (band,) = shown.run.accuracy()["tooluse"]
    assert f"{band.y[list(band.x).index(100)]:.4g}" in area.tiles[1].chart.readout.text()


def test_that_arrow_keys_walk_along_the_points_and_from_mark_to_mark(
    shown: Shown, qtbot: QtBot
) -> None:
    first = shown.page.area.tiles[0].chart
    qtbot.keyClick(first, Qt.Key.Key_Left)
    assert first.cross.at == STEPS
    qtbot.keyClick(first, Qt.Key.Key_Left)
    assert first.cross.at == STEPS - 1
    qtbot.keyClick(first, Qt.Key.Key_Left, SHIFT)
    assert first.cross.at == STEPS - 11
    qtbot.keyClick(first, Qt.Key.Key_Left, CTRL)
    assert first.cross.at == 60
    assert "Completions speak of the example" in first.readout.text()
    assert first.accessibleDescription() == first.readout.text()
    qtbot.keyClick(first, Qt.Key.Key_Right)
    assert first.cross.at == 61
    assert "Completions speak" not in first.readout.text().split("step 61")[0]


def test_that_a_mark_tells_its_warning_under_the_pointer(shown: Shown) -> None:
    chart = shown.page.area.tiles[0].chart
    box = chart.plot.getPlotItem().getViewBox()
    middle = sum(box.viewRange()[1]) / 2
    near = box.mapViewToScene(QPointF(60, middle)) + QPointF(3, 0)
    chart.plot.scene().sigMouseMoved.emit(near)
    assert chart.cross.at == 60
    assert "Completions speak of the example" in chart.readout.text()


def test_that_steps_can_stand_at_their_tokens_or_their_time(shown: Shown) -> None:
    area = shown.page.area
    area.x_axis.chosen.emit("tokens")
    settle(shown)
    (line,) = area.tiles[0].chart.lines()
    assert line.x.tolist() == [900.0 * step for step in range(1, STEPS + 1)]
    (accuracy,) = area.tiles[1].chart.lines()
    assert accuracy.x.tolist() == [18_000.0 * count for count in range(1, 11)]
    (band,) = shown.run.accuracy()["tooluse"]
    for found, known in zip((accuracy.low, accuracy.high), (band.low, band.high), strict=True):
        np.testing.assert_array_equal(found, known)
    assert {mark.x for mark in area.tiles[0].chart.references.marks} == {54_000.0}
    area.x_axis.chosen.emit("time")
    settle(shown)
    (line,) = area.tiles[0].chart.lines()
    assert np.all(np.diff(line.x) >= 3.0)
    assert shown.settings.views["run.x_axis"] == "time"
    chart = area.tiles[0].chart
    chart.show_at(float(line.x[99]))
    assert f"time at work {int(line.x[99]) // 60} m" in chart.readout.text()


def test_that_another_axis_or_run_takes_crosshair_and_readouts_away(
    shown: Shown, qtbot: QtBot
) -> None:
    area, cka = shown.page.area, shown.page.cka
    chart = area.tiles[0].chart
    chart.show_at(100)
    assert chart.readout.isVisible()
    area.x_axis.chosen.emit("tokens")
    assert [tile.chart.cross.at for tile in area.tiles] == [None, None]
    assert not chart.readout.isVisible()
    chart.show_at(9000)
    qtbot.keyClick(cka.map, Qt.Key.Key_Left)
    assert cka.map.readout.isVisible()
    shown.page.show_run(replay("running", until=40))
    assert not chart.readout.isVisible()
    assert not cka.map.readout.isVisible()


def test_that_charts_reached_by_keys_have_a_ring(shown: Shown, theme: Theme, qtbot: QtBot) -> None:
    for panel in (shown.page.area.tiles[0].chart, shown.page.cka.map):
        corners = []
        for reason in (Qt.FocusReason.MouseFocusReason, Qt.FocusReason.TabFocusReason):
            shown.page.more.setFocus()
            panel.setFocus(reason)
            qtbot.waitUntil(panel.hasFocus)
            corners.append(panel.grab().toImage().pixelColor(1, panel.height() // 2).name())
        assert corners[0] != theme.tokens.accent
        assert corners[1] == theme.tokens.accent


def test_that_any_metric_can_be_the_horizontal_axis(shown: Shown) -> None:
    area = shown.page.area
    area.x_axis.chosen.emit("entropy")
    settle(shown)
    (line,) = area.tiles[0].chart.lines()
    (entropy,), (divergence,) = shown.run.series("entropy"), shown.run.series("divergence")
    order = np.argsort(entropy.y, kind="stable")
    assert line.scattered
    assert line.x.tolist() == entropy.y[order].tolist()
    assert line.y.tolist() == divergence.y[order].tolist()


def test_that_the_pause_before_a_resume_is_no_time_at_work() -> None:
    run = RunViewModel("u")
    begun = events(RECIPE)[0]
    run.apply(
        [
            LoggedEvent(1, 100.0, begun),
            LoggedEvent(2, 110.0, Metrics(stage="recovered", step=1, values={"loss": 1.0})),
            LoggedEvent(3, 9000.0, begun),
            LoggedEvent(4, 9005.0, Metrics(stage="recovered", step=2, values={"loss": 1.0})),
        ]
    )
    assert run.along("time", "recovered", np.array([1.0, 2.0])).tolist() == [10.0, 15.0]
    assert [axis.key for axis in run.axes()] == ["step", "time", "loss"]
    assert np.isnan(run.along("tokens", "recovered", np.array([1.0]))).all()


def test_that_smoothing_log_and_clipping_reach_all_charts_and_are_remembered(
    shown: Shown, qtbot: QtBot
) -> None:
    area = shown.page.area
    chart = area.tiles[0].chart
    (line,) = chart.lines()
    axis = chart.plot.getPlotItem().getViewBox()
    whole = axis.viewRange()[1]
    assert whole[1] > np.max(line.y)
    qtbot.keyClick(area.clip, Qt.Key.Key_Space)
    settle(shown)
    low, high = np.percentile(line.y, (1, 99))
    assert whole[0] < axis.viewRange()[1][0] < low
    assert high < axis.viewRange()[1][1] < whole[1]
    qtbot.keyClick(area.log, Qt.Key.Key_Space)
    qtbot.keyClick(area.clip, Qt.Key.Key_Space)
    settle(shown)
    assert axis.viewRange()[1][1] == pytest.approx(np.log10(np.max(line.y)), abs=0.1)
    assert area.tiles[1].chart.plot.getPlotItem().getViewBox().viewRange()[1][1] > 20  # per cent
    area.smoothing.chosen.emit("0.9")
    settle(shown)
    drawn = [it for it in chart.plot.getPlotItem().items if getattr(it, "xData", None) is not None]
    assert sum(bool(it.isVisible() and it.xData.size) for it in drawn) == 2
    assert shown.settings.smoothing == 0.9
    assert (shown.settings.views["run.log"], shown.settings.views["run.clip"]) == ("on", "")


def test_that_charts_are_chosen_taken_away_and_remembered(
    shown: Shown, theme: Theme, qtbot: QtBot
) -> None:
    area = shown.page.area
    menu = area.choose_charts()
    by_name = {action.text(): action for action in menu.actions()}
    assert {name for name, it in by_name.items() if it.isChecked()} == {
        "Divergence to teacher",
        "Accuracy: Tooluse",
    }
    by_name["Tokens per second"].trigger()
    menu.close()
    assert area.shown() == ["divergence", "accuracy/tooluse", "tokens_per_second"]
    made = area.tiles[2]
    qtbot.mouseClick(area.tiles[1].cross, Qt.MouseButton.LeftButton)
    assert area.shown() == ["divergence", "tokens_per_second"]
    assert shown.settings.views["run.charts"] == "divergence,tokens_per_second"
    area.set_shown("entropy", True)
    assert area.tiles[2] is made  # plots are used again, never made anew
    for key in ("divergence", "tokens_per_second", "entropy"):
        area.set_shown(key, False)
    assert area.shown() == ["entropy"]  # the last one stays


def test_that_a_chart_out_of_sight_is_not_drawn_until_it_is_scrolled_to(
    shown: Shown, qtbot: QtBot
) -> None:
    area = shown.page.area
    for key in ("entropy", "completion_length", "grad_norm", "learning_rate"):
        area.set_shown(key, True)
    last = area.tiles[-1].chart
    qtbot.waitUntil(lambda: last.visibleRegion().isEmpty())
    qtbot.wait(150)
    drawn = last.draws
    area.refresh()
    qtbot.wait(250)
    assert last.draws == drawn
    bar = area.scroller.verticalScrollBar()
    bar.setValue(bar.maximum())
    qtbot.waitUntil(lambda: last.draws > drawn)
    assert last.lines()


def test_that_choosing_what_stands_elsewhere_lets_two_charts_change_places(shown: Shown) -> None:
    area = shown.page.area
    area.tiles[0].chosen.emit("accuracy/tooluse")
    assert area.shown() == ["accuracy/tooluse", "divergence"]


def test_that_memory_is_one_of_the_charts() -> None:
    run = RunViewModel("u")
    begun = events(RECIPE)[0]
    taken = Metrics(stage="recovered", step=1, values={"memory": 1.5})
    run.apply([LoggedEvent(1, 1.0, begun), LoggedEvent(2, 2.0, taken)])
    (curve,) = run.series("memory")
    assert (curve.title, curve.unit, curve.y.tolist()) == ("Memory of the training", "GiB", [1.5])


def test_that_the_slider_goes_through_the_steps_of_both_layouts(shown: Shown, qtbot: QtBot) -> None:
    cka = shown.page.cka
    live = shown.run.cka_live()
    assert live is not None
    assert cka.slider.maximum() == len(live.cols) - 1
    qtbot.keyClick(cka.slider, Qt.Key.Key_Left)
    assert cka.at.text() == "step 195"
    assert cka.profile.curve.yData.size == len(live.rows)
    np.testing.assert_allclose(cka.profile.curve.xData, live.values[:, -2])
    cka.layout_choice.choose("layers")
    assert cka.at.text() == "step 195"
    before = cka.map.as_tsv()
    qtbot.keyClick(cka.slider, Qt.Key.Key_Home)
    assert cka.at.text() == "step 5"
    assert cka.map.as_tsv() != before
    shown_map = shown.run.cka_map("recovered", 5)
    assert shown_map is not None
    assert cka.how.whole() == shown_map.caption
    for part in ("step 5", "against base", "debiased", "64 items of probe", "null floor 0.12"):
        assert part in cka.how.whole()


def test_that_the_curve_of_a_column_shows_under_pointer_and_keys_with_its_floor(
    shown: Shown, qtbot: QtBot
) -> None:
    cka = shown.page.cka
    live = shown.run.cka_live()
    assert live is not None
    box = cka.map.plot.getPlotItem().getViewBox()
    cka.map.hover(box.mapViewToScene(QPointF(3.5, 10.5)))
    np.testing.assert_allclose(cka.profile.curve.xData, live.values[:, 3])
    np.testing.assert_allclose(cka.profile.floor.xData, 0.12)
    assert [it.text() for it in cka.profile.plot.findChildren(QLabel)] == ["step 20"]
    cka.map.hover(QPointF(-5, -5))
    np.testing.assert_allclose(cka.profile.curve.xData, live.values[:, -1])
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Down):
        qtbot.keyClick(cka.map, key)
    np.testing.assert_allclose(cka.profile.curve.xData, live.values[:, -2])
    assert cka.map.readout.text().startswith("layer 29 · step 195 · ")


def test_that_the_range_of_the_colours_is_chosen_or_dragged_and_remembered(
    shown: Shown, qtbot: QtBot
) -> None:
    cka = shown.page.cka
    cka.range.chosen.emit("0.9")
    assert cka.map.levels == (0.9, 1.0)
    assert shown.settings.views["run.cka_range"] == "0.9"
    cka.map.bar.setLevels((0.25, 0.75))
    cka.map.bar.sigLevelsChangeFinished.emit(cka.map.bar)
    assert cka.range.currentText() == "0.25 to 0.75"
    cka.refresh()
    assert cka.map.levels == (0.25, 0.75)
    again = RunPage(shown.page._application, shown.settings, cka.map._theme, shown.files)
    qtbot.addWidget(again)
    again.show_run(shown.run)
    assert again.cka.map.levels == (0.25, 0.75)
    assert again.cka.range.currentText() == "0.25 to 0.75"
    cka.range.chosen.emit("fit")
    assert cka.map.levels[1] > 0.99


def test_that_best_and_worst_go_by_the_mean_divergence_within_step_and_search(
    shown: Shown, qtbot: QtBot
) -> None:
    card = shown.page.completions
    found = shown.run.completions()
    by_kl = sorted(found, key=lambda it: it.kl)
    card.pick.choose("best")
    assert card._shown is by_kl[0]
    card.pick.choose("worst")
    assert card._shown is by_kl[-1]
    card.steps.setCurrentIndex(card.steps.findData("40"))
    card.steps.chosen.emit("40")
    assert card._shown is not None
    assert card._shown.step == 40
    card.steps.setCurrentIndex(0)
    card.steps.chosen.emit("")
    _press(qtbot, card.view.student, Qt.Key.Key_F, CTRL)
    qtbot.keyClicks(card.search, "tooluse-0100")
    assert card._shown.step == 100
    assert card.count.whole() == f"1 of {len(found)}"
    card.search.setText("axolotl")
    assert card.view.student.extraSelections()
    assert card.view.demonstration.extraSelections()
    card.search.setText("no such word")
    assert card.count.whole() == f"0 of {len(found)}"
    assert card.view.student.extraSelections() == []


def test_that_completions_are_paged_by_keys(shown: Shown, qtbot: QtBot) -> None:
    card = shown.page.completions
    found = shown.run.completions()
    qtbot.keyClick(shown.page, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert card._shown is found[-2]
    qtbot.keyClick(shown.page, Qt.Key.Key_Right, Qt.KeyboardModifier.AltModifier)
    assert card._shown is found[-1]


def test_that_the_token_at_the_cursor_tells_its_divergence(shown: Shown, qtbot: QtBot) -> None:
    view = shown.page.completions.view
    shown_one = shown.run.completions()[-1]
    view.student.setFocus()
    qtbot.waitUntil(view.student.hasFocus)
    for _ in range(len("".join(shown_one.tokens[:4])) + 1):
        qtbot.keyClick(view.student, Qt.Key.Key_Right)
    nats = shown_one.divergence[4]
    assert nats is not None
    assert view.figures.whole().startswith(f"“{shown_one.tokens[4]}” {nats:.3f} nats")
    assert "top-1 agreement 86 %" in view.figures.whole()


def test_that_a_row_of_the_guards_shows_its_step_in_the_charts(shown: Shown, qtbot: QtBot) -> None:
    guards = shown.page.details.guards
    shown.page.details.side.choose("guards")
    rows = [it.step for it in shown.run.guards()]
    assert 60 in rows
    shown.page.area.tiles[0].chart.take_range(150, 200)
    guards.setCurrentCell(rows.index(60), 0)
    qtbot.keyClick(guards, Qt.Key.Key_Return)
    for tile in shown.page.area.tiles:
        assert tile.chart.cross.at == 60
        low, high = tile.chart.x_range
        assert low < 60 < high


def test_that_the_log_is_searched_narrowed_and_copied(shown: Shown, qtbot: QtBot) -> None:
    log = shown.page.details.log_panel
    shown.page.details.side.choose("log")
    everything = log.text.toPlainText().splitlines()
    assert len(everything) == len(shown.run.log())
    _press(qtbot, log.text, Qt.Key.Key_F, CTRL)
    qtbot.waitUntil(log.search.hasFocus)
    qtbot.keyClicks(log.search, "SCIENCE")
    hits = log.text.toPlainText().splitlines()
    assert hits == [line for line in everything if "science" in line.lower()]
    assert log.count.whole() == f"{len(hits)} of {len(everything)}"
    qtbot.keyClick(log.copy, Qt.Key.Key_Return)
    assert QGuiApplication.clipboard().text().splitlines() == hits
    log.search.clear()
    log.level.setCurrentIndex(log.level.findData("warning"))
    log.level.chosen.emit("warning")
    assert [line.count("(step 60)") for line in log.text.toPlainText().splitlines()] == [1]


def test_that_a_long_log_comes_in_slices_and_follows_the_end_unless_one_scrolled_up(
    shown: Shown, qtbot: QtBot
) -> None:
    log = shown.page.details.log_panel
    shown.page.details.side.choose("log")
    lines = shown.run._fold.journal.lines
    lines += [lines[0]] * 6000
    log.refresh()
    assert log.text.document().blockCount() < 6000  # the rest comes in the next turns
    qtbot.waitUntil(lambda: log.text.document().blockCount() == len(lines), timeout=10_000)
    bar = log.text.verticalScrollBar()
    assert bar.value() == bar.maximum()
    bar.setValue(bar.maximum() // 2)
    at = bar.value()
    lines.append(lines[0])
    log.refresh()
    assert bar.value() == at


def test_that_every_rung_of_the_ladder_is_shown_while_it_happens(
    shown: Shown, qtbot: QtBot
) -> None:
    run = replay("running", until=40)
    shown.page.show_run(run)
    settle(shown)
    page = shown.page
    assert not page.rung.isVisible()
    qtbot.keyClick(page, Qt.Key.Key_S, CTRL | SHIFT)
    qtbot.keyClick(page, Qt.Key.Key_S, CTRL)
    assert shown.calls == [("stop", run.uid, True), ("save_now", run.uid)]
    for phase, words in (
        ("asked", "asked to stop"),
        ("saving", "saving"),
        ("terminating", "ending"),
    ):
        run.set_phase(phase)
        page.refresh_now()
        assert page.rung.isVisible()
        assert page.rung.accessibleName().startswith(words)
        assert not page.stop.isVisible()
        assert not page.save_now.isVisible()
    qtbot.keyClick(page, Qt.Key.Key_S, CTRL | SHIFT)
    assert len(shown.calls) == 2  # it was asked already


def test_that_a_run_that_does_not_stop_is_ended_by_force_when_the_loss_was_said_yes_to(
    shown: Shown, qtbot: QtBot
) -> None:
    run = replay("running", until=40)
    shown.page.show_run(run)
    settle(shown)
    assert not shown.page.force.isVisible()
    run.set_phase("asked")
    shown.page.refresh_now()
    qtbot.mouseClick(shown.page.force, Qt.MouseButton.LeftButton)
    assert shown.calls == [("stop", run.uid, False)]
    run.ended("interrupted")
    shown.page.refresh_now()
    assert not shown.page.force.isVisible()
    assert shown.page.resume.isVisible()


def test_that_a_run_whose_worker_is_on_its_way_is_starting_and_can_be_stopped(
    shown: Shown, qtbot: QtBot
) -> None:
    for before in ("queued", "stopped"):
        run = replay(before, until=0)
        run.set_phase("starting")
        shown.page.show_run(run)
        settle(shown)
        assert shown.page.status.accessibleName() == "starting"
        assert not shown.page.rung.isVisible()
        assert not shown.page.save_now.isEnabled()
        assert not shown.page.resume.isVisible()
        qtbot.mouseClick(shown.page.stop, Qt.MouseButton.LeftButton)
        assert shown.calls.pop() == ("stop", run.uid, True)
        run.set_phase("running")
        shown.page.refresh_now()
        assert shown.page.status.accessibleName() == "running"


def test_that_a_run_in_the_queue_is_queued_and_leaves_it(shown: Shown, qtbot: QtBot) -> None:
    run = replay("stopped")
    shown.page.show_run(run)
    settle(shown)
    assert shown.page.resume.isVisible()
    run.set_waiting(True)
    shown.page.refresh_now()
    assert shown.page.status.accessibleName() == "queued"
    assert not shown.page.resume.isVisible()
    qtbot.mouseClick(shown.page.leave, Qt.MouseButton.LeftButton)
    assert shown.calls == [("stop", run.uid, True)]
    run.set_waiting(False)
    shown.page.refresh_now()
    assert shown.page.status.accessibleName() == "stopped"
    assert not shown.page.leave.isVisible()


def test_that_escape_stops_and_closes_nothing(shown: Shown, qtbot: QtBot) -> None:
    run = replay("running", until=40)
    shown.page.show_run(run)
    settle(shown)
    for widget in (shown.page, shown.page.area.tiles[0].chart, shown.page.cka.map):
        qtbot.keyClick(widget, Qt.Key.Key_Escape)
    assert shown.calls == []
    assert shown.page.isVisible()
    assert shown.page.run is run


def test_that_actions_say_what_is_possible_now(shown: Shown) -> None:
    def possible() -> set[str]:
        return {it.title for it in shown.page.page_actions() if it.enabled()}

    assert "Use these settings" in possible()
    assert not possible() & {"Stop and save", "Checkpoint now", "Resume"}
    shown.page.show_run(replay("running", until=40))
    assert possible() >= {"Stop and save", "Checkpoint now", "Stop and discard…"}
    keys = [it.keys for it in shown.page.page_actions() if it.keys]
    assert len(keys) == len(set(keys))


def test_that_a_picture_carries_its_provenance_and_is_not_empty(
    shown: Shown, theme: Theme, qtbot: QtBot, tmp_path: Path
) -> None:
    shown.page._application.begin()
    chart = shown.page.area.tiles[0].chart
    _press(qtbot, chart, Qt.Key.Key_E, CTRL | SHIFT)
    qtbot.waitUntil((tmp_path / "picture.png").exists)
    picture = QImage(str(tmp_path / "picture.png"))
    colours = {
        picture.pixelColor(x, y).name()
        for x in range(picture.width())
        for y in range(picture.height())
    }
    assert theme.tokens.recovered in colours
    assert picture.text("Title") == "Divergence to teacher"
    assert {"run fixture (01234567)", "seed 42"} <= set(picture.text("Description").split("\n"))
    assert shown.files.suggested == ["fixture-divergence-to-teacher.png"]
    shown.files.name = "picture.svg"
    _press(qtbot, chart, Qt.Key.Key_E, CTRL | SHIFT)
    qtbot.waitUntil((tmp_path / "picture.svg").exists)
    text = (tmp_path / "picture.svg").read_text()
    for words in (
        "Divergence to teacher",
        "run fixture (01234567)",
        "seed 42",
        ">50<",
        ">100<",
        ">step<",
    ):
        assert words in text
    assert text.count("<path") + text.count("<polyline") > 5
    renderer = QSvgRenderer(str(tmp_path / "picture.svg"))
    assert renderer.isValid()
    assert renderer.defaultSize().width() > chart.plot.width()
    shown.files.name = "map.svg"
    _press(qtbot, shown.page.cka.map, Qt.Key.Key_E, CTRL | SHIFT)
    qtbot.waitUntil((tmp_path / "map.svg").exists)
    text = (tmp_path / "map.svg").read_text()
    assert "<image" in text
    assert "null floor" in text


def test_that_a_picture_that_cannot_be_written_is_told(shown: Shown, qtbot: QtBot) -> None:
    told: list[str] = []
    application = shown.page._application
    application.message.connect(lambda level, text, hint: told.append(f"{level}: {text}"))
    application.begin()
    shown.files.name = "no such folder/picture.png"
    _press(qtbot, shown.page.area.tiles[0].chart, Qt.Key.Key_E, CTRL | SHIFT)
    qtbot.waitUntil(lambda: bool(told))
    assert told[0].startswith("error: The picture was not saved in ")


def test_that_the_numbers_of_charts_and_maps_are_copied(shown: Shown, qtbot: QtBot) -> None:
    _press(qtbot, shown.page.area.tiles[0].chart, Qt.Key.Key_C, CTRL)
    lines = QGuiApplication.clipboard().text().split("\n")
    (curve,) = shown.run.series("divergence")
    assert lines[0] == "step\tDivergence to teacher"
    numbers = [line for line in lines if not line.startswith("# ")]
    assert len(numbers) == len(curve.x) + 1
    origin = ("Divergence to teacher", "run fixture (01234567)", "checkpoint recovered")
    assert lines[len(numbers) :][:3] == [f"# {line}" for line in origin]
    assert lines[-1] == "# seed 42"
    step, value = lines[7].split("\t")
    assert float(step) == 7
    assert float(value) == pytest.approx(curve.y[6])
    _press(qtbot, shown.page.area.tiles[1].chart, Qt.Key.Key_C, CTRL)
    head = QGuiApplication.clipboard().text().split("\n")[0]
    assert head.split("\t") == ["step", "recovered", "recovered low", "recovered high"]
    _press(qtbot, shown.page.cka.map, Qt.Key.Key_C, CTRL)
    lines = QGuiApplication.clipboard().text().split("\n")
    assert lines[0].split("\t")[:3] == ["layer \\ step", "5", "10"]
    assert len([line for line in lines if not line.startswith("# ")]) == 33
    assert "# run fixture (01234567)" in lines
    assert any("64 items of probe" in line for line in lines if line.startswith("# "))


def test_that_the_menu_of_a_chart_opens_at_its_key(shown: Shown, qtbot: QtBot) -> None:
    tile = shown.page.area.tiles[0]
    tile.chart.menu_wanted.emit(tile.mapToGlobal(tile.rect().center()))
    (menu,) = [it for it in shown.page.findChildren(QMenu) if it.isVisible()]
    actions: dict[str, QAction] = {it.text(): it for it in menu.actions()}
    actions["Take this chart away"].trigger()
    menu.close()
    assert shown.page.area.shown() == ["accuracy/tooluse"]


def test_that_a_failure_names_its_class_and_diagnostics_leave_out_what_is_private(
    shown: Shown, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "marie")
    monkeypatch.setattr("platform.node", lambda: "workbench7")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/marie"))
    run = replay("running", until=40)
    begun = events(RECIPE)[0].model_copy(
        update={
            "environment": {"torch": "2.7.1", "cache": "/home/marie/.cache", "host": "workbench7"}
        }
    )
    message = (
        "Reading /home/marie/models and /home/paul/x with hf_abcdefghijklmnop failed for marie."
    )
    failure = Failure(failure="data", message=message, hint="See https://a:secret@hub/x?token=abc.")
    run.apply(
        [
            LoggedEvent(9001, 1e4, begun),
            LoggedEvent(9002, 1e4, RunFinished(status="failed", seconds=1.0, failure=failure)),
        ]
    )
    run.describe(row("failed", name="fixture", failure="data", failure_message=message))
    shown.page.show_run(run)
    settle(shown)
    assert shown.page.status.accessibleName() == "failed: data"
    assert message in shown.page.failure.accessibleName()
    told = [it.text() for it in shown.page.failure.findChildren(QLabel) if it.isVisible()]
    last = [f"{it.clock}  {it.text}" for it in run.log() if not it.text.startswith("Run ")][-2:]
    assert told[-1].endswith("\n".join(last))
    shown.page.copy_diagnostics()
    text = QGuiApplication.clipboard().text()
    for private in ("marie", "paul", "workbench7", "hf_abc", "secret", "token=abc"):
        assert private not in text, private
    for wanted in (
        "failed: data",
        "torch 2.7.1",
        "~/.cache",
        "kind: sdft",
        "recovered: started on cpu",
    ):
        assert wanted in text, wanted


def test_that_details_take_one_more_panel(shown: Shown, qtbot: QtBot) -> None:
    panel = QLabel("more")
    shown.page.details.add_panel("more", "More", panel)
    shown.page.details.side.choose("more")
    assert panel.isVisible()
    assert shown.page.details.heading.whole() == "More"
    assert shown.settings.views["run.details"] == "more"


def test_that_the_machine_stands_beside_the_log(shown: Shown) -> None:
    assert shown.page.findChildren(MachinePanel) == []  # made when it is looked at
    shown.page.details.side.choose("machine")
    (panel,) = shown.page.findChildren(MachinePanel)
    assert panel.isVisible()
