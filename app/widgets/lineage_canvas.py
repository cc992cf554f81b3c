"""The one graphics item of the lineage, the ring of its view, and a node in words for those who do not see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QFocusEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QGraphicsItem, QGraphicsView, QStyleOptionGraphicsItem, QWidget

from app.widgets.forest import Forest, GraphNode
from app.widgets.lineage_paint import GAP_X, GAP_Y, MARGIN, PITCH_X, PITCH_Y
from app.widgets.theme import Theme

RING = 2


class Canvas(QGraphicsItem):
    """Paints the nodes and edges inside the exposed rectangle.

    Args:
        paint: takes the painter and the rectangle of the scene.
    """

    def __init__(self, paint: Callable[[QPainter, QRectF], None]) -> None:
        super().__init__()
        self._paint = paint
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)
        self._box = QRectF()

    def set_size(self, columns: int, rows: float) -> None:
        """Take the size of another forest."""
        self.prepareGeometryChange()
        self._box = QRectF(0, 0, columns * PITCH_X - GAP_X, rows * PITCH_Y - GAP_Y)

    def boundingRect(self) -> QRectF:
        """The whole forest."""
        return self._box.adjusted(-MARGIN, -MARGIN, MARGIN, MARGIN)

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        """Paint what is exposed."""
        self._paint(painter, option.exposedRect)


class RingedView(QGraphicsView):
    """A view with a ring around it while the keyboard acts there and nothing in it has one."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme

    def ring_wanted(self) -> bool:
        """Nothing inside has the ring."""
        return True

    def paintEvent(self, event: QPaintEvent) -> None:
        """The scene, and the ring."""
        super().paintEvent(event)
        if self.hasFocus() and self.ring_wanted():
            painter = QPainter(self.viewport())
            painter.setPen(QPen(QColor(self._theme.tokens.accent), RING))
            painter.drawRect(self.viewport().rect().adjusted(1, 1, -1, -1))
            painter.end()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the keyboard acts."""
        super().focusInEvent(event)
        self.viewport().update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """It acts elsewhere."""
        super().focusOutEvent(event)
        self.viewport().update()


def said(node: GraphNode, nodes: Mapping[str, GraphNode], forest: Forest) -> str:
    """What a node says, what it was made from, and what can be walked to from it."""
    parent = nodes.get(node.parent)
    children = len(forest.children.get(node.key, ()))
    hidden = forest.hidden.get(node.key, 0)
    parts = (
        node.title,
        node.note,
        node.numbers,
        node.share,
        node.badge,
        f"made from {parent.title}" if parent is not None else "",
        f"{children} made from it" if children else "",
        f"{hidden} folded away" if hidden else "",
    )
    return ", ".join(part for part in parts if part)
