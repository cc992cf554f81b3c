"""The looks checks: that each finds what it is for, and that no page of the window gives them anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyqtgraph as pg
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import (
    QComboBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QMainWindow,
    QPlainTextEdit,
    QPushButton,
    QTabBar,
    QTableWidget,
    QTableWidgetItem,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from app.views.pages import PAGES
from app.widgets.controls import Button, Chip, Elided, Picker
from app.widgets.theme import Theme
from tests.app import looks
from tests.app.conftest import Pictures
from tests.app.scenes import STATES, scenes
from tests.app.screenshots import child

LONG = "a text that is much longer than the place it has been given"


@pytest.fixture
def ground(theme: Theme, qtbot: QtBot) -> Iterator[QWidget]:
    """A shown, active window with one good button."""
    window = QMainWindow()
    page = QWidget()
    page.setProperty("surface", "page")
    window.setCentralWidget(page)
    window.resize(420, 320)
    good = QPushButton("Good", page)
    good.move(10, 280)
    window.show()
    qtbot.waitExposed(window)
    window.activateWindow()
    yield page
    window.hide()
    window.deleteLater()


def put(page: QWidget, widget: QWidget, *box: int) -> QWidget:
    """Show a widget at a place of the page."""
    widget.setParent(page)
    widget.setGeometry(*box)
    widget.show()
    return widget


def kinds(page: QWidget) -> list[str]:
    """What the checks report, by kind."""
    page.window().grab()
    return [finding.kind for finding in looks.look(page.window())]


def test_that_a_window_without_fault_has_no_finding(ground: QWidget, theme: Theme) -> None:
    put(ground, QLabel("short"), 10, 10, 200, 20)
    put(ground, Button(theme, "Fits", "", "plus"), 10, 40, 120, 28)
    put(ground, Elided(LONG), 10, 80, 80, 20)
    assert kinds(ground) == []
    assert looks.tab(ground.window()) == []


def test_that_a_clipped_label_is_found_and_one_with_a_tooltip_is_not(ground: QWidget) -> None:
    label = put(ground, QLabel(LONG), 10, 10, 80, 20)
    assert kinds(ground) == ["clipped"]
    label.setToolTip(LONG)
    assert kinds(ground) == []


def test_that_a_label_cut_in_its_height_is_found(ground: QWidget) -> None:
    wrapped = QLabel(LONG)
    wrapped.setWordWrap(True)
    put(ground, wrapped, 10, 10, 120, 20)
    put(ground, QLabel("low"), 200, 10, 120, 8)
    assert kinds(ground) == ["clipped", "clipped"]


def test_that_a_clipped_button_combo_and_field_are_found(ground: QWidget, theme: Theme) -> None:
    put(ground, Button(theme, LONG, "", "plus"), 10, 10, 80, 28)
    combo = QComboBox()
    combo.setAccessibleName("Choice")
    combo.addItem(LONG)
    put(ground, combo, 10, 50, 80, 28)
    field = QLineEdit()
    field.setAccessibleName("Field")
    field.setPlaceholderText(LONG)
    put(ground, field, 10, 90, 80, 28)
    assert kinds(ground) == ["clipped", "clipped", "clipped"]


def test_that_clipped_headings_and_cells_are_found(ground: QWidget) -> None:
    table = QTableWidget(1, 1)
    table.setAccessibleName("Table")
    table.setHorizontalHeaderLabels([LONG])
    table.setColumnWidth(0, 60)
    put(ground, table, 10, 10, 200, 120)
    assert kinds(ground) == ["clipped"]
    table.setCellWidget(0, 0, None)
    table.model().setData(table.model().index(0, 0), LONG)
    assert kinds(ground) == ["clipped", "clipped"]
    table.model().setData(table.model().index(0, 0), LONG, Qt.ItemDataRole.ToolTipRole)
    assert kinds(ground) == ["clipped"]


def test_that_clipped_entries_of_lists_and_trees_are_found(ground: QWidget) -> None:
    entries = QListWidget()
    entries.setAccessibleName("List")
    entries.addItems(["short", LONG])
    entries.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    entries.setTextElideMode(Qt.TextElideMode.ElideRight)
    entries.setUniformItemSizes(True)
    put(ground, entries, 10, 10, 90, 80)
    tree = QTreeWidget()
    tree.setAccessibleName("Tree")
    tree.setHeaderHidden(True)
    root = QTreeWidgetItem(tree, ["root"])
    QTreeWidgetItem(root, [LONG])
    put(ground, tree, 110, 10, 120, 80)
    assert kinds(ground) == []  # the list scrolls aside, and the branch is closed
    entries.setWordWrap(True)
    entries.setResizeMode(QListWidget.ResizeMode.Adjust)
    tree.expandItem(root)
    assert kinds(ground) == ["clipped"]
    root.child(0).setToolTip(0, LONG)
    assert kinds(ground) == []


def test_that_a_heading_is_measured_without_the_padding_of_its_column(ground: QWidget) -> None:
    table = QTableWidget(1, 1)
    table.setAccessibleName("Table")
    table.setHorizontalHeaderLabels(["Recovered"])
    header = table.horizontalHeader()
    put(ground, table, 10, 10, 200, 120)
    table.setColumnWidth(0, header.sectionSizeHint(0))
    assert kinds(ground) == []
    tight = header.fontMetrics().horizontalAdvance("Recovered") + 22
    table.setColumnWidth(0, tight - 5)
    assert kinds(ground) == []
    header.setSortIndicatorShown(True)
    header.setSortIndicator(0, Qt.SortOrder.AscendingOrder)
    assert kinds(ground) == ["clipped"]
    header.setSortIndicatorShown(False)
    table.setColumnWidth(0, tight - 20)
    assert kinds(ground) == ["clipped"]


def test_that_faint_words_in_cells_headings_fields_and_tabs_are_found(ground: QWidget) -> None:
    table = QTableWidget(1, 1)
    table.setAccessibleName("Table")
    table.setHorizontalHeaderLabels(["heading"])
    table.setItem(0, 0, QTableWidgetItem("cell"))
    put(ground, table, 10, 10, 200, 90)
    field = QLineEdit("typed")
    field.setAccessibleName("Field")
    put(ground, field, 10, 110, 120, 28)
    combo = QComboBox()
    combo.setAccessibleName("Choice")
    combo.addItem("chosen")
    put(ground, combo, 140, 110, 120, 28)
    tabs = QTabBar()
    tabs.setAccessibleName("Tabs")
    tabs.addTab("tab")
    put(ground, tabs, 10, 150, 120, 40)
    assert kinds(ground) == []
    table.item(0, 0).setForeground(QColor("#c8ccd4"))
    assert kinds(ground) == ["faint"]
    for widget, sheet in (
        (table.horizontalHeader(), "QHeaderView::section { color: #c8ccd4; }"),
        (field, "color: #c8ccd4;"),
        (combo, "color: #c8ccd4;"),
        (tabs, "QTabBar::tab:selected { color: #c8ccd4; }"),
    ):
        widget.setStyleSheet(sheet)
    assert kinds(ground) == ["faint"] * 5
    table.item(0, 0).setFlags(Qt.ItemFlag.NoItemFlags)
    field.setEnabled(False)
    assert kinds(ground) == ["faint"] * 3


def test_that_labels_of_an_axis_on_top_of_each_other_are_found(ground: QWidget) -> None:
    plot = pg.PlotWidget(background=None)
    plot.setAccessibleName("Plot")
    put(ground, plot, 10, 10, 300, 200)
    plot.setRange(xRange=(0, 100), yRange=(-0.1, 1.1), padding=0)
    axis = plot.getAxis("bottom")
    axis.setTicks([[(20, "twenty"), (80, "eighty")]])
    assert kinds(ground) == []
    axis.setTicks([[(20, "twenty"), (24, "twenty-four"), (80, "eighty")]])
    assert kinds(ground) == ["overlap"]
    axis.setTicks([[(20, "twenty")]])
    plot.setRange(yRange=(0, 1), padding=0)  # the label at 1 stands half above the plot
    assert kinds(ground) == ["clipped"]


def test_that_siblings_on_top_of_each_other_are_found(ground: QWidget) -> None:
    put(ground, QLabel("first"), 10, 10, 80, 20)
    second = put(ground, QLabel("second"), 40, 15, 80, 20)
    assert kinds(ground) == ["overlap"]
    second.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    assert kinds(ground) == []


def test_that_a_child_that_sticks_out_of_its_parent_is_found(ground: QWidget) -> None:
    put(ground, QLabel("out"), 380, 10, 80, 20)
    assert kinds(ground) == ["outside"]


def test_that_a_control_without_a_name_is_found(ground: QWidget, theme: Theme) -> None:
    nameless = put(ground, Button(theme, "", "quiet", "x"), 10, 10, 30, 28)
    assert kinds(ground) == ["nameless"]
    nameless.setAccessibleName("Close")
    assert kinds(ground) == []
    put(ground, QPlainTextEdit(), 10, 60, 100, 60)
    assert kinds(ground) == ["nameless"]


def test_that_a_control_the_tab_key_misses_is_found(ground: QWidget) -> None:
    missed = put(ground, QPushButton("Missed"), 10, 10, 120, 28)
    assert looks.tab(ground.window()) == []
    missed.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    assert [it.kind for it in looks.tab(ground.window())] == ["unreachable"]


def test_that_a_control_which_swallows_the_tab_key_is_found(ground: QWidget) -> None:
    text = QPlainTextEdit()
    text.setAccessibleName("Text")
    put(ground, text, 10, 10, 120, 60)
    assert "trap" in [it.kind for it in looks.tab(ground.window())]
    text.setTabChangesFocus(True)
    assert looks.tab(ground.window()) == []


def test_that_words_too_close_to_their_ground_are_found(ground: QWidget, theme: Theme) -> None:
    label = put(ground, QLabel("hard to read"), 10, 10, 200, 20)
    assert kinds(ground) == []
    label.setStyleSheet("color: #b8bcc4;")
    assert kinds(ground) == ["faint"]
    theme.choose("dark")
    assert kinds(ground) == []
    label.setStyleSheet("color: #4b525d;")
    assert kinds(ground) == ["faint"]


def test_that_a_window_which_lost_the_focus_is_found(ground: QWidget, qtbot: QtBot) -> None:
    other = QLabel("a window for a moment")
    other.show()
    qtbot.waitUntil(lambda: not ground.window().isActiveWindow())
    other.hide()
    other.deleteLater()
    assert "inactive" in [it.kind for it in looks.tab(ground.window())]


def test_that_a_chip_is_never_a_window_of_its_own(
    ground: QWidget, theme: Theme, qtbot: QtBot
) -> None:
    column = QVBoxLayout(ground)
    chip = Chip(theme, "a run", "accent", removable=True)
    column.addWidget(chip)
    qtbot.waitUntil(chip.isVisible)
    assert looks.tab(ground.window()) == []


def test_that_a_picker_too_narrow_for_its_choice_has_it_in_the_tooltip(ground: QWidget) -> None:
    picker = Picker("Preset")
    picker.set_options((("a", LONG), ("b", "short")), "a")
    put(ground, picker, 10, 10, 80, 28)
    assert picker.toolTip() == LONG
    assert kinds(ground) == []
    picker.set_options((("a", LONG), ("b", "short")), "b")
    assert picker.toolTip() == "short"
    picker.setToolTip("What it is for")
    picker.set_options((("a", LONG), ("b", "short")), "a")
    assert picker.toolTip() == "What it is for"
    assert kinds(ground) == ["clipped"]


def test_that_bold_words_are_measured_as_bold(ground: QWidget) -> None:
    label = QLabel("Recovered fraction of what was lost")
    room = label.fontMetrics().horizontalAdvance(label.text()) + 1
    put(ground, label, 10, 10, room, 20)
    assert kinds(ground) == []
    bold = QFont(label.font())
    bold.setWeight(QFont.Weight.DemiBold)
    label.setFont(bold)
    assert kinds(ground) == ["clipped"]


def test_that_every_page_has_a_scene_in_every_state() -> None:
    names = {scene.name for scene in scenes()}
    assert names >= {f"{key}-{state}" for key in (place.key for place in PAGES) for state in STATES}


def findings(report: dict[str, dict[str, list[str]]]) -> list[str]:
    """One line for each finding, with the scene it was made in."""
    assert report["findings"]
    lines = [f"{name}: {it}" for name, them in report["findings"].items() for it in them]
    return [*lines, *(f"a warning: {it}" for it in report["warnings"])]


def test_that_nothing_is_clipped_covered_nameless_or_faint_on_a_full_page(
    full_pages: Pictures,
) -> None:
    assert findings(full_pages.report) == []


@pytest.mark.slow
def test_that_nothing_is_wrong_behind_any_side_list_menu_or_overlay(tmp_path: Path) -> None:
    report = child(tmp_path, "--walk")
    walked = " ".join(report["findings"])
    for name in ("Sweep", "guards", "list Preset", "menu of Scores", "palette", "shortcuts"):
        assert name.casefold() in walked.casefold(), name
    assert findings(report) == []


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["1", "1.5", "2"])
@pytest.mark.parametrize("state", STATES)
def test_that_nothing_is_wrong_at_any_size_and_scale(
    state: str, scale: str, tmp_path: Path
) -> None:
    assert findings(child(tmp_path, "--states", state, scale=scale)) == []
