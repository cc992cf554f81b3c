"""The stage strip of a recipe being written: cards that are moved, copied and branched by mouse and by keys.

The strip changes nothing itself: it says what a person asked for, and shows what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QApplication, QWidget

from app.widgets.stage_strip import CardLike, StageCardButton, StageStrip
from app.widgets.theme import Theme

LANE = 6
LANES = 2
LINK_ROOM = 4 + LANE * LANES
BEND = 4.0
HEAD = 3.0
_MOVES = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
_ACTS = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Home: "first",
    Qt.Key.Key_End: "last",
    Qt.Key.Key_Delete: "remove",
    Qt.Key.Key_Backspace: "remove",
    Qt.Key.Key_Insert: "add",
    Qt.Key.Key_A: "add",
    Qt.Key.Key_B: "branch",
}
_HELD_ACTS = {Qt.Key.Key_Left: "earlier", Qt.Key.Key_Right: "later"}
_CTRL_ACTS = {Qt.Key.Key_D: "duplicate", Qt.Key.Key_B: "branch"}


def act_of(event: QKeyEvent) -> str:
    """What a key means for a card; "" for nothing."""
    key, held = Qt.Key(event.key()), event.modifiers()
    if held & Qt.KeyboardModifier.ShiftModifier:
        return ""
    if not held & _MOVES:
        return _ACTS.get(key, "")
    if held & Qt.KeyboardModifier.ControlModifier and key in _CTRL_ACTS:
        return _CTRL_ACTS[key]
    return _HELD_ACTS.get(key, "")


class RecipeCard(StageCardButton):
    """A card that can be dragged, and that hands keys to its strip."""

    dragged = Signal(QPoint)  # where the mouse is, on the screen
    dropped = Signal(QPoint)

    def __init__(self, theme: Theme, strip: RecipeStrip) -> None:
        super().__init__(theme, recipe=True)
        self._strip = strip
        self._pressed: QPoint | None = None
        self._moving = False

    def event(self, event: QEvent) -> bool:
        """Keys that mean something for this card are its own, before they are the page's."""
        override = event.type() == QEvent.Type.ShortcutOverride
        if override and isinstance(event, QKeyEvent) and act_of(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys that mean something for a card; the others as for any button."""
        if not self._strip.take_key(self, event):
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The right button and the menu key."""
        by_mouse = event.reason() == QContextMenuEvent.Reason.Mouse
        below = self.mapToGlobal(self.rect().bottomLeft())
        self._strip.menu_wanted.emit(
            self._strip.place_of(self), event.globalPos() if by_mouse else below
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A press may begin to drag."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.globalPosition().toPoint()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag once the mouse has gone far enough."""
        at = event.globalPosition().toPoint()
        if self._pressed is not None:
            far = (at - self._pressed).manhattanLength() >= QApplication.startDragDistance()
            if far and not self._moving:
                self._moving = True
                self.setDown(False)
                self.setCursor(Qt.CursorShape.ClosedHandCursor)
        if self._moving:
            self.dragged.emit(at)
        else:
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Drop, or click."""
        moving, self._moving, self._pressed = self._moving, False, None
        if moving:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setDown(False)
            self.dropped.emit(event.globalPosition().toPoint())
        else:
            super().mouseReleaseEvent(event)


class _Ground(QWidget):
    """Paints the links of branches below the cards, and where a dragged card would go."""

    def __init__(self, strip: RecipeStrip) -> None:
        super().__init__()
        self._strip = strip
        self.mark: int | None = None  # x of the place where a card would be dropped

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tokens = self._strip.theme.tokens
        for number, (source, target) in enumerate(self._strip.branches()):
            role = target.card.role if target.card is not None else ""
            painter.setPen(QPen(QColor(tokens.role(role) if role else tokens.third), 1.4))
            self._link(painter, source.geometry().center().x(), target, number % LANES)
        if self.mark is not None:
            painter.setPen(QPen(QColor(tokens.accent), 2))
            painter.drawLine(self.mark, 2, self.mark, self._strip.cards[0].height() - 2)
        painter.end()

    def _link(self, painter: QPainter, start: float, target: StageCardButton, lane: int) -> None:
        """From below a card, along a lane, up into another card."""
        top = target.geometry().bottom() + 1.0
        deep = top + LANE * (lane + 1)
        end = target.geometry().left() + target.width() / 4
        turn = BEND if end >= start else -BEND
        path = QPainterPath(QPointF(start, top))
        path.lineTo(start, deep - BEND)
        path.quadTo(start, deep, start + turn, deep)
        path.lineTo(end - turn, deep)
        path.quadTo(end, deep, end, deep - BEND)
        path.lineTo(end, top + 1)
        painter.drawPath(path)
        painter.drawLine(QPointF(end, top + 1), QPointF(end - HEAD, top + 1 + HEAD))
        painter.drawLine(QPointF(end, top + 1), QPointF(end + HEAD, top + 1 + HEAD))


class RecipeStrip(StageStrip):
    """The cards of a recipe."""

    asked = Signal(
        str, int
    )  # earlier, later, duplicate, remove, add, branch; of the card at a place
    placed = Signal(int, int)  # a card was dragged from one place to another
    menu_wanted = Signal(int, QPoint)

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, recipe=True)
        theme.changed.connect(self.ground.update)

    def make_ground(self) -> QWidget:
        """One that paints branches."""
        self._links = _Ground(self)
        return self._links

    def make_card(self, place: int) -> StageCardButton:
        """One that can be dragged."""
        made = RecipeCard(self.theme, self)
        made.dragged.connect(lambda at, card=made: self._drag(card, at))
        made.dropped.connect(lambda at, card=made: self._drop(card, at))
        return made

    def set_cards(self, cards: Sequence[CardLike], selected: int = -1) -> None:
        """Show these cards, with room for the links of branches."""
        held = next((place for place, it in enumerate(self.cards) if it.hasFocus()), None)
        super().set_cards(cards, selected)
        self.leave_below(LINK_ROOM if self.branches() else 0)
        if held is not None and held != selected and 0 <= selected < len(self.cards):
            self.cards[selected].setFocus(Qt.FocusReason.OtherFocusReason)
        self.ground.update()

    def branches(self) -> list[tuple[StageCardButton, StageCardButton]]:
        """The cards whose source is not the card before them, each behind its source."""
        by_id = {it.card.id: it for it in self.cards if it.card is not None}
        found = ((by_id.get(it.branch), it) for it in self.cards if it.branch)
        return [(source, target) for source, target in found if source is not None]

    def place_of(self, card: StageCardButton) -> int:
        """Where a card stands."""
        return self.cards.index(card)

    def take_key(self, card: StageCardButton, event: QKeyEvent) -> bool:
        """Do what a key means for a card; False when it means nothing here."""
        place, act = self.place_of(card), act_of(event)
        if act in ("left", "right"):
            self._go(place + (1 if act == "right" else -1))
        elif act in ("first", "last"):
            self._go(0 if act == "first" else len(self.cards) - 1)
        elif act:
            self.asked.emit(act, place)
        return bool(act)

    def _go(self, place: int) -> None:
        """Choose a neighbour and give it the focus."""
        if 0 <= place < len(self.cards):
            card = self.cards[place]
            card.setFocus(Qt.FocusReason.TabFocusReason)
            self.ensureWidgetVisible(card)
            self.chosen.emit(place)

    def _drag(self, card: StageCardButton, at: QPoint) -> None:
        place = self._target(card, at)
        if place is None:
            self._links.mark = None
        else:
            other = self.cards[place].geometry()
            later = place > self.place_of(card)
            self._links.mark = other.right() + 8 if later else other.left() - 8
        self.ground.update()

    def _drop(self, card: StageCardButton, at: QPoint) -> None:
        self._links.mark = None
        self.ground.update()
        place = self._target(card, at)
        if place is not None:
            self.placed.emit(self.place_of(card), place)

    def _target(self, card: StageCardButton, at: QPoint) -> int | None:
        """The place of the card below the mouse; the base stays first."""
        own = self.place_of(card)
        x = self.ground.mapFromGlobal(at).x()
        place = sum(x > it.geometry().center().x() for it in self.cards if it is not card)
        place = min(max(place, 1), len(self.cards) - 1)
        return None if own == 0 or place == own else place
