"""The Runs page by mouse and keyboard."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QMenu, QStyle, QStyleOptionComboBox, QWidget
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.run_cells import COLUMNS
from app.views import filter_field, run_acts, run_notices
from app.views.dialogs import Dialogs
from app.views.runs_page import RunsPage
from app.views.tag_dialog import TagDialog
from app.widgets.messages import Notice
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme
from core.store.rows import RunRow
from core.store.store import Store
from tests.app.conftest import Sample

# The offscreen platform says so whenever a menu or a list of completions opens.
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", "does not support")

CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


@dataclass
class Answers(Dialogs):
    """What a person would answer, and what was asked."""

    agree: bool = True
    notes: str | None = "worth a look"
    tags: tuple[Sequence[str], Sequence[str]] | None = (["paper"], [])
    path: str = ""
    asked: list[str] = field(default_factory=list)
    shares: Mapping[str, float] = field(default_factory=dict)

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        self.asked.append(f"{title} {text}")
        return self.agree

    def ask_text(self, parent: QWidget, title: str, label: str, text: str) -> str | None:
        return "renamed"

    def ask_notes(self, parent: QWidget, title: str, label: str, text: str) -> str | None:
        return self.notes

    def ask_tags(
        self, parent: QWidget, title: str, shares: Mapping[str, float]
    ) -> tuple[Sequence[str], Sequence[str]] | None:
        self.shares = shares
        return self.tags

    def save_file(self, parent: QWidget, title: str, suggested: str, kinds: str) -> str:
        return self.path


@dataclass
class Desk:
    """A page on hand-made runs, whose workers never start."""

    application: Application
    settings: Settings
    dialogs: Answers
    page: RunsPage
    notice: Notice
    runs: dict[str, str]

    def row(self, which: str) -> RunRow:
        (found,) = self.application.runs.rows([self.runs[which]])
        return found

    def choose(self, *which: str) -> None:
        table = self.page.table
        table.clearSelection()
        model = table.selectionModel()
        for name in which:
            row = self.page.model.row_of(self.runs[name])
            flag = model.SelectionFlag.Select | model.SelectionFlag.Rows
            model.select(self.page.model.index(row, 0), flag)
            model.setCurrentIndex(self.page.model.index(row, 2), model.SelectionFlag.NoUpdate)
        table.setFocus()

    def names(self) -> list[str]:
        return [entry.row.uid for entry in self.page.model.entries()]


@pytest.fixture(autouse=True)
def _no_key_stays_down(qtbot: QtBot) -> Iterator[None]:
    """Qt goes on believing in the modifiers of the last key that a test pressed."""
    yield
    widget = QWidget()
    qtbot.addWidget(widget)
    qtbot.keyClick(widget, Qt.Key.Key_F35)


def refuse(*_: object) -> None:
    raise OSError("no worker in this test")


def _open(sample: Sample, settings: Settings, theme: Theme, qtbot: QtBot) -> Desk:
    application = Application(sample.home, settings, spawn=refuse)
    dialogs = Answers()
    page = RunsPage(application, settings, theme, dialogs)
    notice = Notice(theme)
    run_notices.connect(notice, application)
    notice.setParent(page)  # a window of its own would take the focus
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    qtbot.waitExposed(page)
    application.begin()
    qtbot.waitUntil(lambda: page.model.rowCount() == len(sample.runs), timeout=10_000)
    page.refresh_now()
    page.activateWindow()
    return Desk(application, settings, dialogs, page, notice, sample.runs)


@pytest.fixture
def desk(sample: Sample, theme: Theme, qtbot: QtBot) -> Iterator[Desk]:
    made = _open(sample, Settings(), theme, qtbot)
    yield made
    made.application.close()


def test_that_a_filter_typed_by_keys_narrows_the_list_and_escape_takes_it_away(
    desk: Desk, qtbot: QtBot
) -> None:
    edit = desk.page.head.search.edit
    qtbot.keyClicks(edit, "status:failed")
    assert desk.names() == [desk.runs["failed"]]
    desk.page.head.search._list.hide()
    qtbot.keyClick(edit, Qt.Key.Key_Escape)
    assert len(desk.names()) == len(desk.runs)


def test_that_a_wrong_filter_keeps_the_list_and_says_a_way_out(desk: Desk, qtbot: QtBot) -> None:
    search = desk.page.head.search
    search.setText("stats:done")
    assert len(desk.names()) == len(desk.runs)
    assert not search.error.isVisible()  # half a word is no mistake yet
    qtbot.keyClick(search.edit, Qt.Key.Key_Return)
    assert "status:done" in search.error.text()
    assert search.error.isVisible()
    search.setText("nf4 lr>lots")
    qtbot.keyClick(search.edit, Qt.Key.Key_Return)
    assert search.error.text().startswith("Character 5: ")
    assert search.edit.selectedText() == "lr>lots"
    search.clear()
    assert not search.error.isVisible()


def test_that_completion_is_taken_by_the_keyboard(desk: Desk, qtbot: QtBot) -> None:
    search = desk.page.head.search
    qtbot.keyClicks(search.edit, "statu")
    assert search.completions()[0].startswith("status:")
    qtbot.keyClick(search._list, Qt.Key.Key_Down)
    qtbot.keyClick(search._list, Qt.Key.Key_Return)
    assert search.text() == "status:"
    qtbot.waitUntil(lambda: "done" in search.completions(), timeout=2000)
    qtbot.keyClicks(search.edit, "fai")
    qtbot.keyClick(search._list, Qt.Key.Key_Down)
    qtbot.keyClick(search._list, Qt.Key.Key_Return)
    assert search.text() == "status:failed "
    assert desk.names() == [desk.runs["failed"]]
    search._list.hide()


def test_that_the_help_offers_examples_that_can_be_clicked(desk: Desk, qtbot: QtBot) -> None:
    qtbot.mouseClick(desk.page.head.search.help, Qt.MouseButton.LeftButton)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    menu.actions()[0].trigger()
    menu.close()
    assert desk.page.head.search.text() == filter_field.EXAMPLES[0][0]


def test_that_a_picker_opens_a_list_below_it_and_no_menu_that_cuts_its_last_entry(
    desk: Desk,
) -> None:
    picker = desk.page.head.status
    option = QStyleOptionComboBox()
    option.initFrom(picker)
    hint = QStyle.StyleHint.SH_ComboBox_Popup
    assert not picker.style().styleHint(hint, option, picker)


def test_that_very_many_runs_are_copied_off_the_windows_thread(
    desk: Desk, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_acts, "COPIED_AT_ONCE", 1)
    QGuiApplication.clipboard().setText("")
    desk.choose("done", "running")
    qtbot.keyClick(desk.page.table, Qt.Key.Key_C, CONTROL)
    assert QGuiApplication.clipboard().text() == ""
    qtbot.waitUntil(lambda: bool(QGuiApplication.clipboard().text()), timeout=5000)
    assert len(QGuiApplication.clipboard().text().splitlines()) == 3


def test_that_choosing_all_runs_does_not_ask_every_row_for_every_heading(desk: Desk) -> None:
    table = desk.page.table
    table.selectAll()
    assert len(desk.page.selected()) == len(desk.runs)
    assert not table.horizontalHeader().selectionModel().hasSelection()


def test_that_a_deleted_run_comes_back_by_ctrl_z_and_by_the_notice(
    desk: Desk, qtbot: QtBot
) -> None:
    before = desk.row("done")
    for undo in ("keys", "notice"):
        desk.choose("done")
        qtbot.keyClick(desk.page.table, Qt.Key.Key_Delete)
        assert "Ctrl+Z" in desk.dialogs.asked[-1]
        qtbot.waitUntil(lambda: desk.runs["done"] not in desk.names(), timeout=5000)
        qtbot.waitUntil(lambda: bool(desk.application.edits.next_undo), timeout=5000)
        assert "was deleted" in desk.notice.accessibleName()
        if undo == "keys":
            desk.page.table.setFocus()
            qtbot.keyClick(desk.page.table, Qt.Key.Key_Z, CONTROL)
        else:
            desk.notice.remedy.click()
        qtbot.waitUntil(lambda: desk.runs["done"] in desk.names(), timeout=5000)
    assert desk.row("done") == before


def test_that_tags_of_several_runs_are_changed_at_once(desk: Desk, qtbot: QtBot) -> None:
    desk.choose("done", "pruned")
    qtbot.keyClick(desk.page.table, Qt.Key.Key_T)
    qtbot.waitUntil(lambda: "paper" in desk.row("pruned").tags, timeout=5000)
    assert "paper" in desk.row("done").tags
    desk.choose("done", "failed")
    qtbot.keyClick(desk.page.table, Qt.Key.Key_T)
    assert desk.dialogs.shares["paper"] == 0.5


def test_that_notes_are_written_by_a_key_and_shown_as_a_column(desk: Desk, qtbot: QtBot) -> None:
    desk.choose("done")
    qtbot.keyClick(desk.page.table, Qt.Key.Key_N)
    qtbot.waitUntil(lambda: desk.row("done").notes == "worth a look", timeout=5000)
    place = COLUMNS.index("notes")
    row = desk.page.model.row_of(desk.runs["done"])
    assert desk.page.model.index(row, place).data() == "worth a look"


def test_that_the_tag_window_keeps_what_only_some_have(desk: Desk, qtbot: QtBot) -> None:
    dialog = TagDialog(desk.page, "Tags", {"all": 1.0, "some": 0.5, "none": 0.0})
    assert dialog.answer() == ([], [])
    dialog.new.setText("fresh, , other")
    dialog.known.item(0).setCheckState(Qt.CheckState.Unchecked)
    dialog.known.item(1).setCheckState(Qt.CheckState.Checked)
    assert dialog.answer() == (["fresh", "other", "some"], ["all"])
    dialog.deleteLater()


def test_that_a_double_click_opens_a_run_once_and_its_star_not_at_all(
    desk: Desk, qtbot: QtBot
) -> None:
    opened: list[str] = []
    desk.page.opened.connect(opened.append)
    table = desk.page.table
    row = desk.page.model.row_of(desk.runs["done"])

    def double_click(column: str) -> None:
        spot = table.visualRect(desk.page.model.index(row, COLUMNS.index(column))).center()
        qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=spot)
        qtbot.mouseDClick(table.viewport(), Qt.MouseButton.LeftButton, pos=spot)

    double_click("name")
    assert opened == [desk.runs["done"]]
    double_click("star")
    assert opened == [desk.runs["done"]]


def test_that_a_group_folds_by_keys_and_by_a_click(desk: Desk, qtbot: QtBot) -> None:
    table, model = desk.page.table, desk.page.model
    desk.page.head.group.chosen.emit("status")
    whole = model.rowCount()
    table.setFocus()
    table.setCurrentIndex(model.index(0, 2))
    qtbot.keyClick(table, Qt.Key.Key_Left)
    assert model.rowCount() < whole
    assert table.currentIndex().row() == 0
    qtbot.keyClick(table, Qt.Key.Key_Right)
    assert model.rowCount() == whole
    spot = table.visualRect(model.index(0, COLUMNS.index("name"))).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=spot)
    assert model.rowCount() < whole
    qtbot.keyClick(table, Qt.Key.Key_Return)
    assert model.rowCount() == whole


def test_that_the_selection_outlives_another_order(desk: Desk) -> None:
    desk.choose("done", "failed")
    chosen = set(desk.page.selected())
    desk.page.table.sortByColumn(COLUMNS.index("name"), Qt.SortOrder.AscendingOrder)
    desk.page.model.beginResetModel()
    desk.page.model.endResetModel()
    assert set(desk.page.selected()) == chosen
    assert len(chosen) == 2


def test_that_columns_move_and_sort_by_keys(desk: Desk, qtbot: QtBot) -> None:
    table = desk.page.table
    header = table.horizontalHeader()
    desk.choose("done")
    table.setCurrentIndex(desk.page.model.index(0, COLUMNS.index("base")))
    columns = desk.page.columns

    def place() -> int:
        return [key for key in columns.in_order() if columns.shown(key)].index("base")

    before = place()
    qtbot.keyClick(table, Qt.Key.Key_Left, CONTROL | SHIFT)
    assert place() == before - 1
    qtbot.keyClick(table, Qt.Key.Key_Right, CONTROL | SHIFT)
    assert place() == before
    qtbot.keyClick(table, Qt.Key.Key_Up, CONTROL | SHIFT)
    assert desk.page.model.wish.column == "base"
    assert not desk.page.model.wish.descending
    assert header.sectionsMovable()


def test_that_any_column_can_be_chosen_and_the_list_is_found_as_it_was_left(
    desk: Desk, sample: Sample, theme: Theme, qtbot: QtBot
) -> None:
    key = "field:stages.sdft.learning_rate"
    qtbot.keyClick(desk.page.table, Qt.Key.Key_K, CONTROL | SHIFT)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    part = next(it for it in menu.actions() if it.text() == "Recipe field")
    fields: QMenu = part.menu()  # type: ignore[assignment]
    next(it for it in fields.actions() if it.text() == "sdft.learning_rate").trigger()
    menu.close()
    assert desk.page.model.extras == (key,)
    header = desk.page.table.horizontalHeader()
    header.moveSection(header.visualIndex(len(COLUMNS)), 1)
    header.resizeSection(len(COLUMNS), 140)
    desk.page.columns.choose("loss", False)
    desk.page.table.sortByColumn(len(COLUMNS), Qt.SortOrder.AscendingOrder)
    desk.page.head.group.chosen.emit("status")
    desk.page.remember()
    desk.application.close()
    settings = Settings(columns=dict(desk.settings.columns), views=dict(desk.settings.views))
    assert json.loads(settings.views["runs.added_columns"]) == [key]
    application = Application(sample.home, settings, spawn=refuse)
    again = RunsPage(application, settings, theme, Answers())
    qtbot.addWidget(again)
    assert again.model.extras == (key,)
    assert again.columns.in_order()[1] == key
    assert again.table.columnWidth(len(COLUMNS)) == 140
    assert not again.columns.wanted("loss")
    assert (again.model.wish.column, again.model.wish.descending) == (key, False)
    assert again.model.wish.group == "status"


def test_that_runs_are_copied_as_markdown_and_the_list_is_written_as_csv(
    desk: Desk, qtbot: QtBot, tmp_path: Path
) -> None:
    desk.choose("done")
    qtbot.keyClick(desk.page.table, Qt.Key.Key_C, CONTROL | SHIFT)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert desk.row("done").name in lines[2]
    desk.dialogs.path = str(tmp_path / "runs.csv")
    with qtbot.waitSignal(desk.application.message, timeout=5000):
        qtbot.keyClick(desk.page.table, Qt.Key.Key_E, CONTROL)
    with Path(desk.dialogs.path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert len(rows) == len(desk.runs) + 1
    place = rows[0].index("Name")
    assert desk.row("done").name in {row[place] for row in rows[1:]}
    desk.dialogs.path = str(tmp_path / "missing" / "runs.csv")
    with qtbot.waitSignal(desk.application.message, timeout=5000) as told:
        desk.page.head.export.click()
    assert told.args[0] == "error"


def test_that_the_page_says_what_can_be_done_and_its_keys_do_it(desk: Desk) -> None:
    desk.page.table.clearSelection()
    actions = {it.title: it for it in desk.page.page_actions()}
    assert not actions["Compare"].enabled()
    assert actions["Filter the list"].enabled()
    assert not actions["Undo"].enabled()
    desk.choose("done", "pruned")
    assert actions["Compare"].enabled()
    assert not actions["Open"].enabled()
    compared: list[list[str]] = []
    desk.page.compared.connect(compared.append)
    actions["Compare"].act()
    assert len(compared[0]) == 2


def test_that_the_menu_of_a_row_offers_what_fits_the_selection(desk: Desk) -> None:
    desk.choose("done", "pruned")
    desk.page._menu(QPoint(5, 5))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    texts = [it.text().partition("\t")[0] for it in menu.actions()]
    menu.close()
    assert "Copy as Markdown" in texts
    assert "Open" not in texts


def test_that_a_run_deleted_before_the_start_is_purged_only_when_it_is_old(
    sample: Sample, qtbot: QtBot
) -> None:
    old, young = sample.runs["done"], sample.runs["failed"]
    with Store.open(sample.home.database) as store:
        store._db.execute("UPDATE run SET deleted = 1.0 WHERE uid = ?", (old,))
        store._db.execute("UPDATE run SET deleted = 9e9 WHERE uid = ?", (young,))
        application = Application(sample.home, Settings(), spawn=refuse)
        application.begin()
        qtbot.waitUntil(lambda: application.runs.loaded, timeout=10_000)
        application.close()
        left = {uid for (uid,) in store._db.execute("SELECT uid FROM run")}
    assert young in left
    assert old not in left


def test_that_every_small_table_copies_as_markdown(theme: Theme, qtbot: QtBot) -> None:
    table = Table(theme, "Scores")
    qtbot.addWidget(table)
    table.show_rows((Column("Task", numeric=False), Column("Score")), ((Cell("a|b"), Cell("1.5")),))
    assert table.as_markdown() == "| Task | Score |\n| --- | ---: |\n| a\\|b | 1.5 |"
    qtbot.keyClick(table, Qt.Key.Key_C, CONTROL | SHIFT)
    assert QGuiApplication.clipboard().text() == table.as_markdown()


def test_that_the_settings_of_a_run_are_taken_by_a_key(desk: Desk, qtbot: QtBot) -> None:
    desk.choose("done")
    with qtbot.waitSignal(desk.page.reused) as told:
        qtbot.keyClick(desk.page.table, Qt.Key.Key_D, CONTROL)
    assert told.args == [desk.runs["done"]]
    listed = {action.title: action.keys for action in desk.page.page_actions()}
    assert listed["Use these settings"] == "Ctrl+D"


def test_that_headings_do_not_look_through_the_selection(desk: Desk) -> None:
    table, model = desk.page.table, desk.page.model
    table.selectAll()
    assert table.selectionModel().isColumnSelected(1)  # this looks at every row, for every heading
    assert not table.horizontalHeader().selectionModel().isColumnSelected(1)
    assert table.selected() == [model.line_at(row) for row in range(model.rowCount())]


def test_that_headings_of_groups_are_not_among_the_selected_runs(desk: Desk) -> None:
    desk.page.head.set_group("status")
    table, model = desk.page.table, desk.page.model
    assert model.groups()
    table.selectAll()
    assert set(table.selected()) == set(desk.runs.values())


def test_that_home_and_end_go_to_the_first_and_the_last_run(desk: Desk, qtbot: QtBot) -> None:
    table = desk.page.table
    table.selectRow(2)
    qtbot.keyClick(table, Qt.Key.Key_End)
    assert table.currentIndex().row() == table.model().rowCount() - 1
    qtbot.keyClick(table, Qt.Key.Key_Home)
    assert table.selected() == [desk.page.model.line_at(0)]
    qtbot.keyClick(table, Qt.Key.Key_End, Qt.KeyboardModifier.ShiftModifier)
    assert len(table.selected()) == table.model().rowCount()
