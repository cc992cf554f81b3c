from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QLineEdit, QScrollArea, QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import delete

from app.settings import Settings
from app.views import shell_commands
from app.views.pages import LISTED, PAGES, Place, keys_of
from app.views.shortcuts_drawer import ShortcutsDrawer
from app.widgets.actions import PageAction
from app.widgets.theme import Theme
from tests.app.conftest import Sample
from tests.app.shell import Shell, shell_on

CTRL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def shell(sample: Sample, theme: Theme, qtbot: QtBot) -> Iterator[Shell]:
    with shell_on(sample, theme, qtbot) as made:
        yield made


def test_that_f1_and_the_question_mark_open_and_close_the_drawer(
    shell: Shell, qtbot: QtBot
) -> None:
    window = shell.window
    for key in (Qt.Key.Key_F1, Qt.Key.Key_Question):
        qtbot.keyClick(window, key)
        assert window.shortcuts.isVisible()
        assert window.shortcuts.cross.hasFocus()
        qtbot.keyClick(window.shortcuts.cross, key)
        assert not window.shortcuts.isVisible()


def test_that_a_question_mark_can_be_typed_into_a_field(shell: Shell, qtbot: QtBot) -> None:
    shell.window.palette_box.open()
    field = shell.window.palette_box.field
    qtbot.keyClicks(field, "why?")
    assert field.text() == "why?"
    assert not shell.window.shortcuts.isVisible()


def test_that_the_button_opens_it_and_esc_closes_only_the_drawer(
    shell: Shell, qtbot: QtBot
) -> None:
    window = shell.window
    qtbot.mouseClick(window.header.shortcuts, Qt.MouseButton.LeftButton)
    assert window.shortcuts.isVisible()
    qtbot.keyClick(window.shortcuts.cross, Qt.Key.Key_Escape)
    assert not window.shortcuts.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert window.isVisible()


def test_that_tab_stays_in_the_drawer_while_it_is_open(shell: Shell, qtbot: QtBot) -> None:
    drawer = shell.window.shortcuts
    drawer.open()
    for _ in range(3):
        qtbot.keyClick(drawer.cross, Qt.Key.Key_Tab)
        assert drawer.isAncestorOf(shell.window.focusWidget())


def test_that_only_keys_that_work_here_are_listed(shell: Shell) -> None:
    window = shell.window
    window.show_page("settings")
    lines = dict(window.shortcuts.lines())
    assert lines["Search runs, commands, settings"] == "Ctrl K"
    assert "Next theme" not in lines  # it has no keys
    assert "Reset the preferences…" not in lines
    for place in LISTED:
        assert lines[place.title] == keys_of(place).replace("+", " ")


def test_that_every_key_of_the_window_is_listened_to_once(shell: Shell) -> None:
    here = Qt.FindChildOption.FindDirectChildrenOnly
    kept = [it.key().toString() for it in shell.window.findChildren(QShortcut, "", here)]
    assert len(kept) == len(set(kept))
    listed = {keys for _, keys in shell.window.shortcuts.lines()}
    assert {"Ctrl K", "F1", "Ctrl 1"} <= listed


def test_that_keys_of_pages_rest_below_an_open_palette_or_drawer(
    shell: Shell, qtbot: QtBot
) -> None:
    window = shell.window
    acted: list[str] = []
    window.show_page("new")
    here = QShortcut(QKeySequence("Ctrl+Alt+Y"), window.new_page)
    here.activated.connect(lambda: acted.append("page"))
    qtbot.keyClick(window.new_page, Qt.Key.Key_Y, CTRL | Qt.KeyboardModifier.AltModifier)
    assert acted == ["page"]
    for opened, at in (
        (window.palette_box, window.palette_box.field),
        (window.shortcuts, window.shortcuts.cross),
    ):
        opened.open()
        qtbot.keyClick(at, Qt.Key.Key_1, CTRL)
        qtbot.keyClick(at, Qt.Key.Key_Y, CTRL | Qt.KeyboardModifier.AltModifier)
        assert window.page == "new"
        assert acted == ["page"]
        assert opened.isVisible()
        qtbot.keyClick(at, Qt.Key.Key_Escape)
        assert not opened.isVisible()
    qtbot.keyClick(window.new_page, Qt.Key.Key_1, CTRL)
    assert window.page == "runs"


