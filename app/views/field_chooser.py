"""One of very many fields, chosen by a few letters of its name, its stage or its path."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.widgets.controls import label

SIZE = (380, 360)
INSET = 8
HINT = "Find a field: steps, seed, rate"
NOTHING = "No field is called that."
_PATH = int(Qt.ItemDataRole.UserRole)
_LIST_KEYS = (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp)


def matching(text: str, fields: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The (path, label) pairs that hold every word of a text, those whose own name begins so first."""
    words = text.casefold().split()

    def distance(entry: tuple[str, str]) -> int:
        path, shown = entry
        names = [shown.partition(": ")[2] or shown, path.rsplit(".", 1)[-1]]
        begins = any(name.casefold().startswith(word) for name in names for word in words)
        return 0 if begins else 1

    def holds(entry: tuple[str, str]) -> bool:
        whole = " ".join(entry).casefold()
        return all(word in whole for word in words)

    found = [entry for entry in fields if holds(entry)]
    return sorted(found, key=distance) if words else found


class FieldChooser(QFrame):
    """A line to search in over the list of what fits; arrows move, Enter chooses, Escape leaves."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._fields = tuple(fields)
        self.setProperty("surface", "card")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAccessibleName("Fields that can be swept")
        self.resize(*SIZE)
        self.line = QLineEdit()
        self.line.setPlaceholderText(HINT)
        self.line.setAccessibleName("Find a field")
        self.line.textChanged.connect(self._find)
        self.line.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Fields")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._choose)
        self.list.currentItemChanged.connect(lambda item, _: self._say(item))
        self.nothing = label(NOTHING, "hint")
        column = QVBoxLayout(self)
        column.setContentsMargins(INSET, INSET, INSET, INSET)
        for widget in (self.line, self.nothing, self.list):
            column.addWidget(widget)
        self.setFocusProxy(self.line)
        self._find("")

    def open_below(self, widget: QWidget) -> None:
        """Show it below a widget, within its screen."""
        at = widget.mapToGlobal(QPoint(0, widget.height()))
        screen = widget.screen().availableGeometry()
        x = max(min(at.x(), screen.right() - self.width()), screen.left())
        y = max(min(at.y(), screen.bottom() - self.height()), screen.top())
        self.move(x, y)
        self.show()
        self.line.setFocus(Qt.FocusReason.PopupFocusReason)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the list are pressed in the line."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in _LIST_KEYS:
                return bool(QApplication.sendEvent(self.list, event))
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._choose(self.list.currentItem())
                return True
        return super().eventFilter(watched, event)

    def _find(self, text: str) -> None:
        self.list.clear()
        for path, shown in matching(text, self._fields):
            item = QListWidgetItem(shown, self.list)
            item.setData(_PATH, path)
            item.setToolTip(path)
        self.list.setCurrentRow(0)
        self.nothing.setVisible(self.list.count() == 0)

    def _say(self, item: QListWidgetItem | None) -> None:
        """A screen reader stays in the line; this is what Enter would take."""
        self.line.setAccessibleDescription(NOTHING if item is None else item.text())

    def _choose(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            path = str(item.data(_PATH))
            self.close()
            self.chosen.emit(path)
