"""The windows that ask: what each answer means, which one is safe, and that all their words can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.views.dialogs import Dialogs
from app.views.questions import LineQuestion, NotesQuestion, Question
from app.views.tag_dialog import TagDialog
from app.widgets.theme import Theme
from tests.app import looks

SHARES = {"paper": 1.0, "wrong": 0.5, "new": 0.0}
LONG = (
    "Everything that was recorded of them is moved to the trash, and stays there until it is emptied. "
    * 3
)
ASKING: dict[str, Callable[[Dialogs, QWidget], object]] = {
    "confirm": lambda it, on: it.confirm(on, "Delete 12 runs?", LONG, "Delete them all"),
    "leave": lambda it, on: it.leave(on, 2),
    "leave project": lambda it, on: it.leave_project(on, 2),
    "text": lambda it, on: it.ask_text(on, "Rename the run", "Name", "a name"),
    "notes": lambda it, on: it.ask_notes(on, "Notes", "What is worth keeping", "kept"),
    "tags": lambda it, on: it.ask_tags(on, "Tags of 3 runs", SHARES),
}


@pytest.fixture
def ground(theme: Theme, qtbot: QtBot) -> Iterator[QMainWindow]:
    """A shown window to ask in."""
    window = QMainWindow()
    window.resize(640, 480)
    window.show()
    qtbot.waitExposed(window)
    yield window
    window.hide()
    window.deleteLater()


def answered(ask: Callable[[], object], act: Callable[[Question], None]) -> object:
    """Ask, do something with the window that asks, and tell the answer."""
    met: list[str] = []

    def meet() -> None:
        asked = QApplication.activeModalWidget()
        assert isinstance(asked, Question)
        met.append(asked.windowTitle())
        try:
            act(asked)
        finally:
            asked.done(QDialog.DialogCode.Rejected)  # a failed act must not leave it open for ever

    QTimer.singleShot(0, meet)
    answer = ask()
    assert met
    assert met[0]
    return answer


def press(words: str) -> Callable[[Question], None]:
    """A click on the button that says so."""

    def act(asked: Question) -> None:
        next(it for it in asked.findChildren(QPushButton) if it.text() == words).click()

    return act


def strike(qtbot: QtBot, key: Qt.Key) -> Callable[[Question], None]:
    """A key where the focus is."""
    return lambda asked: qtbot.keyClick(asked.focusWidget() or asked, key)


@pytest.mark.parametrize("kind", ASKING)
@pytest.mark.parametrize("choice", ["light", "dark"])
def test_that_all_words_of_a_question_can_be_read(
    kind: str, choice: str, ground: QMainWindow, theme: Theme, qtbot: QtBot
) -> None:
    theme.choose(choice)
    found: list[str] = []

    def examine(asked: Question) -> None:
        qtbot.waitUntil(asked.isActiveWindow)
        found.extend(str(it) for it in [*looks.look(asked), *looks.tab(asked)])
        rights = [it.geometry().right() for it in asked.findChildren(QPushButton)]
        assert max(rights) < asked.width()

    answered(lambda: ASKING[kind](Dialogs(), ground), examine)
    assert found == []


def test_that_enter_and_escape_take_the_safe_answer(ground: QMainWindow, qtbot: QtBot) -> None:
    ask = partial(ASKING["confirm"], Dialogs(), ground)
    assert answered(ask, strike(qtbot, Qt.Key.Key_Return)) is False
    assert answered(ask, strike(qtbot, Qt.Key.Key_Escape)) is False
    assert answered(ask, press("Cancel")) is False
    assert answered(ask, press("Delete them all")) is True


def test_that_leaving_keeps_the_work_unless_told_otherwise(
    ground: QMainWindow, qtbot: QtBot
) -> None:
    ask = partial(ASKING["leave"], Dialogs(), ground)
    assert answered(ask, strike(qtbot, Qt.Key.Key_Return)) == "keep"
    assert answered(ask, strike(qtbot, Qt.Key.Key_Escape)) == "cancel"
    assert answered(ask, press("Stop and save, then close")) == "stop"
    assert answered(ask, press("Cancel")) == "cancel"
    leave = partial(ASKING["leave project"], Dialogs(), ground)
    assert answered(leave, strike(qtbot, Qt.Key.Key_Return)) == "keep"
    assert answered(leave, press("Stop and save, then leave")) == "stop"
    assert answered(leave, strike(qtbot, Qt.Key.Key_Escape)) == "cancel"


def test_that_a_name_is_typed_over_saved_by_enter_and_never_empty(
    ground: QMainWindow, qtbot: QtBot
) -> None:
    ask = partial(ASKING["text"], Dialogs(), ground)

    def rename(asked: Question) -> None:
        assert isinstance(asked, LineQuestion)
        qtbot.keyClicks(asked.field, " another ")
        qtbot.keyClick(asked.field, Qt.Key.Key_Return)

    def empty(asked: Question) -> None:
        assert isinstance(asked, LineQuestion)
        qtbot.keyClick(asked.field, Qt.Key.Key_Delete)
        qtbot.keyClick(asked.field, Qt.Key.Key_Return)
        assert asked.isVisible()
        assert not next(it for it in asked.findChildren(QPushButton) if it.isDefault()).isEnabled()

    assert answered(ask, rename) == "another"
    assert answered(ask, empty) is None
    assert answered(ask, strike(qtbot, Qt.Key.Key_Escape)) is None


def test_that_enter_is_a_new_line_of_notes_and_ctrl_enter_saves_them(
    ground: QMainWindow, qtbot: QtBot
) -> None:
    ask = partial(ASKING["notes"], Dialogs(), ground)

    def write(asked: Question) -> None:
        assert isinstance(asked, NotesQuestion)
        qtbot.keyClick(asked.field, Qt.Key.Key_End)
        qtbot.keyClick(asked.field, Qt.Key.Key_Return)
        assert asked.isVisible()
        qtbot.keyClicks(asked.field, "more")
        qtbot.keyClick(asked.field, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    def wipe(asked: Question) -> None:
        assert isinstance(asked, NotesQuestion)
        asked.field.clear()
        press("Save")(asked)

    assert answered(ask, write) == "kept\nmore"
    assert answered(ask, wipe) == ""
    assert answered(ask, strike(qtbot, Qt.Key.Key_Escape)) is None


def test_that_tags_are_given_and_taken_only_by_saving(ground: QMainWindow, qtbot: QtBot) -> None:
    ask = partial(ASKING["tags"], Dialogs(), ground)

    def tick(asked: Question) -> None:
        assert isinstance(asked, TagDialog)
        qtbot.keyClicks(asked.new, "first, second")
        asked.known.item(0).setCheckState(Qt.CheckState.Unchecked)
        press("Save")(asked)

    assert answered(ask, tick) == (["first", "second"], ["paper"])
    assert answered(ask, press("Cancel")) is None
