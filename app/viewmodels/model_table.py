"""The checkpoints as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from app.viewmodels import words
from app.viewmodels.model_words import NodeView

SORT_ROLE = int(Qt.ItemDataRole.UserRole)
"""The raw value to sort by."""
KEY_ROLE = SORT_ROLE + 1
"""The checkpoint's identity."""
ROLE_ROLE = SORT_ROLE + 2
"""The model's role, whose hue the title has."""
COLUMNS = ("title", "kind", "runs", "made_from", "size", "scores", "fraction", "state")
_TITLES = {
    "title": "Checkpoint",
    "kind": "Kind",
    "runs": "Run",
    "made_from": "Made from",
    "size": "Size",
    "scores": "Scores",
    "fraction": "Fraction",
    "state": "State",
}
_ABOUT = {
    "scores": "Newest accuracy of each task; sorted by the first.",
    "fraction": "Recovered fraction of each task; sorted by the first.",
}
RIGHT = frozenset({"size", "scores", "fraction"})
"""Columns of numbers, aligned to the right."""
Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class CheckpointsModel(QAbstractTableModel):
    """One row a checkpoint, in the order of the lineage."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._nodes: tuple[NodeView, ...] = ()
        self._titles: dict[str, str] = {}

    def take(self, nodes: Sequence[NodeView]) -> None:
        """Show these; rows are reset only when others came or went."""
        new = tuple(nodes)
        if [it.key for it in new] != [it.key for it in self._nodes]:
            self.beginResetModel()
            self._set(new)
            self.endResetModel()
            return
        changed = [row for row, it in enumerate(new) if it != self._nodes[row]]
        self._set(new)
        for row in changed:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def row_of(self, key: str) -> int:
        """The row of a checkpoint, -1 for none."""
        return next((row for row, it in enumerate(self._nodes) if it.key == key), -1)

    def rowCount(self, parent: Index = _ROOT) -> int:
        """Number of checkpoints."""
        return 0 if parent.isValid() else len(self._nodes)

    def columnCount(self, parent: Index = _ROOT) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Titles of the columns."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[COLUMNS[section]]
        if role == Qt.ItemDataRole.ToolTipRole:
            return _ABOUT.get(COLUMNS[section])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _side(COLUMNS[section])
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, sort value, tooltip, alignment, role of one cell."""
        if not index.isValid():
            return None
        node, column = self._nodes[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(node, column)
        if role == SORT_ROLE:
            numbers = {"size": node.size, "scores": node.score, "fraction": node.recovered}
            return numbers.get(column, self._text(node, column).casefold())
        if role == KEY_ROLE:
            return node.key
        if role == ROLE_ROLE:
            return node.role if column == "title" else ""
        if role == Qt.ItemDataRole.ToolTipRole:
            own = node.tip if column in ("scores", "fraction", "state") else ""
            return own or self._text(node, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _side(column)
        return None

    def _text(self, node: NodeView, column: str) -> str:
        if column == "size":
            return words.size(node.size) if node.size else words.NONE
        if column == "made_from":
            return self._titles.get(node.parent, "")
        if column == "state":
            return node.state_text
        return str(getattr(node, column))

    def _set(self, nodes: tuple[NodeView, ...]) -> None:
        self._nodes = nodes
        self._titles = {it.key: it.title for it in nodes}


def _side(column: str) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in RIGHT else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
