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
    QComboBox,
    QLabel,
    QMenu,
    QWidget,
)
from pytestqt.qtbot import QtBot

WAIT_MS = 60_000
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
        self.until(lambda: self._found(names) is not None)
        found = self._found(names)
        assert found is not None
        return found

    def click(self, *names: str) -> None:
        """Click a control, or an entry of an open menu."""
        self.until(lambda: _entry(names) is not None or self._found(names) is not None)
        entry = _entry(names)
        if entry is not None:
            menu, action = entry
            self._qtbot.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())
            return
        self._qtbot.mouseClick(self.find(*names), LEFT)

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
        windows = [it for it in QApplication.topLevelWidgets() if it.isVisible()]
        if QApplication.activeWindow() is None and QApplication.activePopupWidget() is None:
            # The offscreen platform leaves no window active when a menu has closed; then no shortcut fires.
            window = next(it for it in windows if it.isWindow() and not isinstance(it, QMenu))
            with self._qtbot.waitActive(window, timeout=self._wait_ms):
                window.activateWindow()
        held = [it.focusWidget() for it in windows if not isinstance(it, QMenu)]
        target = QApplication.focusWidget() or next(it for it in held if it is not None)
        self._qtbot.keyClick(target, combination.key(), combination.keyboardModifiers())

    def choose(self, name: str, option: str) -> None:
        """Choose an entry of a picker by the keyboard."""
        picker = self.find(name)
        assert isinstance(picker, QComboBox)
        at = picker.findText(option, Qt.MatchFlag.MatchStartsWith)
        assert at >= 0, f"{name} offers {[picker.itemText(k) for k in range(picker.count())]}"
        picker.setFocus()
        while picker.currentIndex() != at:
            down = picker.currentIndex() < at
            self._qtbot.keyClick(picker, Qt.Key.Key_Down if down else Qt.Key.Key_Up)

    def row(self, name: str, text: str) -> None:
        """Click the row of a list or table in which a cell holds this text."""
        self.until(lambda: self._view(name) is not None)
        view = self._view(name)
        assert view is not None
        model = view.model()
        columns = 1 if isinstance(model, QAbstractListModel) else model.columnCount()

        def where() -> QPoint | None:
            for row in range(model.rowCount()):
                for column in range(columns):
                    index = model.index(row, column)
                    if text in str(index.data() or ""):
                        view.scrollTo(index)
                        return view.visualRect(index).center()
            return None

        self.until(lambda: where() is not None)
        place = where()
        assert place is not None
        view.setFocus()
        self._qtbot.mouseClick(view.viewport(), LEFT, pos=place)

    def _view(self, name: str) -> QAbstractItemView | None:
        views = (it for it in _visible() if isinstance(it, QAbstractItemView))
        return next((it for it in views if _name(it) == name), None)

    def _take(self, name: str) -> QWidget:
        field = self.find(name)
        field.setFocus()
        return field

    def _found(self, names: tuple[str, ...]) -> QWidget | None:
        fitting = [it for it in _visible() if it.isEnabled() and _name(it) in names]
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
    for top in QApplication.topLevelWidgets():
        if isinstance(top, QMenu) and top.isVisible():
            for action in top.actions():
                words = action.text().split("\t")[0].replace("&", "").rstrip("…")
                if action.isEnabled() and words in names:
                    return top, action
    return None
