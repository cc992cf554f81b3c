"""A person's hands on the window: controls are found by what is read out or written on them, and moved by mouse
and keyboard only.

So a flow survives a new layout; it breaks when a control loses its name, which is what a person would lose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QAbstractListModel, QPoint, Qt
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QMenu,
    QWidget,
)
from pytestqt.exceptions import TimeoutError as NeverCame
from pytestqt.qtbot import QtBot

WAIT_MS = 180_000
TICK_X = 8
LEFT = Qt.MouseButton.LeftButton


class Hands:
    """Acts on whatever is visible: the window, its menus, its dialogs.

    Args:
        qtbot: moves mouse and keys.
        wait_ms: how long a control may take to appear.
    """

    def __init__(self, qtbot: QtBot, wait_ms: int = WAIT_MS) -> None:
        self._qtbot = qtbot
        self._wait_ms = wait_ms

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait."""
        self._qtbot.waitUntil(condition, timeout=self._wait_ms)

    def sees(self, *names: str) -> bool:
        """Whether a control of one of these names can be used now."""
        return self._found(names) is not None

    def reads(self, text: str) -> bool:
        """Whether a visible label or button says so."""
        return any(text in words for widget in _visible() for words in _words(widget))

    def find(self, *names: str) -> QWidget:
        """The visible, enabled control of that name (of one of these, where names may change)."""
        self._wait_for(names, lambda: self._found(names) is not None)
        found = self._found(names)
        assert found is not None
        return found

    def click(self, *names: str) -> None:
        """Click a control, or an entry of an open menu."""
        self._wait_for(names, lambda: bool(_entry(names) or self._found(names)))
        entry = _entry(names)
        if entry is not None:
            menu, action = entry
            self._qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())
            return
        control = self.find(*names)
        at = control.rect().center()
        if isinstance(control, QCheckBox):
            at.setX(TICK_X)  # beside its words it takes no click
        self._qtbot.mouseClick(control, LEFT, pos=at)

    def type(self, name: str, text: str) -> None:
        """Replace what stands in a field by typing."""
        field = self._take(name)
        self._qtbot.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        self._qtbot.keyClicks(field, text)

    def paste(self, name: str, text: str) -> None:
        """Replace what stands in a field from the clipboard."""
        QGuiApplication.clipboard().setText(text)
        field = self._take(name)
        self._qtbot.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        self._qtbot.keyClick(field, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)

    def press(self, keys: str) -> None:
        """Press keys ("Ctrl+2", "Delete") where the focus is."""
        combination = QKeySequence(keys)[0]
        self._qtbot.keyClick(self._focus(), combination.key(), combination.keyboardModifiers())

    def write(self, text: str) -> None:
        """Type where the focus is."""
        self._qtbot.keyClicks(self._focus(), text)

    def choose(self, name: str, option: str) -> None:
        """Choose an entry of a picker by the keyboard."""
        picker = self.find(name)
        assert isinstance(picker, QComboBox)

        def place() -> int:
            return picker.findText(option, Qt.MatchFlag.MatchStartsWith)

        self.until(lambda: place() >= 0)
        at = place()
        self._activate()
        picker.setFocus()
        while picker.currentIndex() != at:
            down = picker.currentIndex() < at
            self._qtbot.keyClick(picker, Qt.Key.Key_Down if down else Qt.Key.Key_Up)

    def row(self, name: str, text: str) -> None:
        """Click the row of a list or table in which a cell holds this text."""
        self.until(lambda: self._view(name) is not None)
        view = self._view(name)
        assert view is not None
        self.until(lambda: self._place(view, text) is not None)
        place = self._place(view, text)
        assert place is not None
        self._qtbot.mouseClick(view.viewport(), LEFT, pos=place)

    def cells(self, name: str, column: int) -> list[str]:
        """What the rows of a table say in one column, from top to bottom."""
        view = self._view(name)
        if view is None:
            return []
        model = view.model()
        return [str(model.index(row, column).data() or "") for row in range(model.rowCount())]

    def _view(self, name: str) -> QAbstractItemView | None:
        views = (it for it in _visible() if isinstance(it, QAbstractItemView))
        return next((it for it in views if _name(it) == name), None)

    def _activate(self) -> None:
        # The offscreen platform leaves no window active when a menu has closed; a desktop gives it back.
        if QApplication.activeWindow() is None:
            next(it for it in QApplication.topLevelWidgets() if it.isVisible()).activateWindow()
            self.until(lambda: QApplication.activeWindow() is not None)

    def _focus(self) -> QWidget:
        self._activate()
        return QApplication.focusWidget() or QApplication.activeWindow()

    def _wait_for(self, names: tuple[str, ...], there: Callable[[], bool]) -> None:
        try:
            self.until(there)
        except NeverCame as error:
            usable = sorted({_name(it) for it in _visible() if it.isEnabled()} - {""})
            entries = [text for menu in _menus() for text in map(_text, menu.actions())]
            raise AssertionError(f"nothing is called {names}; seen: {usable} {entries}") from error

    @staticmethod
    def _place(view: QAbstractItemView, text: str) -> QPoint | None:
        model = view.model()
        columns = 1 if isinstance(model, QAbstractListModel) else model.columnCount()
        for row in range(model.rowCount()):
            for column in range(columns):
                index = model.index(row, column)
                if text in str(index.data() or ""):
                    view.scrollTo(index)
                    return view.visualRect(index).center()
        return None

    def _take(self, name: str) -> QWidget:
        field = self.find(name)
        self._activate()
        field.setFocus()
        return field

    def _found(self, names: tuple[str, ...]) -> QWidget | None:
        usable = [it for it in _visible() if it.isEnabled()]
        fitting = [it for it in usable if _name(it) in names]
        # A card says after its name what it does and how it is.
        fitting = fitting or [it for it in usable if _name(it).partition(", ")[0] in names]
        # A name may be said of a control and of a frame around it: the one that is acted on is meant.
        acted = [it for it in fitting if it.focusPolicy() != Qt.FocusPolicy.NoFocus]
        return (acted or fitting or [None])[0]


def _visible() -> Iterator[QWidget]:
    for top in QApplication.topLevelWidgets():
        if top.isVisible():
            yield top
            yield from (it for it in top.findChildren(QWidget) if it.isVisible())


def _name(widget: QWidget) -> str:
    named = widget.accessibleName()
    if not named and isinstance(widget, QAbstractButton):
        named = widget.text()
    return named.replace("&", "").strip()


def _words(widget: QWidget) -> list[str]:
    shown = widget.text() if isinstance(widget, QLabel | QAbstractButton) else ""
    return [shown, widget.accessibleName()]


def _entry(names: tuple[str, ...]) -> tuple[QMenu, QAction] | None:
    for menu in _menus():
        for action in menu.actions():
            if action.isEnabled() and _text(action) in names:
                return menu, action
    return None


def _menus() -> Iterator[QMenu]:
    for top in QApplication.topLevelWidgets():
        if isinstance(top, QMenu) and top.isVisible():
            yield top


def _text(action: QAction) -> str:
    return action.text().split("\t")[0].replace("&", "").rstrip("…")
