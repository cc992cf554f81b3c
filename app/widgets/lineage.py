"""The lineage graph: a forest of checkpoints to zoom, pan and walk, by mouse and by keyboard.

One graphics item paints what is visible; no Qt object is made for a node, so that thousands cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleAnnouncementEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsScene,
    QGraphicsView,
    QToolTip,
)

from app.widgets.forest import Forest, GraphNode, lay_out
from app.widgets.lineage_canvas import Canvas, RingedView, said
from app.widgets.lineage_paint import (
    MARGIN,
    PITCH_X,
    PITCH_Y,
    Look,
    box_of,
    mark_of,
    paint,
)
from app.widgets.theme import Theme

NO_TEXT_BELOW = 0.4
"""Scale under which words could not be read and are not drawn."""
LEAST, MOST = 0.03, 2.0
STEP = 1.25
PAN = 80
WHEEL_STEP = 120
MOVED = 4
"""Pixels after which a press is a drag and no click."""
FIT_LEAST = 0.8
"""Fitting shows at least so much: of a large lineage its beginning, readable, rather than dust."""


class LineageGraph(RingedView):
    """A forest; `selected` tells the key a person moved to, `activated` the one opened by Enter or double click."""

    selected = Signal(str)
    activated = Signal(str)
    scaled = Signal()

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__(theme)
        self._nodes: dict[str, GraphNode] = {}
        self._folded: set[str] = set()
        self._matching: frozenset[str] | None = None
        self._forest = Forest()
        self._current = ""
        self._fitted = True
        self._pressed: QPointF | None = None
        self._dragged = False
        self._canvas = Canvas(self.paint_forest)
        self._scene = QGraphicsScene(self)
        self._scene.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
        self._scene.addItem(self._canvas)
        self.setScene(self._scene)
        self.setAccessibleName(name)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.AnchorUnderMouse)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setOptimizationFlag(QGraphicsView.OptimizationFlag.DontSavePainterState)
        self.viewport().setMouseTracking(True)
        theme.changed.connect(self._repaint)

    # what goes in

    def set_nodes(self, nodes: Sequence[GraphNode]) -> None:
        """Show these, parents before children; place and zoom stay when only words changed."""
        before, stays = self._forest.place, self._in_view()
        self._nodes = {node.key: node for node in nodes}
        self._folded &= self._nodes.keys()
        self._arrange()
        if self._current not in self._nodes:
            self._current = ""
        self._describe()
        if self._forest.place == before:
            return
        if self._fitted:
            self.fit()
        else:
            self._keep(stays)

    def set_matching(self, keys: frozenset[str] | None) -> None:
        """Fade all but these; None fades none."""
        self._matching = keys
        self._repaint()

    def select(self, key: str) -> None:
        """Move to a node without telling; one that is folded away is unfolded first."""
        if key == self._current:
            return
        self._unfold_above(key)
        self._current = key if key in self._nodes else ""
        self._describe()
        self._show_current()
        self._repaint()

    def fold(self, key: str) -> None:
        """Fold or unfold what is below a node."""
        if key not in self._nodes:
            return
        if key in self._folded:
            self._folded.discard(key)
        elif self._forest.children.get(key):
            self._folded.add(key)
        self._arrange()
        self._describe()
        self._show_current()

    def fold_all(self, on: bool) -> None:
        """Fold every tree to its root, or unfold all."""
        roots = {it.key for it in self._nodes.values() if it.parent not in self._nodes}
        self._folded = roots if on else set()
        if on and self._current not in roots and self._current:
            self._go(next(iter(roots), ""))
        self._arrange()

    def zoom(self, factor: float) -> None:
        """Enlarge or shrink about the middle of the view, or the pointer."""
        scale = self.transform().m11()
        wanted = min(max(scale * factor, LEAST), MOST)
        self.scale(wanted / scale, wanted / scale)
        self._fitted = False
        self.scaled.emit()

    def fit(self) -> None:
        """Show the whole forest, or its beginning where it would become too small to read."""
        box = self._canvas.boundingRect()
        room = self.viewport().rect()
        if box.isEmpty() or room.isEmpty():
            return
        scale = min(room.width() / box.width(), room.height() / box.height(), 1.0)
        self.resetTransform()
        self.scale(max(scale, FIT_LEAST), max(scale, FIT_LEAST))
        if self._current:
            self._show_current()
        else:
            self.verticalScrollBar().setValue(self.verticalScrollBar().minimum())
            self.horizontalScrollBar().setValue(self.horizontalScrollBar().minimum())
        self._fitted = True
        self.scaled.emit()

    # what comes out

    @property
    def current(self) -> str:
        """The key of the selected node, "" for none."""
        return self._current

    @property
    def percent(self) -> int:
        """The zoom."""
        return round(100 * self.transform().m11())

    def in_view(self) -> list[GraphNode]:
        """The nodes that can be seen now."""
        return [self._nodes[key] for key in self._in_view()]

    def rect_of(self, key: str) -> QRectF:
        """Where a node is drawn, in the scene."""
        return box_of(self._forest, key)

    def key_at(self, point: QPointF) -> str:
        """The node at a place of the scene, "" for none."""
        column = int(point.x() // PITCH_X)
        row = point.y() / PITCH_Y
        for key in self._forest.between(column, row - 1, row):
            if self.rect_of(key).contains(point):
                return key
        return ""

    # keyboard and mouse

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows walk, with Shift they pan; Space folds, Enter opens, Ctrl with +, - and 0 zooms."""
        key = event.key()
        if event.matches(QKeySequence.StandardKey.ZoomIn) or _with_control(event, Qt.Key.Key_Equal):
            self.zoom(STEP)
        elif event.matches(QKeySequence.StandardKey.ZoomOut):
            self.zoom(1 / STEP)
        elif _with_control(event, Qt.Key.Key_0):
            self.fit()
        elif key in _ARROWS and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            across, down = _ARROWS[Qt.Key(key)]
            for bar, step in (
                (self.horizontalScrollBar(), across),
                (self.verticalScrollBar(), down),
            ):
                bar.setValue(bar.value() + PAN * step)
        elif key in _ARROWS:
            self._walk(*_ARROWS[Qt.Key(key)])
        elif key == Qt.Key.Key_Space:
            self.fold(self._current)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current:
            self.activated.emit(self._current)
        elif key == Qt.Key.Key_Home:
            self._go(next(iter(self._nodes), ""))
        else:
            event.ignore()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel zooms about the pointer."""
        self.zoom(STEP ** (event.angleDelta().y() / WHEEL_STEP))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A press begins a click or a drag; the right button selects at once, for its menu."""
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if event.button() == Qt.MouseButton.RightButton:
            self._go(self.key_at(self.mapToScene(event.position().toPoint())))
            return
        self._pressed, self._dragged = event.position(), False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Dragging pans; without a button the tooltip follows."""
        if self._pressed is None or not event.buttons() & Qt.MouseButton.LeftButton:
            key = self.key_at(self.mapToScene(event.position().toPoint()))
            tip = self._nodes[key].tip if key else ""
            QToolTip.showText(event.globalPosition().toPoint(), tip, self)
            over = Qt.CursorShape.PointingHandCursor if key else Qt.CursorShape.ArrowCursor
            self.viewport().setCursor(over)
            return
        moved = event.position() - self._pressed
        if not self._dragged and moved.manhattanLength() < MOVED:
            return
        self._dragged = True
        self._fitted = False
        self._pressed = event.position()
        self.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)
        for bar, step in (
            (self.horizontalScrollBar(), moved.x()),
            (self.verticalScrollBar(), moved.y()),
        ):
            bar.setValue(bar.value() - round(step))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A click selects; one on the number of what is folded away unfolds it."""
        dragged, self._pressed, self._dragged = self._dragged, None, False
        self.viewport().setCursor(Qt.CursorShape.ArrowCursor)
        if not dragged and event.button() == Qt.MouseButton.LeftButton:
            point = self.mapToScene(event.position().toPoint())
            key = self.key_at(point)
            if key:
                self._go(key)
            if key in self._forest.hidden and mark_of(self.rect_of(key)).contains(point):
                self.fold(key)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """A double click opens."""
        key = self.key_at(self.mapToScene(event.position().toPoint()))
        if key:
            self.activated.emit(key)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit again while nobody has zoomed or moved."""
        super().resizeEvent(event)
        if self._fitted:
            self.fit()

    # painting

    def ring_wanted(self) -> bool:
        """No node has the ring."""
        return not self._current

    def paint_forest(self, painter: QPainter, exposed: QRectF) -> None:
        """Paint what lies inside a rectangle of the scene."""
        look = Look(
            forest=self._forest,
            nodes=self._nodes,
            current=self._current,
            focused=self.hasFocus(),
            matching=self._matching,
            readable=self.transform().m11() >= NO_TEXT_BELOW,
        )
        paint(painter, self._theme, look, exposed)

    # inside

    def _arrange(self) -> None:
        self._forest = lay_out(tuple(self._nodes.values()), self._folded)
        self._canvas.set_size(len(self._forest.columns), self._forest.rows)
        self._scene.setSceneRect(self._canvas.boundingRect())
        self._repaint()

    def _in_view(self) -> dict[str, QPointF]:
        """Where nodes that can be seen stand in the view, the chosen one first."""
        seen = self.mapToScene(self.viewport().rect()).boundingRect()
        first, last = int(seen.left() // PITCH_X), int(seen.right() // PITCH_X)
        keys = [
            key
            for column in range(max(0, first), last + 1)
            for key in self._forest.between(
                column, seen.top() / PITCH_Y - 1, seen.bottom() / PITCH_Y
            )
        ]
        keys.sort(key=lambda key: key != self._current)
        return {key: QPointF(self.mapFromScene(self.rect_of(key).topLeft())) for key in keys}

    def _keep(self, stood: Mapping[str, QPointF]) -> None:
        """What a person looks at stays under their eyes when others come in beside it."""
        for key, was in stood.items():
            if key in self._forest.place:
                moved = QPointF(self.mapFromScene(self.rect_of(key).topLeft())) - was
                for bar, step in (
                    (self.horizontalScrollBar(), moved.x()),
                    (self.verticalScrollBar(), moved.y()),
                ):
                    bar.setValue(bar.value() + round(step))
                return

    def _walk(self, across: int, down: int) -> None:
        if self._current not in self._forest.place:
            self._go(next(iter(self._nodes), ""))
        elif across < 0:
            self._go(self._nodes[self._current].parent)
        elif across > 0:
            children = self._forest.children.get(self._current, [])
            self._go(children[0] if children else "")
        else:
            self._go(self._forest.neighbour(self._current, down))

    def _go(self, key: str) -> None:
        if key in self._forest.place and key != self._current:
            self._current = key
            self._describe()
            self._show_current()
            self._repaint()
            self.selected.emit(key)

    def _unfold_above(self, key: str) -> None:
        node, opened = self._nodes.get(key), False
        while node is not None and node.parent in self._nodes:
            node = self._nodes[node.parent]
            if node.key in self._folded:
                self._folded.discard(node.key)
                opened = True
        if opened:
            self._arrange()

    def _show_current(self) -> None:
        if self._current in self._forest.place:
            self.ensureVisible(self.rect_of(self._current), int(MARGIN), int(MARGIN))

    def _describe(self) -> None:
        """Tell a screen reader what is chosen and what can be walked to from there."""
        node = self._nodes.get(self._current)
        text = "" if node is None else said(node, self._nodes, self._forest)
        if text == self.accessibleDescription():
            return
        self.setAccessibleDescription(text)
        if text and self.hasFocus() and QAccessible.isActive():
            QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, text))

    def _repaint(self) -> None:
        self._canvas.update()
        self.viewport().update()


_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


def _with_control(event: QKeyEvent, key: Qt.Key) -> bool:
    return event.key() == key and bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
