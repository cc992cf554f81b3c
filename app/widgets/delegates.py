"""How the cells of the run list are painted: star, status chip, sparkline; the rest is the style sheet's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from app.widgets.theme import Theme

CELL_INSET = 8
CHIP_PX = 2 * CELL_INSET + 30
"""Width of a status chip's cell around its text."""
SPARKS_KEPT = 512
"""Sparklines kept as drawn: those of some screens."""
Index = QModelIndex | QPersistentModelIndex


class _Delegate(QStyledItemDelegate):
    """Paints the cell's ground as the style sheet says, then lets the subclass paint what stands on it."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self._theme = theme

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Ground, then content."""
        ground = QStyleOptionViewItem(option)
        self.initStyleOption(ground, index)
        ground.text = ""
        widget = ground.widget
        widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, ground, painter, widget)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.draw(painter, QRect(option.rect), index)
        painter.restore()

    def draw(self, painter: QPainter, box: QRect, index: Index) -> None:
        """Paint the content into the cell's box."""
        raise NotImplementedError


class StarDelegate(_Delegate):
    """A filled star, a cross, or nothing."""

    def __init__(self, theme: Theme, role: int) -> None:
        super().__init__(theme)
        self._role = role

    def draw(self, painter: QPainter, box: QRect, index: Index) -> None:
        """Paint the mark."""
        star = index.data(self._role) or 0
        tokens = self._theme.tokens
        name, colour = {1: ("star-fill", tokens.warning), -1: ("x", tokens.bad)}.get(
            int(star), ("star", tokens.line)
        )
        side = 14
        spot = QRect(0, 0, side, side)
        spot.moveCenter(box.center())
        self._theme.icon(name, colour).paint(painter, spot)


class StatusDelegate(_Delegate):
    """A dot and the status in words."""

    def __init__(self, theme: Theme, role: int) -> None:
        super().__init__(theme)
        self._role = role

    def draw(self, painter: QPainter, box: QRect, index: Index) -> None:
        """Paint the chip."""
        tokens = self._theme.tokens
        text = str(index.data(Qt.ItemDataRole.DisplayRole) or "")
        hue = tokens.status(str(index.data(self._role) or ""))
        font = QFont(painter.font())
        font.setPixelSize(11)
        painter.setFont(font)
        room = box.width() - CHIP_PX + 2
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room)
        width = painter.fontMetrics().horizontalAdvance(shown) + 29
        chip = QRectF(box.left() + CELL_INSET + 0.5, box.center().y() - 8.5, width, 18)
        painter.setPen(QPen(QColor(tokens.edge), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(chip, 9, 9)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(hue))
        painter.drawEllipse(QPointF(chip.left() + 11, chip.center().y()), 3.5, 3.5)
        painter.setPen(QColor(tokens.second))
        painter.drawText(
            chip.adjusted(20, 0, 0, 0),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            shown,
        )


class SparklineDelegate(_Delegate):
    """The loss of a run as a line without axes."""

    def __init__(self, theme: Theme, role: int) -> None:
        super().__init__(theme)
        self._role = role

    def draw(self, painter: QPainter, box: QRect, index: Index) -> None:
        """Paint the line."""
        values = tuple(index.data(self._role) or ())
        inner = QRectF(box).adjusted(CELL_INSET, 7, -CELL_INSET, -8)
        painter.setPen(QPen(QColor(self._theme.tokens.recovered), 1))
        painter.translate(inner.topLeft())
        for line in spark_lines(values, inner.width(), inner.height()):
            painter.drawPolyline(line)


def spark_parts(values: Sequence[float], box: QRectF) -> list[list[QPointF]]:
    """The pieces of a sparkline in `box`; values that are not finite split it."""
    finite = [value for value in values if math.isfinite(value)]
    if len(values) < 2 or not finite:
        return []
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    parts: list[list[QPointF]] = [[]]
    for place, value in enumerate(values):
        if math.isfinite(value):
            x = box.left() + box.width() * place / (len(values) - 1)
            parts[-1].append(QPointF(x, box.bottom() - box.height() * (value - low) / span))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if len(part) > 1]


@lru_cache(maxsize=SPARKS_KEPT)
def spark_lines(values: tuple[float, ...], width: float, height: float) -> list[QPolygonF]:
    """The same, ready to be drawn from the corner of the cell on: a point made in Python costs a microsecond."""
    return [QPolygonF(part) for part in spark_parts(values, QRectF(0, 0, width, height))]


class HueDelegate(QStyledItemDelegate):
    """Text in the hue of a model's role."""

    def __init__(self, theme: Theme, role: int) -> None:
        super().__init__(theme)
        self._theme = theme
        self._role = role

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        """Colour the text."""
        super().initStyleOption(option, index)
        hue = str(index.data(self._role) or "")
        if hue:
            colour = QColor(self._theme.tokens.role_text(hue))
            # PySide6 types a style option's fields as read-only properties of the wrong class.
            palette = option.palette
            palette.setColor(QPalette.ColorRole.Text, colour)
            palette.setColor(QPalette.ColorRole.HighlightedText, colour)
            option.palette = palette
