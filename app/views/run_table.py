"""The table of runs: keys, headings of groups painted across the row, and a selection that outlives a reset."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QRect,
    Qt,
    Signal,
)
from PySide6.QtGui import (
    QColor,
    QFont,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QTableView

from app.viewmodels.arranged_runs import ArrangedRuns
from app.viewmodels.run_arrange import Group
from app.widgets.row_hover import RowHover
from app.widgets.theme import Theme

ARROW_PX = 12
INSET_PX = 10
CAPTION_GAP = 12


class RunTable(QTableView):
    """Keys act on the selected rows; on a group's heading, arrows and Enter fold it."""

    acted = Signal(str)
    resized = Signal()

    _KEYS: ClassVar[dict[Qt.Key, str]] = {
        Qt.Key.Key_Return: "open",
        Qt.Key.Key_Enter: "open",
        Qt.Key.Key_S: "star",
        Qt.Key.Key_X: "cross",
        Qt.Key.Key_T: "tag",
        Qt.Key.Key_N: "note",
        Qt.Key.Key_F2: "rename",
        Qt.Key.Key_Delete: "delete",
        Qt.Key.Key_C: "compare",
    }
    _PLAIN = (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)

    def __init__(self, theme: Theme, model: ArrangedRuns) -> None:
        super().__init__()
        self._theme = theme
        self.hover = RowHover(self, theme)
        self._runs = model
        self._kept: tuple[set[str], str, int, int] = (set(), "", 0, 0)
        model.modelAboutToBeReset.connect(self._keep)  # before the selection model forgets
        self.setModel(model)
        # A header asks every row of every column whether all are selected, with each change: 1.3 s of 10,000 rows.
        self.horizontalHeader().setSelectionModel(QItemSelectionModel(model, self))
        model.modelReset.connect(self._give_back)

    def group_at(self, index: QModelIndex) -> Group | None:
        """The group whose heading a row is."""
        return self._runs.group_at(index.row()) if index.isValid() else None

    def selected(self) -> list[str]:
        """The selected runs, from top to bottom."""
        chosen = self.selectionModel().selection() if self.selectionModel() else QItemSelection()
        ranges = [chosen.at(place) for place in range(chosen.count())]
        rows = {row for it in ranges for row in range(it.top(), it.bottom() + 1)}
        return self._runs.runs_at(sorted(rows))  # no index per row: there may be thousands

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Tell that there is more or less room."""
        super().resizeEvent(event)
        self.resized.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A press on a heading folds it."""
        index = self.indexAt(event.position().toPoint())
        group = self.group_at(index)
        if group is not None and event.button() == Qt.MouseButton.LeftButton:
            self.setCurrentIndex(index)
            self._runs.fold((group.key,), not group.folded)
            return
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Single keys act; Ctrl+C copies the rows as TSV."""
        plain = event.modifiers() in self._PLAIN
        group = self.group_at(self.currentIndex())
        key = Qt.Key(event.key())
        if event.matches(QKeySequence.StandardKey.Copy):
            self.acted.emit("copy")
        elif plain and group is not None and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._runs.fold((group.key,), key == Qt.Key.Key_Left)
        elif plain and group is not None and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._runs.fold((group.key,), not group.folded)
        elif plain and key in self._KEYS:
            if not event.isAutoRepeat():
                self.acted.emit(self._KEYS[key])
        else:
            super().keyPressEvent(event)

    def moveCursor(
        self, action: QAbstractItemView.CursorAction, modifiers: Qt.KeyboardModifier
    ) -> QModelIndex:
        """Home and End mean the first and the last row; a table takes them for cells of one row."""
        rows = {
            QAbstractItemView.CursorAction.MoveHome: 0,
            QAbstractItemView.CursorAction.MoveEnd: self._runs.rowCount() - 1,
        }
        if action not in rows:
            return super().moveCursor(action, modifiers)
        return self._runs.index(rows[action], max(self.currentIndex().column(), 0))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Rows, then the headings of groups over them."""
        super().paintEvent(event)
        if not self._runs.groups():
            return
        painter = QPainter(self.viewport())
        high = self.viewport().height()
        row = self.rowAt(0)
        while 0 <= row < self._runs.rowCount() and self.rowViewportPosition(row) < high:
            group = self._runs.group_at(row)
            if group is not None:
                top, width = self.rowViewportPosition(row), self.viewport().width()
                self._paint_heading(painter, QRect(0, top, width, self.rowHeight(row)), group, row)
            row += 1
        painter.end()

    def _paint_heading(self, painter: QPainter, box: QRect, group: Group, row: int) -> None:
        tokens = self._theme.tokens
        painter.fillRect(box, QColor(tokens.background))
        painter.fillRect(QRect(box.left(), box.bottom(), box.width(), 1), QColor(tokens.line))
        above = (box.height() - ARROW_PX) // 2
        arrow = QRect(box.left() + INSET_PX, box.top() + above, ARROW_PX, ARROW_PX)
        icon = "caret-right" if group.folded else "caret-down"
        self._theme.icon(icon, tokens.second).paint(painter, arrow)
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        painter.setFont(bold)
        text = box.adjusted(2 * INSET_PX + ARROW_PX, 0, -INSET_PX, 0)
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        title = painter.fontMetrics().elidedText(
            group.title, Qt.TextElideMode.ElideMiddle, text.width() // 2
        )
        painter.setPen(QColor(tokens.ink))
        painter.drawText(text, flags, title)
        left = painter.fontMetrics().horizontalAdvance(title) + CAPTION_GAP
        painter.setFont(self.font())
        painter.setPen(QColor(tokens.second))
        painter.drawText(text.adjusted(left, 0, 0, 0), flags, group.caption)
        if self.hasFocus() and self.currentIndex().row() == row:
            painter.setPen(QColor(tokens.accent))
            painter.drawRect(box.adjusted(0, 0, -1, -1))

    def _keep(self) -> None:
        row = self.currentIndex().row()
        line = self._runs.line_at(row) if row >= 0 else ""
        scroll = self.verticalScrollBar().value()
        self._kept = (set(self.selected()), line, max(0, self.currentIndex().column()), scroll)

    def _give_back(self) -> None:
        selected, line, column, scroll = self._kept
        rows = self._runs.rows_of(selected) if selected else []
        chosen = QItemSelection()
        ends = [at for at, (a, b) in enumerate(pairwise(rows)) if b != a + 1]
        starts = [0, *(at + 1 for at in ends)]
        last = self._runs.columnCount() - 1
        for start, end in zip(starts, [*ends, len(rows) - 1], strict=True):
            if rows:
                chosen.select(self._runs.index(rows[start], 0), self._runs.index(rows[end], last))
        flag = QItemSelectionModel.SelectionFlag
        current = self._runs.row_of(line)
        if current >= 0:
            index = self._runs.index(current, column)
            self.selectionModel().setCurrentIndex(index, flag.NoUpdate)
        if rows:
            self.selectionModel().select(chosen, flag.ClearAndSelect)
        self.verticalScrollBar().setValue(scroll)
