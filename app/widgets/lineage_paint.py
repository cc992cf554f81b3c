"""How the lineage is drawn: edges first, then the nodes that are exposed, words only where they can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen

from app.widgets.controls import colour_of
from app.widgets.forest import Forest, GraphNode
from app.widgets.theme import Theme
from app.widgets.tokens import mix

WIDE, HIGH = 240.0, 80.0
GAP_X, GAP_Y = 44.0, 12.0
PITCH_X, PITCH_Y = WIDE + GAP_X, HIGH + GAP_Y
MARGIN = 24.0
STRIPE = 4.0
ROUND = 8.0
TEXT_LEFT, TEXT_RIGHT = 14.0, 10.0
LINES = (6.0, 24.0, 41.0, 57.0)
MARK_WIDE = 44.0
LINE_HIGH = 18.0
SMALL_PX = 11
FADED = 0.55
FOCUSED_WIDTH, CHOSEN_WIDTH = 2.5, 1.5


@dataclass(frozen=True)
class Look:
    """What is drawn, and how.

    Attributes:
        current: key of the selected node, "" for none.
        focused: the keyboard acts here.
        matching: keys that are not faded; None fades none.
        readable: words are drawn.
    """

    forest: Forest
    nodes: Mapping[str, GraphNode]
    current: str
    focused: bool
    matching: frozenset[str] | None
    readable: bool


def box_of(forest: Forest, key: str) -> QRectF:
    """Where a node stands."""
    column, row = forest.place[key]
    return QRectF(column * PITCH_X, row * PITCH_Y, WIDE, HIGH)


def mark_of(box: QRectF) -> QRectF:
    """Where the number of what is folded away stands in a node."""
    return QRectF(box.right() - MARK_WIDE, box.top(), MARK_WIDE, LINES[1])


def paint(painter: QPainter, theme: Theme, look: Look, exposed: QRectF) -> None:
    """Paint what lies inside a rectangle."""
    forest = look.forest
    first = max(0, int(exposed.left() // PITCH_X) - 1)
    last = min(len(forest.columns) - 1, int(exposed.right() // PITCH_X))
    top, bottom = exposed.top() / PITCH_Y - 1, exposed.bottom() / PITCH_Y + 1
    painter.setPen(QPen(QColor(theme.tokens.edge), 1.5))
    for column in range(first, last + 1):
        for row, key in forest.columns[column]:
            _edges(painter, forest, key, row, top, bottom)
    for column in range(first, last + 1):
        for key in forest.between(column, top, bottom):
            _node(painter, theme, look, key)


def _edges(
    painter: QPainter, forest: Forest, key: str, row: float, top: float, bottom: float
) -> None:
    """One trunk beside the parent, and a branch to each child."""
    children = forest.children[key]
    if not children:
        return
    rows = [forest.place[child][1] for child in children]
    low, high = min(rows[0], row), max(rows[-1], row)
    if high < top or low > bottom:
        return
    right = forest.place[key][0] * PITCH_X + WIDE
    middle, left = right + GAP_X / 2, right + GAP_X

    def y(at: float) -> float:
        return at * PITCH_Y + HIGH / 2

    painter.drawLine(QPointF(right, y(row)), QPointF(middle, y(row)))
    painter.drawLine(QPointF(middle, y(max(low, top))), QPointF(middle, y(min(high, bottom))))
    for at in rows:
        if top <= at <= bottom:
            painter.drawLine(QPointF(middle, y(at)), QPointF(left, y(at)))


def _node(painter: QPainter, theme: Theme, look: Look, key: str) -> None:
    node, tokens, box = look.nodes[key], theme.tokens, box_of(look.forest, key)
    other = look.matching is not None and key not in look.matching

    def ink(colour: str) -> QColor:
        return QColor(mix(colour, tokens.panel, FADED) if other else colour)

    def hue(colour: str) -> QColor:
        return QColor(mix(colour, tokens.panel, FADED) if node.faded else ink(colour))

    # Its words can be read all the same: what is missing is told, not hidden.
    words = tokens.third if node.faded else tokens.ink

    chosen = key == look.current
    if chosen:
        edge = QPen(QColor(tokens.accent), FOCUSED_WIDTH if look.focused else CHOSEN_WIDTH)
    else:
        dashes = Qt.PenStyle.DashLine if node.faded else Qt.PenStyle.SolidLine
        edge = QPen(ink(tokens.edge), 1, dashes)
    painter.setPen(edge)
    painter.setBrush(QColor(tokens.accent_background if chosen else tokens.panel))
    painter.drawRoundedRect(box, ROUND, ROUND)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(hue(colour_of(theme, node.hue)))
    stripe = QRectF(box.left() + 5, box.top() + 8, STRIPE, HIGH - 16)
    painter.drawRoundedRect(stripe, STRIPE / 2, STRIPE / 2)
    if not look.readable:
        return
    small = QFont(theme.font())
    small.setPixelSize(SMALL_PX)
    title = theme.font()
    title.setWeight(QFont.Weight.DemiBold)
    room = whole = WIDE - TEXT_LEFT - TEXT_RIGHT
    hidden = look.forest.hidden.get(key, 0)
    mark = f"+{hidden}" if hidden else node.badge
    if mark:
        painter.setFont(small)
        painter.setPen(ink(tokens.accent if hidden else tokens.warning_text))
        wide = painter.fontMetrics().horizontalAdvance(mark)
        _line(painter, box, 0, mark, TEXT_LEFT + room - wide, wide + 1)
        room -= wide + 8
    painter.setFont(title)
    painter.setPen(ink(words))
    _line(painter, box, 0, node.title, TEXT_LEFT, room)
    painter.setFont(small)
    painter.setPen(ink(tokens.third if node.faded else tokens.second))
    _line(painter, box, 1, node.note, TEXT_LEFT, whole)
    painter.setPen(ink(words))
    _line(painter, box, 2, node.numbers, TEXT_LEFT, whole)
    _line(painter, box, 3, node.share, TEXT_LEFT, whole)


def _line(painter: QPainter, box: QRectF, line: int, text: str, left: float, wide: float) -> None:
    shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(wide) + 1)
    place = QRectF(box.left() + left, box.top() + LINES[line], wide + 2, LINE_HIGH)
    painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
