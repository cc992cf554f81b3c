"""The page Models: the lineage by mouse and keyboard, deleting with a way back, adding, exporting, jobs."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels import model_words
from app.viewmodels.application import Application
from app.viewmodels.model_table import COLUMNS, CheckpointsModel
from app.viewmodels.models import there
from app.views.checkpoints_panel import CheckpointsPanel
from app.views.data_panel import DataPanel
from app.views.density import ROW_HEIGHTS
from app.views.dialogs import Dialogs
from app.views.export_menu import OTHER_PRECISION
from app.views.models_page import ModelsPage
from app.widgets.forest import GraphNode
from app.widgets.forest import lay_out as place
from app.widgets.lineage import LineageGraph
from app.widgets.lineage_paint import mark_of
from app.widgets.theme import Theme
from core.engine.shelf import ShelfReader
from core.events import RunFinished, TaskEvaluated
from core.lm.checkpoint import folder_of
from core.store.home import Home
from core.store.store import Store
from tests.helpers.fake_hub import REPOSITORY, FakeHub
from tests.helpers.shelf import ids, later_run, lay_out, shipped_base

pytestmark = pytest.mark.qt_log_ignore(
    "propagateSizeHints", "does not support raise", "grabbing the keyboard"
)
LONG = 30_000


class Answers(Dialogs):
    """Agrees, or not, and gives paths."""

    def __init__(self) -> None:
        self.agree = True
        self.asked: list[tuple[str, str]] = []
        self.starts: list[str] = []
        self.path = ""

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        self.asked.append((title, text))
        return self.agree

    def new_folder(self, parent: QWidget, title: str, start: str) -> str:
        self.starts.append(start)
        return self.path

    def save_file(
        self, parent: QWidget, title: str, suggested: str, kinds: Sequence[tuple[str, str]]
    ) -> Path | None:
        return Path(self.path)

    def ask_folder(self, parent: QWidget, title: str, start: str) -> str:
        return self.path


@dataclass
class Desk:
    application: Application
    page: CheckpointsPanel
    dialogs: Answers
    home: Home
    messages: list[tuple[str, str, str]]
    kept: list[QWidget] = field(default_factory=list)


@pytest.fixture
def desk(tmp_path: Path, theme: Theme, qtbot: QtBot) -> Iterator[Desk]:
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home.database) as store:
        lay_out(home, store)
        shipped_base(home)
    settings, dialogs = Settings(), Answers()
    application = Application(home, settings)
    messages: list[tuple[str, str, str]] = []
    application.message.connect(lambda *said: messages.append(said))
    page = CheckpointsPanel(application, settings, theme, dialogs)
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    application.begin()
    qtbot.waitUntil(
        lambda: len(page.table.rows_shown()) == 6 and bool(page.disk.text.whole()), timeout=LONG
    )
    yield Desk(application, page, dialogs, home, messages)
    application.close()
    application.deleteLater()


def choose(desk: Desk, name: str) -> None:
    desk.application.models.select(ids(name))


def button(root: QWidget, name: str) -> QPushButton:
    return next(it for it in root.findChildren(QPushButton) if it.accessibleName() == name)


def place_of(graph: LineageGraph, name: str) -> QPoint:
    return graph.mapFromScene(graph.rect_of(ids(name)).center())


def test_that_a_click_selects_and_the_panel_says_everything(desk: Desk, qtbot: QtBot) -> None:
    graph = desk.page.graph
    qtbot.mouseClick(graph.viewport(), Qt.MouseButton.LeftButton, pos=place_of(graph, "nf4"))
    assert desk.application.models.selected is not None
    assert desk.application.models.selected.title == "nf4"
    text = desk.page.detail.text()
    for word in (ids("nf4")[:12], "packed NF4 weights", "8 of 20", "made from\tbase", "first"):
        assert word in text
    assert "quantize" in graph.accessibleDescription()


def test_that_arrows_walk_to_parent_child_and_sibling_and_space_folds(
    desk: Desk, qtbot: QtBot
) -> None:
    graph, model = desk.page.graph, desk.application.models
    choose(desk, "nf4")

    def press(key: Qt.Key) -> str:
        qtbot.keyClick(graph, key)
        return graph.current

    assert press(Qt.Key.Key_Right) == ids("lora")
    assert press(Qt.Key.Key_Down) == ids("copy")
    assert press(Qt.Key.Key_Up) == ids("lora")
    assert press(Qt.Key.Key_Right) == ids("lora2")
    assert press(Qt.Key.Key_Right) == ids("lora2")
    assert press(Qt.Key.Key_Left) == ids("lora")
    assert press(Qt.Key.Key_Left) == ids("nf4")
    assert model.selected is not None
    assert model.selected.key == ids("nf4")
    press(Qt.Key.Key_Space)
    assert press(Qt.Key.Key_Right) == ids("nf4")  # what is folded away is not walked to
    choose(desk, "lora2")  # found by the search, say: it unfolds
    assert graph.current == ids("lora2")
    assert graph.rect_of(ids("lora2")).isValid()


def test_that_the_wheel_and_keys_zoom_and_dragging_and_shift_arrows_pan(
    desk: Desk, qtbot: QtBot
) -> None:
    graph = desk.page.graph
    graph.fit()
    before = graph.percent
    middle = QPointF(graph.viewport().rect().center())
    wheel = QWheelEvent(
        middle,
        graph.viewport().mapToGlobal(middle),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(graph.viewport(), wheel)
    assert graph.percent > before
    graph.setFocus()
    for _ in range(3):
        qtbot.keyClick(graph, Qt.Key.Key_Plus, Qt.KeyboardModifier.ControlModifier)
    large = graph.percent
    assert large > before
    bar = graph.horizontalScrollBar()
    bar.setValue(bar.minimum())
    qtbot.keyClick(graph, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    panned = bar.value()
    assert panned > bar.minimum()
    start = graph.viewport().rect().center()
    QTest.mousePress(graph.viewport(), Qt.MouseButton.LeftButton, pos=start)
    end = QPointF(start) - QPointF(60, 0)
    move = QMouseEvent(
        QEvent.Type.MouseMove,
        end,
        graph.viewport().mapToGlobal(end),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(graph.viewport(), move)
    QTest.mouseRelease(graph.viewport(), Qt.MouseButton.LeftButton, pos=end.toPoint())
    assert bar.value() == panned + 60
    assert desk.application.models.selected is None  # a drag is no click
    qtbot.keyClick(graph, Qt.Key.Key_Minus, Qt.KeyboardModifier.ControlModifier)
    assert graph.percent < large
    qtbot.keyClick(graph, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    assert graph.percent == before


def test_that_the_table_shows_the_same_selects_the_same_and_sorts_by_size(
    desk: Desk, qtbot: QtBot
) -> None:
    page = desk.page
    button(page, "View: Table").click()
    page.refresh_now()
    assert page.views.currentWidget() is page.table
    page.table.sortByColumn(COLUMNS.index("size"), Qt.SortOrder.DescendingOrder)
    titles = page.table.rows_shown()
    assert titles[0] == "nf4"
    page.table.selectRow(1)
    assert desk.application.models.selected is not None
    assert page.graph.current == desk.application.models.selected.key
    choose(desk, "lora2")
    assert page.table.currentIndex().row() == titles.index("lora2")


def test_that_scores_and_fractions_are_sorted_as_numbers(desk: Desk, qtbot: QtBot) -> None:
    rows, nodes = desk.page.table.rows, list(desk.application.models.nodes())
    scored = {"nf4": (0.095, "9.5 %"), "lora": (1.0, "100.0 %"), "base": (0.2, "20.0 %")}
    rows.take(
        [
            replace(it, score=scored[it.title][0], scores=scored[it.title][1])
            if it.title in scored
            else it
            for it in nodes
        ]
    )
    desk.page.table.sortByColumn(COLUMNS.index("scores"), Qt.SortOrder.DescendingOrder)
    assert desk.page.table.rows_shown()[:3] == ["lora", "base", "nf4"]


def test_that_an_adapter_over_an_adapter_says_at_the_choice_that_it_exports_merged_only(
    desk: Desk,
) -> None:
    choose(desk, "lora2")
    assert "merged only: it lies over the adapter lora" in desk.page.detail.text()
    menu = desk.page.export_menu(desk.application.models.selected)
    offered = {action.text(): action.isEnabled() for action in menu.actions()}
    menu.close()
    assert offered == {
        "Safetensors, merged into its base…": True,
        "LoRA adapter alone: not possible, it lies over the adapter lora": False,
        OTHER_PRECISION: True,
    }


def test_that_what_is_being_exported_is_not_deleted_nor_what_it_needs(
    desk: Desk, tmp_path: Path
) -> None:
    jobs = desk.application.jobs
    key = jobs.export(ids("lora"), str(tmp_path / "out"), "merged", "lora")
    for name in ("lora", "nf4"):
        choose(desk, name)
        desk.page.delete()
        assert desk.messages[-1][1] == "This checkpoint is being exported."
    assert desk.dialogs.asked == []
    choose(desk, "copy")
    desk.dialogs.agree = False
    desk.page.delete()
    assert desk.dialogs.asked[-1][0] == "Delete prune?"
    jobs.cancel(key)


def test_that_the_question_names_runs_that_begin_from_the_checkpoint(
    desk: Desk, qtbot: QtBot
) -> None:
    model = desk.application.models
    folder = model.node(ids("copy")).folder
    with Store.open(desk.home.database) as store:
        store.queue_run("{}", name="waits for it", seed=1, base=folder)
    model.refresh()
    qtbot.waitUntil(lambda: "waits for it" in model.question(ids("copy")).text, timeout=LONG)
    assert "waits for it cannot be run without it: it is its base." in (
        model.question(ids("copy")).text
    )


def test_that_lineage_and_table_are_kept_with_where_their_numbers_come_from(
    desk: Desk, qtbot: QtBot, tmp_path: Path
) -> None:
    page = desk.page
    acts = {it.title: it for it in page.page_actions()}
    desk.dialogs.path = str(tmp_path / "lineage.svg")
    acts["Save the lineage as a picture…"].act()
    qtbot.waitUntil(lambda: (tmp_path / "lineage.svg").is_file(), timeout=LONG)
    drawn = (tmp_path / "lineage.svg").read_text()
    for words in ("lora2", "recovered", "seed 42", "checkpoints ·"):
        assert words in drawn
    desk.dialogs.path = str(tmp_path / "table.csv")
    acts["Export the table…"].act()
    qtbot.waitUntil(lambda: (tmp_path / "table.csv").is_file(), timeout=LONG)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [it["Checkpoint"] for it in rows] == page.table.rows_shown()
    nf4 = next(it for it in rows if it["Identity"] == ids("nf4"))
    assert "seed 42" in nf4["Measured"]
    qtbot.keyClick(
        page.graph,
        Qt.Key.Key_C,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    lines = QApplication.clipboard().text().splitlines()
    assert lines[0].startswith("| Checkpoint | Kind |")
    assert "---:" in lines[1]


def test_that_the_table_model_keeps_the_rules(desk: Desk, qtmodeltester: ModelTester) -> None:
    model = CheckpointsModel()
    nodes = desk.application.models.nodes()
    qtmodeltester.check(model)
    model.take(nodes)
    model.take(nodes[:3])
    model.take(nodes)
    qtmodeltester.check(model)


def test_that_facts_and_table_are_copied_and_a_menu_offers_what_can_be_done(
    desk: Desk, qtbot: QtBot
) -> None:
    page, clipboard = desk.page, QApplication.clipboard()
    qtbot.mouseClick(
        page.graph.viewport(), Qt.MouseButton.RightButton, pos=place_of(page.graph, "lora")
    )
    assert page.graph.current == ids("lora")
    menu = page.detail.menu(QPoint(10, 10))
    offered = {action.text(): action.isEnabled() for action in menu.actions() if action.text()}
    menu.close()
    assert offered["Export…"]
    assert not offered["Use as base"]
    assert not offered["Put back"]
    page.graph.setFocus()
    qtbot.keyClick(page.graph, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert ids("lora")[:12] in clipboard.text()
    page.show_view("table")
    page.table.setFocus()
    qtbot.keyClick(page.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = clipboard.text().splitlines()
    assert lines[0].startswith("Checkpoint\tKind\tRun")
    assert len(lines) == 7


def test_that_searching_fades_filters_and_enter_goes_to_the_next_found(
    desk: Desk, qtbot: QtBot
) -> None:
    page = desk.page
    qtbot.keyClicks(page.search, "sdft first")
    assert page.table.rows_shown() == ["lora", "lora2"]
    assert "2 found" in page.tools.found.text()
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    assert page.graph.current == ids("lora")
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    assert page.graph.current == ids("lora2")
    page.search.clear()
    assert len(page.table.rows_shown()) == 6


def test_that_deleting_says_what_is_lost_and_undo_brings_it_back(desk: Desk, qtbot: QtBot) -> None:
    model, page = desk.application.models, desk.page
    choose(desk, "nf4")
    page.graph.setFocus()
    desk.dialogs.agree = False
    qtbot.keyClick(page.graph, Qt.Key.Key_Delete)
    title, text = desk.dialogs.asked[-1]
    assert title == "Delete nf4?"
    for words in (
        "2 checkpoints cannot be opened without it and go too: lora, lora2.",
        "kept: prune.",
        "When resumed, first would have to make it again",
        "2 scores stay readable",
        "7 d",
    ):
        assert words in text
    assert (desk.home.path / model.selected.path).is_dir()  # type: ignore[union-attr]
    desk.dialogs.agree = True
    qtbot.keyClick(page.graph, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: model.node(ids("lora2")).state == "trash", timeout=LONG)
    assert not (desk.home.path / model.selected.path).exists()  # type: ignore[union-attr]
    assert "3 checkpoints" in desk.messages[-1][1]
    assert "in the trash" in page.detail.caption.whole()
    shown = [it for it in page.detail.buttons.values() if it.isVisible()]
    assert page.detail.buttons["back"] in shown
    assert all(it.width() >= it.sizeHint().width() for it in shown)  # none is cut off
    qtbot.waitUntil(lambda: page.tools.trash.isVisible(), timeout=LONG)
    qtbot.keyClick(page.graph, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: model.node(ids("lora2")).state == "present", timeout=LONG)
    assert (desk.home.path / model.selected.path).is_dir()  # type: ignore[union-attr]


@pytest.fixture
def many(desk: Desk, qtbot: QtBot) -> Desk:
    """Beside the first lineage: a newer one without files, and the newest with files."""
    gone = tuple(f"gone{it}" for it in range(20))
    with Store.open(desk.home.database) as store:
        later_run(desk.home, store, "sample", gone, created=300.0, files=False)
        later_run(desk.home, store, "newest", ("young",), created=400.0, files=True)
    model = desk.application.models
    model.refresh()
    qtbot.waitUntil(lambda: len(model.nodes()) == 27, timeout=LONG)
    desk.page.refresh_now()
    return desk


def test_that_the_lineage_opens_on_what_is_there_the_newest_run_first(many: Desk) -> None:
    page, model = many.page, many.application.models
    shown = [node.title for node in model.shown()]
    assert shown == ["base", "young", "nf4", "lora", "lora2", "prune", "rekindle-1m"]
    rects = [
        page.graph.mapFromScene(page.graph.rect_of(ids(it)).center()) for it in ("base", "young")
    ]
    assert rects[0].y() == rects[1].y()
    assert all(page.graph.viewport().rect().contains(it) for it in rects)
    assert page.disk.gone.text() == "Show 20 without files"
    assert page.table.rows_shown() == shown


def test_that_what_has_no_files_is_shown_when_asked_for_and_that_is_remembered(
    many: Desk, theme: Theme, qtbot: QtBot
) -> None:
    page, model = many.page, many.application.models
    page.graph.setFocus()
    qtbot.keyClicks(page.search, "gone")
    assert page.tools.found.text() == "0 found, 20 more without files"
    page.search.clear()
    qtbot.keyClick(page.graph, Qt.Key.Key_G)
    page.refresh_now()
    assert len(page.table.rows_shown()) == 27
    assert page.disk.gone.text() == "Hide 20 without files"
    titles = [node.title for node in model.shown()]
    assert titles.index("prune") < titles.index("gone0")  # newer, and yet below what is there
    again = CheckpointsPanel(many.application, page._settings, theme, many.dialogs)
    many.kept.append(again)
    qtbot.addWidget(again)
    assert model.with_gone
    qtbot.mouseClick(page.disk.gone, Qt.MouseButton.LeftButton)
    assert not model.with_gone
    assert page._settings.views["models.gone"] == "hidden"


def test_that_a_home_without_any_files_shows_its_lineage(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home.database) as store:
        later_run(home, store, "sample", ("a", "b"), created=1.0, files=False)
        nodes = model_words.nodes(ShelfReader(home)(store))
    assert there(nodes) == nodes
    assert len(nodes) == 2


def test_that_a_branch_is_as_new_as_the_newest_of_it_and_leads_there_without_a_gap(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home.database) as store:
        lay_out(home, store)
        later_run(home, store, "middle", ("mid",), created=300.0, files=True)
        later_run(home, store, "newest", ("deep",), created=500.0, files=True, parent="nf4")
        for name in ("base", "nf4"):
            shutil.rmtree(folder_of(home.checkpoints, ids(name)))
        nodes = model_words.nodes(ShelfReader(home)(store))
    shown = [node.title for node in there(nodes)]
    assert shown == ["base", "nf4", "deep", "lora", "lora2", "prune", "mid"]
    assert all(node.gone for node in there(nodes)[:2])
    alone = there(tuple(node for node in nodes if node.title != "mid"))
    assert [node.title for node in alone[:3]] == ["base", "nf4", "deep"]


def test_that_what_is_looked_at_stays_in_its_place_when_another_comes_in(
    many: Desk, qtbot: QtBot
) -> None:
    graph, model = many.page.graph, many.application.models
    choose(many, "nf4")
    graph.zoom(2.0)
    before = place_of(graph, "nf4")
    with Store.open(many.home.database) as store:
        later_run(many.home, store, "again", ("x", "y", "z"), created=500.0, files=True)
    model.refresh()
    qtbot.waitUntil(lambda: model.node(ids("z")) is not None, timeout=LONG)
    many.page.refresh_now()
    assert graph.rect_of(ids("nf4")).y() > graph.rect_of(ids("z")).y()
    assert (place_of(graph, "nf4") - before).manhattanLength() <= 2


def test_that_keys_work_from_the_first_moment_and_where_they_do_is_seen(
    desk: Desk, qtbot: QtBot
) -> None:
    page = desk.page
    page.add.source.setFocus()
    plain = page.graph.grab().toImage()
    page.take_focus()
    assert page.graph.grab().toImage() != plain  # the ring
    qtbot.keyClick(page.graph, Qt.Key.Key_Right)
    assert page.graph.current == desk.application.models.nodes()[0].key
    page.show_view("table")
    page.take_focus()
    assert page.table.hasFocus()


def test_that_a_screen_reader_hears_what_is_chosen_and_what_is_around_it(
    desk: Desk, qtbot: QtBot
) -> None:
    graph = desk.page.graph
    choose(desk, "nf4")
    said = graph.accessibleDescription()
    for words in ("nf4", "quantize", "40.0 %", "made from base", "2 made from it"):
        assert words in said
    qtbot.keyClick(graph, Qt.Key.Key_Space)
    assert "3 folded away" in graph.accessibleDescription()
    mark = mark_of(graph.rect_of(ids("nf4"))).center()
    qtbot.mouseClick(graph.viewport(), Qt.MouseButton.LeftButton, pos=graph.mapFromScene(mark))
    assert "folded away" not in graph.accessibleDescription()


def test_that_facts_are_copied_with_where_they_come_from_and_equal_ones_share_a_line(
    desk: Desk, qtbot: QtBot
) -> None:
    with Store.open(desk.home.database) as store:
        score = next(
            it.event
            for run in store.runs()
            for it in store.events(run.uid)
            if isinstance(it.event, TaskEvaluated) and it.event.subject == "nf4"
        )
        for name, correct in (("second", 8), ("third", 9)):
            uid = store.queue_run("{}", name=name, seed=5, base="tiny")
            store.claim(uid, 999_999_999, 1.0)
            store.record(uid, [score.model_copy(update={"correct": correct})], t=900.0)
    model = desk.application.models
    model.refresh()
    choose(desk, "nf4")
    qtbot.waitUntil(lambda: "9 of 20" in desk.page.detail.text(), timeout=LONG)
    lines = [it for it in desk.page.detail.text().splitlines() if it.startswith("  Science")]
    assert len(lines) == 2
    assert "45.0 % · 9 of 20" in lines[0]
    assert "2 times" in lines[1]
    for origin in ("first", "second", "seed 42", "dataset science", "exact v1"):
        assert origin in lines[1]


def test_that_undo_works_after_a_restart_and_says_what_came_back(
    desk: Desk, theme: Theme, qtbot: QtBot
) -> None:
    model = desk.application.models
    model.delete(ids("lora"), model.question(ids("lora")).keys)
    qtbot.waitUntil(lambda: model.node(ids("lora2")).state == "trash", timeout=LONG)
    desk.application.close()
    again = Application(desk.home, Settings())
    page = CheckpointsPanel(again, Settings(), theme, desk.dialogs)
    desk.kept.append(page)
    qtbot.addWidget(page)
    said: list[str] = []
    again.message.connect(lambda _, text, __: said.append(text))
    page.show()
    again.begin()
    undo = next(it for it in page.page_actions() if it.title == "Undo deleting")
    qtbot.waitUntil(undo.enabled, timeout=LONG)
    qtbot.keyClick(page.graph, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: again.models.node(ids("lora2")).state == "present", timeout=LONG)
    assert "2 checkpoints put back: lora, lora2." in said
    assert not undo.enabled()
    again.close()
    again.deleteLater()


def test_that_nothing_goes_that_the_question_did_not_name(desk: Desk, qtbot: QtBot) -> None:
    model = desk.application.models
    agreed = model.question(ids("nf4")).keys - {ids("lora2")}  # as if it was made while asked
    model.delete(ids("nf4"), agreed)
    qtbot.waitUntil(lambda: bool(desk.messages), timeout=LONG)
    assert "Other checkpoints need this one by now" in desk.messages[-1][1]
    assert not any(desk.home.trash.glob("*"))


def test_that_a_damaged_manifest_is_named_and_the_window_reads_on(desk: Desk, qtbot: QtBot) -> None:
    model = desk.application.models
    (desk.home.path / model.node(ids("copy")).path / "manifest.json").write_text('{"identity": ')
    model.refresh()
    damaged = "folder:" + ids("copy")[:20]
    qtbot.waitUntil(lambda: model.node(damaged) is not None, timeout=LONG)
    model.select(damaged)
    assert "manifest damaged" in desk.page.detail.caption.whole()
    assert desk.page.possible("delete")
    assert not desk.page.possible("export")


def test_that_one_can_be_put_back_and_the_rest_goes_for_good(desk: Desk, qtbot: QtBot) -> None:
    model, page = desk.application.models, desk.page
    model.delete(ids("lora"), model.question(ids("lora")).keys)
    qtbot.waitUntil(lambda: model.node(ids("lora2")).state == "trash", timeout=LONG)
    choose(desk, "lora")
    qtbot.mouseClick(button(page, "Put back"), Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: model.node(ids("lora")).state == "present", timeout=LONG)
    qtbot.waitUntil(lambda: page.tools.trash.isVisible(), timeout=LONG)
    page.tools.trash.click()
    assert "cannot be put back" in desk.dialogs.asked[-1][1]
    qtbot.waitUntil(lambda: model.node(ids("lora2")).state == "deleted", timeout=LONG)
    assert not any((desk.home.path / "trash").iterdir())
    choose(desk, "lora2")
    assert not page.possible("delete")
    assert "files deleted" in page.detail.text()


def test_that_whole_weights_become_the_base_of_a_new_recipe_and_adapters_do_not(
    desk: Desk, qtbot: QtBot
) -> None:
    page, new_run = desk.page, desk.application.new_run
    wanted: list[bool] = []
    page.new_wanted.connect(lambda: wanted.append(True))
    choose(desk, "lora")
    assert not page.detail.buttons["base"].isEnabled()
    assert "merged" in page.detail.buttons["base"].toolTip()
    choose(desk, "copy")
    qtbot.mouseClick(page.detail.buttons["base"], Qt.MouseButton.LeftButton)
    assert wanted == [True]
    assert str(desk.home.path / "checkpoints" / ids("copy")[:20]) in new_run.text
    choose(desk, "shipped")
    page.use_as_base()
    assert "name: rekindle-1m" in new_run.text


@pytest.mark.slow
def test_that_an_export_runs_in_its_process_and_its_folder_is_named(
    desk: Desk, qtbot: QtBot, tmp_path: Path
) -> None:
    choose(desk, "shipped")
    desk.dialogs.path = str(tmp_path / "taken out")
    menu = desk.page.export_menu(desk.application.models.selected)
    actions = [action.text() for action in menu.actions()]
    assert actions == ["Safetensors…", OTHER_PRECISION]
    menu.actions()[0].trigger()
    menu.close()
    jobs = desk.application.jobs
    assert jobs.working == 1
    assert desk.page.jobs.isVisible()
    qtbot.waitUntil(lambda: jobs.working == 0, timeout=LONG * 2)
    (job,) = jobs.jobs()
    assert (job.state, job.folder) == ("done", str(tmp_path / "taken out"))
    assert (tmp_path / "taken out" / "model.safetensors").is_file()
    provenance = json.loads((tmp_path / "taken out" / "provenance.json").read_text())
    assert provenance["lineage"][0]["identity"] == ids("shipped")
    qtbot.mouseClick(button(desk.page.jobs, f"Dismiss: {job.title}"), Qt.MouseButton.LeftButton)
    assert not desk.page.jobs.isVisible()


def test_that_an_export_can_be_left_and_leaves_nothing(
    desk: Desk, qtbot: QtBot, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "taken out"
    target.parent.mkdir()
    desk.dialogs.path = str(target)
    choose(desk, "lora")
    menu = desk.page.export_menu(desk.application.models.selected)
    assert [action.text() for action in menu.actions()] == [
        "Safetensors, merged into its base…",
        "LoRA adapter alone…",
        OTHER_PRECISION,
    ]
    menu.actions()[1].trigger()
    menu.close()
    jobs = desk.application.jobs
    (job,) = jobs.jobs()
    assert job.title == "Export lora, adapter"
    desk.dialogs.path = ""
    menu = desk.page.export_menu(desk.application.models.selected)
    menu.actions()[0].trigger()
    desk.dialogs.path = str(tmp_path / "half")
    half = next(it for it in menu.actions()[2].menu().actions() if it.text() == "bfloat16…")
    half.trigger()
    menu.close()
    assert jobs.jobs()[-1].title == "Export lora, merged, bfloat16"
    jobs.cancel(jobs.jobs()[-1].key)
    assert desk.dialogs.starts == ["lora", *[str(target.parent / "lora")] * 2]
    line = desk.page.jobs.lines[job.key]
    qtbot.mouseClick(line.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: jobs.working == 0, timeout=LONG)
    assert jobs.job(job.key).state == "stopped"
    assert list(target.parent.iterdir()) == []


@pytest.mark.slow
def test_that_a_folder_is_looked_at_and_becomes_the_base(desk: Desk, qtbot: QtBot) -> None:
    add, new_run = desk.page.add, desk.application.new_run
    desk.page.show_add()
    folder = Path(__file__).parents[2] / "resources" / "models" / "rekindle-1m"
    desk.dialogs.path = str(folder)
    qtbot.mouseClick(add.browse, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(add.use.isVisible, timeout=LONG * 2)
    shown = [it.text() for it in add.findChildren(QLabel)]
    assert any(text.endswith(" (979,328)") or "M (" in text or "k (" in text for text in shown)
    assert any(text.startswith("SHA-256") for text in shown)
    qtbot.mouseClick(add.use, Qt.MouseButton.LeftButton)
    assert f"folder: {folder}" in new_run.text
    assert desk.application.jobs.jobs() == ()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "dtype": "float32"}'
    )
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 2000)
    with FakeHub(folder) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        yield made


def test_that_a_hub_id_is_looked_at_downloaded_cancelled_and_gone_on_with(
    desk: Desk, hub: FakeHub, qtbot: QtBot, tmp_path: Path
) -> None:
    page, jobs = desk.page, desk.application.jobs
    qtbot.mouseClick(page.tools.add, Qt.MouseButton.LeftButton)
    button(page.add, "Where the model is: Hugging Face hub").click()
    qtbot.keyClicks(page.add.source, REPOSITORY)
    qtbot.keyClick(page.add.source, Qt.Key.Key_Return)
    qtbot.waitUntil(page.add.download.isVisible, timeout=LONG)
    hub.slow = 0.03
    qtbot.mouseClick(page.add.download, Qt.MouseButton.LeftButton)
    (key,) = (it.key for it in jobs.jobs())
    qtbot.waitUntil(lambda: (jobs.job(key).progress or 0) > 0.1, timeout=LONG)
    line = page.jobs.lines[key]
    assert "KiB" in line.note.whole()
    assert line.bar.value() > 0
    qtbot.mouseClick(line.cancel, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: jobs.working == 0 and line.again.isVisible(), timeout=LONG)
    assert "goes on from there" in line.note.whole()
    part = next((tmp_path / "hub-cache").glob("models--*/blobs/*.part"))
    kept = part.stat().st_size
    assert kept > 0
    hub.slow = 0.0
    hub.asked.clear()
    qtbot.mouseClick(line.again, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: jobs.working == 0, timeout=LONG)
    (job,) = jobs.jobs()
    assert job.state == "done"
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and asked]
    assert ranges == [f"bytes={kept}-"]


def test_that_what_is_not_there_is_said_with_what_to_do(
    desk: Desk, hub: FakeHub, qtbot: QtBot
) -> None:
    add = desk.page.add
    desk.page.show_add()
    add.origin.choose("hub")
    add.source.setText("someone/nothing")
    qtbot.mouseClick(add.look_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(add.problem.text()), timeout=LONG)
    assert "has no model someone/nothing" in add.problem.text()
    assert "HF_TOKEN" in add.problem.text()
    assert add.look_button.isEnabled()
    assert not add.use.isVisible()
    add.source.setText("someone/else")
    assert add.problem.text() == ""


def test_that_an_answer_to_another_text_is_not_waited_for(
    desk: Desk, hub: FakeHub, qtbot: QtBot
) -> None:
    add, jobs = desk.page.add, desk.application.jobs
    desk.page.show_add()
    add.origin.choose("hub")
    qtbot.keyClicks(add.source, "someone/nothing")
    qtbot.keyClick(add.source, Qt.Key.Key_Return)
    assert jobs.working == 1
    add.source.clear()
    qtbot.keyClicks(add.source, REPOSITORY)
    qtbot.keyClick(add.source, Qt.Key.Key_Return)
    qtbot.keyClick(add.source, Qt.Key.Key_Return)  # twice is once
    assert jobs.working == 2  # the first is ending
    qtbot.waitUntil(add.use.isVisible, timeout=LONG)
    assert add.problem.text() == ""
    qtbot.waitUntil(lambda: jobs.jobs() == (), timeout=LONG)
    assert not desk.page.jobs.isVisible()


def test_that_closing_ends_a_download_and_keeps_its_bytes(
    desk: Desk, hub: FakeHub, qtbot: QtBot, tmp_path: Path
) -> None:
    jobs = desk.application.jobs
    hub.slow = 0.03
    key = jobs.download(REPOSITORY)
    assert jobs.download(REPOSITORY) == key  # clicked twice: done once
    waiting = [jobs.download("someone/second"), jobs.download("someone/third")]
    assert [jobs.job(it).state for it in waiting] == ["running", "queued"]
    jobs.cancel(waiting[1])
    assert jobs.job(waiting[1]).state == "stopped"
    qtbot.waitUntil(lambda: (jobs.job(key).progress or 0) > 0.05, timeout=LONG)
    jobs.close()
    assert jobs.jobs() == ()
    assert next((tmp_path / "hub-cache").glob("models--*/blobs/*.part")).stat().st_size > 0


def test_that_every_control_has_a_name_and_every_action_a_title_of_its_own(desk: Desk) -> None:
    page = desk.page
    choose(desk, "lora")
    nameless = [
        it for it in page.findChildren(QPushButton) if not it.isHidden() and not it.accessibleName()
    ]
    assert nameless == []
    actions = page.page_actions()
    assert len({it.title for it in actions}) == len(actions)
    keys = [it.keys for it in actions if it.keys]
    assert len(set(keys)) == len(keys)
    assert not next(it for it in actions if it.title == "Use as base").enabled()


def test_that_the_parts_of_the_page_are_remembered_and_have_actions_of_their_own(
    desk: Desk, theme: Theme, qtbot: QtBot
) -> None:
    settings = Settings()
    page = ModelsPage(desk.application, settings, theme, desk.dialogs)
    desk.kept.append(page)
    qtbot.addWidget(page)
    page.show()
    titles = {it.title for it in page.page_actions()}
    assert "Export checkpoint" in titles
    qtbot.mouseClick(button(page, "Part: Data"), Qt.MouseButton.LeftButton)
    assert page.data.isVisible()
    assert not page.checkpoints.isVisible()
    assert not titles & {it.title for it in page.page_actions()}
    again = ModelsPage(desk.application, settings, theme, desk.dialogs)
    desk.kept.append(again)
    qtbot.addWidget(again)
    assert again.parts.current() == "data"


@pytest.mark.parametrize("folded", [(), ("0",)])
def test_that_a_forest_keeps_order_and_parents_stand_beside_their_first_child(
    folded: tuple[str, ...],
) -> None:
    nodes = [GraphNode("0", "", "root")]
    nodes += [GraphNode(str(it), str((it - 1) // 3), str(it)) for it in range(1, 200)]
    nodes.append(GraphNode("alone", "gone", "its parent is not there"))
    forest = place(nodes, folded)
    for entries in forest.columns:
        rows = [row for row, _ in entries]
        assert all(after - before >= 1 for before, after in pairwise(rows))
    for key, children in forest.children.items():
        if children:
            rows = [forest.place[child][1] for child in children]
            assert rows == sorted(rows)
            assert forest.place[key][1] == rows[0]
    assert len(forest.place) == (2 if folded else 201)
    assert forest.hidden == ({"0": 199} if folded else {})
    assert forest.place["alone"][0] == 0


def test_that_a_deep_lineage_needs_no_recursion() -> None:
    nodes = [GraphNode(str(it), str(it - 1) if it else "", "") for it in range(5000)]
    assert len(place(nodes).columns) == 5000


def test_that_thousands_of_nodes_make_no_qt_objects(theme: Theme, qtbot: QtBot) -> None:
    graph = LineageGraph(theme, "many")
    qtbot.addWidget(graph)
    graph.resize(900, 600)
    graph.show()
    nodes = [GraphNode("0", "", "root")]
    nodes += [GraphNode(str(it), str((it - 1) // 4), f"node {it}") for it in range(1, 2000)]
    graph.set_nodes(nodes)
    assert len(graph.scene().items()) == 1
    for key in ("1999", "0", "512"):
        graph.select(key)
        assert graph.viewport().rect().contains(graph.mapFromScene(graph.rect_of(key).center()))
    assert not graph.grab().isNull()


@pytest.mark.parametrize(("nf4", "told"), [(8, "0.75"), (14, "loss within noise")])
def test_that_a_fraction_of_a_loss_within_noise_is_no_number_here_either(
    tmp_path: Path, nf4: int, told: str
) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home.database) as store:
        uid = lay_out(home, store)
        scores = [
            score.model_copy(update={"correct": nf4})
            for it in store.events(uid)
            if isinstance(score := it.event, TaskEvaluated) and score.subject == "nf4"
        ]
        finished = RunFinished(
            status="done", seconds=9.0, recovered_fraction={"lora": {"science": 0.75}}
        )
        store.record(uid, [*scores, finished], t=300.0)
        shelf = ShelfReader(home)(store)
    facts = [
        fact
        for section in model_words.sections(shelf, ids("lora"))
        for fact in section.facts
        if section.title == "Scores"
    ]
    assert facts[0].value.endswith(f"fraction {told}")


def test_that_the_panel_of_datasets_is_made_when_somebody_looks_at_it(
    desk: Desk, theme: Theme, qtbot: QtBot
) -> None:
    settings = Settings(density="roomy")
    page = ModelsPage(desk.application, settings, theme, desk.dialogs)
    desk.kept.append(page)
    qtbot.addWidget(page)
    page.show()
    assert not page.findChildren(DataPanel)
    wanted: list[bool] = []
    page.new_wanted.connect(lambda: wanted.append(True))
    qtbot.mouseClick(button(page, "Part: Data"), Qt.MouseButton.LeftButton)
    (made,) = page.findChildren(DataPanel)
    assert made is page.data
    assert made.list.verticalHeader().defaultSectionSize() == ROW_HEIGHTS["roomy"]
    made.new_wanted.emit()
    assert wanted == [True]
