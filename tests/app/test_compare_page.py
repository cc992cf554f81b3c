"""The page of comparisons: scores, curves and differences, and charts that are kept as pictures and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.compare import CompareViewModel
from app.viewmodels.types import RunSummary
from app.views.compare_looks import Looks, run_hue
from app.views.compare_page import ComparePage
from app.widgets.theme import Theme
from tests.app.conftest import Sample
from tests.app.files import Files

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)", "grabbing the keyboard")

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@dataclass
class Desk:
    """The page over the sample runs."""

    page: ComparePage
    model: CompareViewModel
    settings: Settings
    files: Files
    runs: dict[str, str]

    def compare(self, qtbot: QtBot, *names: str) -> None:
        self.model.set_runs([self.runs[name] for name in names])
        qtbot.waitUntil(
            lambda: not self.model.loading and bool(self.model.table().lines), timeout=15_000
        )
        self.page.refresh_now()
        self.page.charts.overlay.redraw()
        self.page.charts.profile.redraw()


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def desk(
    sample: Sample, settings: Settings, theme: Theme, qtbot: QtBot, tmp_path: Path
) -> Iterator[Desk]:
    application = Application(sample.home, settings)
    application.begin()
    qtbot.waitUntil(lambda: application.runs.rowCount() == len(sample.runs), timeout=10_000)
    files = Files(tmp_path, "picture.svg")
    page = ComparePage(application, settings, theme, files)
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    qtbot.waitExposed(page)
    yield Desk(page, application.compare, settings, files, sample.runs)
    application.close()
    application.deleteLater()


def test_that_comparing_shows_scores_curves_and_differences(desk: Desk, qtbot: QtBot) -> None:
    page = desk.page
    assert page.empty.isVisible()
    desk.compare(qtbot, "done", "pruned")
    qtbot.waitUntil(lambda: page.scores.rowCount() == 4, timeout=5000)
    assert page.differences.rowCount() > 0
    overlay, profile = page.charts.overlay, page.charts.profile
    assert [button.text() for button in overlay.legend.buttons.values()] == ["A", "B"]
    names = [button.text() for button in profile.legend.buttons.values()]
    assert names == ["A nf4", "A recovered", "B pruned", "B recovered"]
    assert [line.dashed for line in profile.lines()] == [True, False, True, False]
    table = page.scores
    for place in range(table.columnCount()):
        assert table.columnWidth(place) >= table.sizeHintForColumn(place), place
    page.charts.which.chosen.emit("accuracy:tooluse")
    overlay.redraw()
    assert not overlay.empty.isVisible()
    desk.model.remove_run(desk.runs["pruned"])
    qtbot.waitUntil(lambda: page.scores.rowCount() == 2, timeout=5000)


def test_that_a_picture_of_a_comparison_names_every_run_with_its_letter(
    desk: Desk, qtbot: QtBot, tmp_path: Path
) -> None:
    desk.compare(qtbot, "done", "pruned")
    qtbot.keyClick(desk.page, Qt.Key.Key_E, CTRL | SHIFT)
    qtbot.waitUntil((tmp_path / "picture.svg").exists)
    first, second = desk.model.runs()
    text = (tmp_path / "picture.svg").read_text()
    for run in (first, second):
        assert f"{run.letter} · run {run.name} ({run.uid[:8]})" in text
    assert "Divergence to teacher" in text
    assert "checkpoint recovered" in text
    assert "smoothed, EMA 0.6" in text
    desk.files.name = "profile.svg"
    desk.page.charts.profile.setFocus()
    qtbot.keyClick(desk.page.charts.profile, Qt.Key.Key_E, CTRL | SHIFT)
    qtbot.waitUntil((tmp_path / "profile.svg").exists)
    text = (tmp_path / "profile.svg").read_text()
    assert "CKA by layer" in text
    assert "items of " in text  # the probe, which is the dataset of CKA
    assert "smoothed" not in text
    assert desk.files.suggested[1].endswith("-cka-by-layer.png")


def test_that_the_source_of_scores_names_the_scored_dataset_not_the_trained_one(
    desk: Desk, qtbot: QtBot
) -> None:
    desk.compare(qtbot, "done")
    run = desk.model._runs[desk.runs["done"]].model
    assert run.recipe is not None
    known = run.recipe.tasks["tooluse"]
    assert f"dataset {known.dataset or 'tooluse'}" in desk.model.task_source("tooluse")
    assert "dataset" not in desk.model.profile_source()
    assert desk.model.metric_source("divergence").startswith(f"run {run.name}")


def test_that_the_numbers_of_the_curves_are_copied(desk: Desk, qtbot: QtBot) -> None:
    desk.compare(qtbot, "done", "pruned")
    overlay = desk.page.charts.overlay
    overlay.setFocus()
    qtbot.keyClick(overlay, Qt.Key.Key_C, CTRL)
    told = QGuiApplication.clipboard().text().split("\n")
    lines = [line for line in told if not line.startswith("# ")]
    first, second = desk.model.runs()
    for run in (first, second):
        start = f"# {run.letter} · run {run.name} ({run.uid[:8]})"
        assert any(line.startswith(start) for line in told), start
    curves = desk.model.overlay("divergence")
    assert lines[0].split("\t") == ["step", "A", "B"]
    assert len(lines) - 1 == len({float(x) for curve in curves for x in curve.x})
    assert float(lines[1].split("\t")[1]) == pytest.approx(curves[0].y[0])


def test_that_the_menu_of_a_chart_saves_it(desk: Desk, qtbot: QtBot, tmp_path: Path) -> None:
    desk.compare(qtbot, "done", "pruned")
    profile = desk.page.charts.profile
    desk.files.name = "menu.png"
    profile.menu_wanted.emit(profile.mapToGlobal(profile.rect().center()))
    (menu,) = [it for it in desk.page.findChildren(QMenu) if it.isVisible()]
    {it.text(): it for it in menu.actions()}["Save as a picture…"].trigger()
    menu.close()
    qtbot.waitUntil((tmp_path / "menu.png").exists)


def test_that_metric_and_smoothing_are_remembered(
    desk: Desk, theme: Theme, qtbot: QtBot, tmp_path: Path
) -> None:
    desk.compare(qtbot, "done", "pruned")
    charts = desk.page.charts
    for picker in (charts.which, charts.smoothing):
        picker.setFocus()
        qtbot.keyClick(picker, Qt.Key.Key_End)
    metric, smoothing = charts.which.key(), charts.smoothing.key()
    assert (metric, smoothing) != ("divergence", "0.6")
    again = ComparePage(desk.page._application, desk.settings, theme, desk.files)
    qtbot.addWidget(again)
    assert again.charts.which.key() == metric
    assert again.charts.smoothing.key() == smoothing
    assert again.charts.overlay.title == desk.model.key_title(metric)[0]


def test_that_curves_of_one_run_are_shades_of_its_hue_and_dashes_take_none(theme: Theme) -> None:
    runs = [
        RunSummary("1" * 12, name, name, "done", "done", letter=letter)
        for name, letter in (("one", "A"), ("two", "B"))
    ]
    looks = Looks(theme, runs)
    dashed = looks.next("one", "nf4", "degraded", shaded=False)
    curves = [looks.next("one", stage, "recovered") for stage in ("sdft", "sft", "again", "more")]
    other = looks.next("two", "sdft", "recovered", alone=True)
    assert dashed == ("A nf4", run_hue(theme, 0))
    assert curves[0] == ("A sdft", run_hue(theme, 0))
    assert len({colour for _, colour in curves}) == len(curves)
    assert other == ("B", run_hue(theme, 1))
    alone = Looks(theme, [replace(runs[0], letter="")])
    assert alone.next("one", "sdft", "recovered") == ("sdft", "recovered")
