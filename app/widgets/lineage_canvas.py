"""The one graphics item of the lineage, and a node of it in words for those who do not see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from app.widgets.forest import Forest, GraphNode
from app.widgets.lineage_paint import GAP_X, GAP_Y, MARGIN, PITCH_X, PITCH_Y


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
