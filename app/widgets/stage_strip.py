"""The row of stage cards that reads like the paper's figures: base → quantize → SDFT, with branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from PySide6.QtCore import QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from app.widgets.scale import CARD_RADIUS
from app.widgets.theme import Theme

CARD_WIDTH = 172
CARD_HEIGHT = 66
RECIPE_HEIGHT = 58
ARROW_WIDTH = 26
BAR_HEIGHT = 3
INSET = 10
SEPARATOR = " · "
SWEEP_MS = 60
SWEEP_STEP = 0.03


class CardLike(Protocol):
    """What a card shows; the view models' stage card has this shape."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def headline(self) -> str: ...
    @property
    def detail(self) -> tuple[str, ...]: ...
    @property
    def fraction(self) -> float | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def problems(self) -> int: ...


class StageCardButton(QAbstractButton):
    """One card, painted: title in the role's hue, grey headline, a line of detail, a progress bar."""

    def __init__(self, theme: Theme, *, recipe: bool) -> None:
        super().__init__()
        self._theme = theme
        self._recipe = recipe
        self._card: CardLike | None = None
        self._branch = ""
        self._sweep = 0.0
        self.setCheckable(recipe)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus if recipe else Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor if recipe else Qt.CursorShape.ArrowCursor)
        self.setFixedHeight(RECIPE_HEIGHT if recipe else CARD_HEIGHT)
        self.setMinimumWidth(CARD_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self._timer = QTimer(self)
        self._timer.setInterval(SWEEP_MS)
        self._timer.timeout.connect(self._move_sweep)
        theme.changed.connect(self.update)

    def set_card(self, card: CardLike, branch: str = "") -> None:
        """Show a card; `branch` names its source where that is not the card before it."""
        self._card = card
        self._branch = branch
        words = [card.title, card.headline, *card.detail, card.status]
        if branch:
            words.append(f"from {branch}")
        if card.problems:
            words.append(_problems(card.problems))
        self.setAccessibleName(", ".join(word for word in words if word))
        self.setToolTip(SEPARATOR.join(word for word in words if word))
        moving = card.status == "running" and card.fraction is None
        if moving != self._timer.isActive():
            if moving:
                self._timer.start()
            else:
                self._timer.stop()
        self.update()

    @property
    def card(self) -> CardLike | None:
        """What it shows."""
        return self._card

    @property
    def branch(self) -> str:
        """Its source where that is not the card before it; "" otherwise."""
        return self._branch

    def sizeHint(self) -> QSize:
        """A card's natural size."""
        return QSize(CARD_WIDTH, self.height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter chooses, as Space does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def _move_sweep(self) -> None:
        self._sweep = (self._sweep + SWEEP_STEP) % 1.0
        if self.isVisible():
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the card."""
        if self._card is None:
            return
        card, tokens = self._card, self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        waiting = card.status == "waiting"
        border = tokens.line
        if card.status == "running":
            border = tokens.role(card.role) if card.role else tokens.accent
        if card.status == "failed":
            border = tokens.bad
        wide = 1.0
        if self.isChecked():
            border, wide = tokens.accent, 1.5
        if self.hasFocus():
            border, wide = tokens.accent, 2.0
        painter.setPen(QPen(QColor(border), wide))
        painter.setBrush(
            QColor(tokens.hover if self._recipe and self.underMouse() else tokens.panel)
        )
        frame = QRectF(self.rect()).adjusted(wide / 2, wide / 2, -wide / 2, -wide / 2)
        painter.drawRoundedRect(frame, CARD_RADIUS, CARD_RADIUS)

        right = self.width() - INSET
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        if card.problems:
            right = self._draw_problems(painter, card.problems, right) - 6
        painter.setFont(bold)
        title = painter.fontMetrics().elidedText(
            card.title, Qt.TextElideMode.ElideRight, right - INSET
        )
        hue = tokens.third if waiting else tokens.role_text(card.role)
        painter.setPen(QColor(hue))
        line = QRect(INSET, 8, right - INSET, 20)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(line, left, title)
        if not self._recipe:
            used = painter.fontMetrics().horizontalAdvance(title) + 6
            painter.setFont(self.font())
            painter.setPen(QColor(tokens.third))
            beside = QRect(INSET + used, 8, right - INSET - used, 20)
            self._draw_elided(painter, beside, card.headline)
        small = QFont(self.font())
        small.setPixelSize(12)
        painter.setFont(small)
        painter.setPen(QColor(tokens.third if waiting else tokens.second))
        details = [f"from {self._branch}"] if self._branch else []
        if self._recipe and card.headline:
            details.append(card.headline)
        details += [text for text in card.detail if text]
        if not details and waiting:
            details = ["waiting"]
        self._draw_elided(
            painter, QRect(INSET, 28, self.width() - 2 * INSET, 20), SEPARATOR.join(details)
        )
        if not self._recipe:
            self._draw_bar(painter, card)
        painter.end()

    def _draw_elided(self, painter: QPainter, box: QRect, text: str) -> None:
        metrics = painter.fontMetrics()
        shown = metrics.elidedText(
            _whole_parts(text, metrics.horizontalAdvance, box.width()),
            Qt.TextElideMode.ElideRight,
            box.width(),
        )
        painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)

    def _draw_problems(self, painter: QPainter, problems: int, right: int) -> int:
        """A small tag at the upper right; returns its left edge."""
        tokens = self._theme.tokens
        small = QFont(self.font())
        small.setPixelSize(11)
        painter.setFont(small)
        text = _problems(problems)
        width = painter.fontMetrics().horizontalAdvance(text) + 16
        box = QRectF(right - width + 0.5, 9.5, width, 17)
        painter.setPen(QPen(QColor(tokens.bad), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 8.5, 8.5)
        painter.setPen(QColor(tokens.bad_text))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        return right - width

    def _draw_bar(self, painter: QPainter, card: CardLike) -> None:
        tokens = self._theme.tokens
        track = QRectF(INSET, self.height() - BAR_HEIGHT - 7, self.width() - 2 * INSET, BAR_HEIGHT)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.line))
        painter.drawRoundedRect(track, 1.5, 1.5)
        hue = tokens.role(card.role) if card.role else tokens.accent
        if card.status == "failed":
            hue = tokens.bad
        painter.setBrush(QColor(hue))
        share = 1.0 if card.status == "done" else card.fraction
        if share is not None and share > 0:
            filled = QRectF(track)
            filled.setWidth(max(track.width() * min(share, 1.0), BAR_HEIGHT))
            painter.drawRoundedRect(filled, 1.5, 1.5)
        elif card.status == "running":
            part = track.width() * 0.25
            start = track.left() + (track.width() - part) * abs(2 * self._sweep - 1)
            painter.drawRoundedRect(QRectF(start, track.top(), part, BAR_HEIGHT), 1.5, 1.5)


class _Arrow(QWidget):
    """What stands between two cards: an arrow, a line before a branch, a plus before a further model."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.branch = self.root = False
        self.setFixedSize(ARROW_WIDTH, 20)
        theme.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(self._theme.tokens.third), 1.1))
        middle, centre = self.height() / 2, self.width() / 2
        if self.root:
            painter.drawLine(int(centre - 4), int(middle), int(centre + 4), int(middle))
            painter.drawLine(int(centre), int(middle - 4), int(centre), int(middle + 4))
        elif self.branch:
            painter.drawLine(int(centre), 4, int(centre), 16)
        else:
            painter.drawLine(int(centre - 5), int(middle), int(centre + 5), int(middle))
            painter.drawLine(int(centre + 5), int(middle), int(centre + 2), int(middle - 3))
            painter.drawLine(int(centre + 5), int(middle), int(centre + 2), int(middle + 3))
        painter.end()