def test_that_one_thing_lies_over_the_window_and_esc_leaves_the_page_alone(
    shell: Shell, qtbot: QtBot
) -> None:
    window = shell.window
    before = window.focusWidget()
    window.shortcuts.toggle()
    qtbot.keyClick(window.shortcuts.cross, Qt.Key.Key_K, CTRL)
    assert window.palette_box.isVisible()
    assert not window.shortcuts.isVisible()
    qtbot.keyClick(window.palette_box.field, Qt.Key.Key_F1)
    assert window.shortcuts.isVisible()
    assert not window.palette_box.isVisible()
    qtbot.keyClick(window.shortcuts.cross, Qt.Key.Key_Escape)
    assert not window.shortcuts.isVisible()
    assert window.focusWidget() is before


def test_that_the_focus_is_given_back_to_nothing_that_is_gone(shell: Shell, qtbot: QtBot) -> None:
    window = shell.window
    gone = QLineEdit(window.centralWidget())
    gone.show()
    gone.setFocus()
    window.shortcuts.open()
    delete(gone)
    qtbot.keyClick(window.shortcuts.cross, Qt.Key.Key_Escape)
    assert not window.shortcuts.isVisible()


def test_that_a_drawer_longer_than_the_window_is_moved_by_keys(theme: Theme, qtbot: QtBot) -> None:
    ground = QWidget()
    qtbot.addWidget(ground)
    ground.resize(400, 300)
    many = [PageAction(f"Act {place}", lambda: None, "F2") for place in range(60)]
    drawer = ShortcutsDrawer(ground, theme, lambda: (("Everywhere", many),))
    ground.show()
    drawer.open()
    bar = drawer.findChild(QScrollArea).verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    qtbot.keyClick(drawer.cross, Qt.Key.Key_PageDown)
    assert bar.value() > 0
    qtbot.keyClick(drawer.cross, Qt.Key.Key_Home)
    assert bar.value() == 0


def test_that_a_click_beside_the_drawer_closes_it(shell: Shell, qtbot: QtBot) -> None:
    drawer = shell.window.shortcuts
    drawer.open()
    qtbot.mouseClick(drawer, Qt.MouseButton.LeftButton, pos=QPoint(10, 300))
    assert not drawer.isVisible()


def test_that_a_hidden_page_is_offered_to_developers_only(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REKINDLE_DEVELOPER", raising=False)
    gallery = Place("gallery", "Gallery", "palette", "nowhere", "Nothing", hidden=True)
    monkeypatch.setattr(shell_commands, "PAGES", (*PAGES, gallery))
    commands = shell_commands.ShellCommands(
        shell.settings, shell.window._commands._shown, shell.window._acts()
    )
    assert "Gallery" not in [it.title for it in commands.entries()]
    shell.settings.developer = True
    assert "Gallery" in [it.title for it in commands.entries()]
    assert keys_of(gallery) == ""
    assert not any(place.hidden for place in LISTED)


def test_that_the_rail_marks_nothing_for_a_page_that_is_not_in_it(shell: Shell) -> None:
    rail = shell.window.rail
    rail.select("gallery")
    assert not any(it.isChecked() for it in rail._buttons.values())
    rail.select("runs")
    assert [key for key, it in rail._buttons.items() if it.isChecked()] == ["runs"]


def test_that_every_page_names_a_module_and_a_class_and_keys_of_its_own() -> None:
    kinds = {place.key: place for place in PAGES}
    assert len(kinds) == len(PAGES)
    assert len({keys_of(place) for place in LISTED}) == len(LISTED) <= 9
    assert Settings().page in kinds
