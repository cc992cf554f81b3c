"""The table of runs and the filter in front of its model: keys, search."""

from __future__ import annotations

from typing import ClassVar

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QTableView

from app.viewmodels.runs import SEARCH_ROLE, SORT_ROLE, STATUS_ROLE


class RunFilter(QSortFilterProxyModel):
    """Rows whose text holds every word searched for, and whose status is the one chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._words: tuple[str, ...] = ()
        self._status = ""
        self.setSortRole(SORT_ROLE)

    def set_words(self, text: str) -> None:
        """Search."""
        self.beginFilterChange()
        self._words = tuple(text.lower().split())
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def set_status(self, status: str) -> None:
        """Keep one status; empty keeps all."""
        self.beginFilterChange()
        self._status = status
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, row: int, parent: QModelIndex | QPersistentModelIndex) -> bool:
        """Whether a row passes."""
        index = self.sourceModel().index(row, 0, parent)
        if self._status and index.data(STATUS_ROLE) != self._status:
            return False
        text = str(index.data(SEARCH_ROLE) or "")
        return all(word in text for word in self._words)


class RunTable(QTableView):
    """The table itself; keys act on the selected rows."""

    acted = Signal(str)
    resized = Signal()

    _KEYS: ClassVar[dict[Qt.Key, str]] = {
        Qt.Key.Key_Return: "open",
        Qt.Key.Key_Enter: "open",
        Qt.Key.Key_S: "star",
        Qt.Key.Key_X: "cross",
        Qt.Key.Key_F2: "rename",
        Qt.Key.Key_Delete: "delete",
        Qt.Key.Key_C: "compare",
    }

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Tell that there is more or less room."""
        super().resizeEvent(event)
        self.resized.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Single keys act; Ctrl+C copies the rows as TSV."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.acted.emit("copy")
        elif (
            event.modifiers()
            in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)
            and Qt.Key(event.key()) in self._KEYS
        ):
            self.acted.emit(self._KEYS[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)