class StageStrip(QScrollArea):
    """Cards in a row; scrolls sideways when they do not fit. `chosen` tells a recipe card's position."""

    chosen = Signal(int)

    def __init__(self, theme: Theme, *, recipe: bool = False) -> None:
        super().__init__()
        self._theme = theme
        self._recipe = recipe
        self._cards: list[StageCardButton] = []
        self._arrows: list[_Arrow] = []
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName("Stages")
        self.ground = self.make_ground()
        self._row = QHBoxLayout(self.ground)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(0)
        self.setWidget(self.ground)
        self.below = 0
        self._card_height = RECIPE_HEIGHT if recipe else CARD_HEIGHT
        self.setFixedHeight(self._card_height)
        self.horizontalScrollBar().rangeChanged.connect(self._fit_height)

    @property
    def theme(self) -> Theme:
        """Whose colours it has."""
        return self._theme

    @property
    def cards(self) -> tuple[StageCardButton, ...]:
        """The card widgets, in order."""
        return tuple(self._cards)

    def set_cards(self, cards: Sequence[CardLike], selected: int = -1) -> None:
        """Show these cards; widgets are reused."""
        while len(self._cards) > len(cards):
            for gone in [self._cards.pop(), *([self._arrows.pop()] if self._arrows else [])]:
                self._row.removeWidget(gone)
                gone.deleteLater()
        while len(self._cards) < len(cards):
            if self._cards:
                arrow = _Arrow(self._theme)
                self._arrows.append(arrow)
                self._row.insertWidget(2 * len(self._cards) - 1, arrow)
            place = len(self._cards)
            made = self.make_card(place)
            made.clicked.connect(lambda _=False, place=place: self.chosen.emit(place))
            self._row.insertWidget(2 * place, made)
            self._cards.append(made)
        before = ""
        for place, (card, widget) in enumerate(zip(cards, self._cards, strict=True)):
            branch = place > 0 and card.source is not None and card.source != before
            widget.set_card(card, (card.source or "") if branch else "")
            widget.setChecked(place == selected)
            if place:
                self._arrows[place - 1].branch = branch
                self._arrows[place - 1].root = card.source is None
                self._arrows[place - 1].update()
            before = card.id

    def make_ground(self) -> QWidget:
        """What the cards stand on."""
        return QWidget()

    def make_card(self, place: int) -> StageCardButton:
        """A card for a place."""
        return StageCardButton(self._theme, recipe=self._recipe)

    def add_end(self, widget: QWidget) -> None:
        """Put a widget after the last card."""
        self._row.addSpacing(ARROW_WIDTH)
        self._row.addWidget(widget)

    def _fit_height(self, _: int, most: int) -> None:
        bar = self.horizontalScrollBar().sizeHint().height() if most > 0 else 0
        self.setFixedHeight(self._card_height + self.below + bar)

    def leave_below(self, height: int) -> None:
        """Leave so much room below the cards."""
        if height != self.below:
            self.below = height
            self._row.setContentsMargins(0, 0, 0, height)
            self._fit_height(0, self.horizontalScrollBar().maximum())


def _whole_parts(text: str, width: Callable[[str], int], room: int) -> str:
    """As many of the parts between dots as fit, at least one; the tooltip has them all."""
    parts = text.split(SEPARATOR)
    while len(parts) > 1 and width(SEPARATOR.join(parts)) > room:
        parts.pop()
    return SEPARATOR.join(parts)


def _problems(count: int) -> str:
    return "1 problem" if count == 1 else f"{count} problems"
