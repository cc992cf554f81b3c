"""The lines of the queue: keys act on them, and those that wait are dragged to another place."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDrag,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from app.viewmodels.run_cells import STATUS_ROLE, UID_ROLE
from app.viewmodels.run_queue import COLUMNS, RunQueue
from app.widgets.delegates import StatusDelegate
from app.widgets.theme import Theme

ROW_PX = 32
HEADER_PX = 26
STATUS_PX, DEVICE_PX, NOTE_PX, EXPECTED_PX = 96, 84, 260, 150
LINE_PX = 3
"""Thickness of the line at which a dragged run lands."""
HELD = QSize(240, 28)
"""The picture under the mouse while a run is dragged; small, so that the line stays in sight."""
HELD_INSET = 10
HELD_BESIDE = QPoint(-14, -6)
"""The picture stands to the right of the mouse and below it."""
HELD_RADIUS = 6


class QueueTable(QTableView):
    """Lines are dragged, or moved by Alt+Up and Alt+Down."""

    acted = Signal(str)

    def __init__(self, theme: Theme, queue: RunQueue) -> None:
        super().__init__()
        self._theme = theme
        self._queue = queue
        self._kept = ""
        self._landing = -1
        queue.modelAboutToBeReset.connect(self._keep)
        self.setModel(queue)
        queue.modelReset.connect(lambda: self.choose(self._kept))
        self.setAccessibleName("Queue")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setDragDropMode(QAbstractItemView.DragDropMode.DragDrop)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setDragDropOverwriteMode(False)
        self.setDropIndicatorShown(False)  # a line of our own, at the place that counts
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        self.verticalHeader().setMinimumSectionSize(ROW_PX)
        header = self.horizontalHeader()
        header.setFixedHeight(HEADER_PX)
        header.setHighlightSections(False)
        header.setSectionsClickable(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(COLUMNS.index("name"), QHeaderView.ResizeMode.Stretch)
        for key, width in (
            ("status", STATUS_PX),
            ("device", DEVICE_PX),
            ("note", NOTE_PX),
            ("expected", EXPECTED_PX),
        ):
            self.setColumnWidth(COLUMNS.index(key), width)
        self.setItemDelegateForColumn(COLUMNS.index("status"), StatusDelegate(theme, STATUS_ROLE))

    def chosen(self) -> str:
        """The run of the current line; "" for none."""
        return (
            str(self.currentIndex().data(UID_ROLE) or "") if self.currentIndex().isValid() else ""
        )

    def choose(self, uid: str) -> None:
        """Make a run's line the current one."""
        row = self._queue.row_of(uid)
        if row >= 0:
            self.selectRow(row)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Alt moves; single keys act."""
        alt = event.modifiers() == Qt.KeyboardModifier.AltModifier
        by_key = {
            (True, Qt.Key.Key_Up): "up",
            (True, Qt.Key.Key_Down): "down",
            (True, Qt.Key.Key_Home): "next",
            (False, Qt.Key.Key_Delete): "remove",
            (False, Qt.Key.Key_Return): "open",
            (False, Qt.Key.Key_Enter): "open",
            (False, Qt.Key.Key_P): "pause",
        }
        act = by_key.get((alt, Qt.Key(event.key())))
        if act is not None:
            self.acted.emit(act)
        else:
            super().keyPressEvent(event)

    @property
    def landing(self) -> int:
        """The line above which the dragged run would land now, one past the last for the end; -1 for none."""
        return self._landing

    def startDrag(self, actions: Qt.DropAction) -> None:
        """Take the current line along, if it waits."""
        index = self.currentIndex()
        if not index.flags() & Qt.ItemFlag.ItemIsDragEnabled:
            return
        drag = QDrag(self)
        drag.setMimeData(self._queue.mimeData([index]))
        drag.setPixmap(self._held(index))
        drag.setHotSpot(HELD_BESIDE)
        drag.exec(Qt.DropAction.MoveAction)  # the model has moved the line when this returns
        self._land(-1)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Show where the run would land."""
        super().dragMoveEvent(event)
        self._land(self._row_for(event.position().toPoint()) if event.isAccepted() else -1)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """It lands nowhere."""
        super().dragLeaveEvent(event)
        self._land(-1)

    def dropEvent(self, event: QDropEvent) -> None:
        """Move the run to where the line was shown."""
        row = self._row_for(event.position().toPoint())
        self._queue.dropMimeData(event.mimeData(), event.dropAction(), row, 0, QModelIndex())
        event.acceptProposedAction()
        self._land(-1)
        self.stopAutoScroll()
        self.setState(QAbstractItemView.State.NoState)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Lines, then the place at which a dragged run lands."""
        super().paintEvent(event)
        if self._landing < 0:
            return
        last = self._landing >= self._queue.rowCount()
        row = self._landing - 1 if last else self._landing
        edge = self.rowViewportPosition(row) + (self.rowHeight(row) if last else 0)
        most = self.viewport().height() - LINE_PX
        top = min(max(0, edge - LINE_PX // 2 - 1), most)
        painter = QPainter(self.viewport())
        painter.fillRect(
            QRect(0, top, self.viewport().width(), LINE_PX), QColor(self._theme.tokens.accent)
        )
        painter.end()

    def _row_for(self, at: QPoint) -> int:
        """The line above which a run lands that is dropped here."""
        row = self.rowAt(at.y())
        if row < 0:
            return self._queue.landing(self._queue.rowCount())
        below = at.y() >= self.rowViewportPosition(row) + self.rowHeight(row) // 2
        return self._queue.landing(row + below)

    def _land(self, row: int) -> None:
        if row != self._landing:
            self._landing = row
            self.viewport().update()

    def _held(self, index: QModelIndex) -> QPixmap:
        tokens, ratio = self._theme.tokens, self.devicePixelRatioF()
        picture = QPixmap(HELD * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        box = QRect(QPoint(0, 0), HELD)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(tokens.accent), 1))
        painter.setBrush(QColor(tokens.accent_background))
        painter.drawRoundedRect(box.adjusted(0, 0, -1, -1), HELD_RADIUS, HELD_RADIUS)
        painter.setFont(self.font())
        painter.setPen(QColor(tokens.ink))
        inner = box.adjusted(HELD_INSET, 0, -HELD_INSET, 0)
        name = str(index.siblingAtColumn(COLUMNS.index("name")).data() or "")
        shown = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, inner.width())
        painter.drawText(inner, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        painter.end()
        return picture

    def _keep(self) -> None:
        self._kept = self.chosen()
