"""The row under the pointer, tinted across the whole table: a style sheet can tint a single cell only."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QColor, QMouseEvent, QPainter
from PySide6.QtWidgets import QAbstractItemView

from app.widgets.theme import Theme


class RowHover(QObject):
    """Paints below the cells of `view`, whose selected rows keep their own ground."""

    def __init__(self, view: QAbstractItemView, theme: Theme) -> None:
        super().__init__(view)
        self._view = view
        self._theme = theme
        self.row = -1
        view.viewport().setMouseTracking(True)
        view.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the pointer, and paint before the view does."""
        if event.type() == QEvent.Type.MouseMove and isinstance(event, QMouseEvent):
            self._meet(self._view.indexAt(event.position().toPoint()).row())
        elif event.type() == QEvent.Type.Leave:
            self._meet(-1)
        elif event.type() == QEvent.Type.Paint and self.row >= 0:
            self._paint()
        return False

    def _meet(self, row: int) -> None:
        if row != self.row:
            self.row = row
            self._view.viewport().update()

    def _paint(self) -> None:
        viewport = self._view.viewport()
        box = self._view.visualRect(self._view.model().index(self.row, 0))
        if box.isEmpty():
            return
        painter = QPainter(viewport)
        painter.fillRect(
            0, box.top(), viewport.width(), box.height(), QColor(self._theme.tokens.hover)
        )
        painter.end()
