"""Small controls with one look: labels, buttons, chips, cards, segments, empty states, notices."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.widgets.combo import Combo
from app.widgets.theme import Theme

DOT = 8
GAP = 8
CARD_PADDING = 12
TOOL_WIDTH, TOOL_HEIGHT = 30, 28


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A plain-text label; `role` is a variant of the style sheet."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setProperty("role", role)
    made.setWordWrap(wrap)
    return made


def restyle(widget: QWidget, name: str, value: object) -> None:
    """Set a dynamic property that the style sheet reads, and polish the widget again if it changed."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


class Button(QPushButton):
    """A push button whose icon follows the theme, and that Enter presses as Space does."""

    def __init__(self, theme: Theme, text: str, kind: str = "", icon: str = "") -> None:
        # The style puts icon and text too close; a space between them is the cure.
        super().__init__(f" {text}" if icon and text else text)
        self._theme = theme
        self._icon = icon
        if icon and not text:
            self.setFixedSize(TOOL_WIDTH, TOOL_HEIGHT)
        self.setProperty("kind", kind)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        # A click must not leave a focus ring behind; the keyboard still reaches every button.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(text)
        self._paint_icon()
        theme.changed.connect(self._paint_icon)

    def set_icon(self, icon: str) -> None:
        """Show another icon of the set."""
        self._icon = icon
        self._paint_icon()

    def _paint_icon(self) -> None:
        if not self._icon:
            return
        tokens = self._theme.tokens
        kind = self.property("kind")
        colours = {"primary": tokens.on_accent, "danger": tokens.bad_text}
        lit = tokens.on_accent if kind == "primary" else tokens.accent
        self.setIcon(self._theme.icon(self._icon, colours.get(kind, tokens.second), lit))
        self.setIconSize(QSize(16, 16))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses, too."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)


class Elided(QLabel):
    """A one-line label that shortens its text with an ellipsis and shows the whole in a tooltip."""

    def __init__(self, text: str = "", role: str = "") -> None:
        super().__init__()
        self._whole = text
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(24)
        self._fit()

    def set_text(self, text: str) -> None:
        """Show another text."""
        if text != self._whole:
            self._whole = text
            self.updateGeometry()
            self._fit()

    def whole(self) -> str:
        """The text in full."""
        return self._whole

    def sizeHint(self) -> QSize:
        """As wide as the whole text."""
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance(self._whole) + 2, metrics.height() + 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shorten anew."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Measure anew when the font changes."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.updateGeometry()
            self._fit()

    def _fit(self) -> None:
        shown = self.fontMetrics().elidedText(
            self._whole, Qt.TextElideMode.ElideRight, max(self.width(), 24)
        )
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(self._whole if shown != self._whole else "")
        self.setAccessibleName(self._whole)


class Dot(QWidget):
    """A round spot in a token's colour (`token` names an attribute of the tokens, or is `#rrggbb`)."""

    def __init__(self, theme: Theme, token: str = "third") -> None:
        super().__init__()
        self._theme = theme
        self._token = token
        self.setFixedSize(DOT, DOT)
        theme.changed.connect(self.update)

    def set_token(self, token: str) -> None:
        """Take another colour."""
        if token != self._token:
            self._token = token
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the spot."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour_of(self._theme, self._token)))
        painter.drawEllipse(0, 0, DOT, DOT)
        painter.end()


def colour_of(theme: Theme, token: str) -> str:
    """A token's colour; a colour stays itself."""
    return token if token.startswith("#") else str(getattr(theme.tokens, token))


STATUS_TOKENS = {
    "starting": "accent",
    "running": "accent",
    "done": "recovered",
    "failed": "bad",
    "stopped": "warning",
    "interrupted": "warning",
}


class Chip(QFrame):
    """A rounded tag with an optional dot and an optional cross that removes it."""

    removed = Signal()

    def __init__(
        self, theme: Theme, text: str = "", token: str = "", *, removable: bool = False
    ) -> None:
        super().__init__()
        self.setProperty("surface", "chip")
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(22)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 2 if removable else 8, 0)
        row.setSpacing(6)
        self._dot = Dot(theme, token or "third")
        self._text = Elided(text, "small")
        self._text.setMaximumWidth(260)
        row.addWidget(self._dot)
        # Not before it has a parent: shown without one, it would be a window for a moment and take the focus.
        self._dot.setVisible(bool(token))
        row.addWidget(self._text)
        if removable:
            cross = Button(theme, "", "cross", "x")
            cross.setFixedSize(18, 18)
            cross.setIconSize(QSize(10, 10))
            cross.setAccessibleName(f"Remove {text}")
            cross.clicked.connect(self.removed)
            row.addWidget(cross)

    def set(self, text: str, token: str = "") -> None:
        """Show another text and dot."""
        self._text.set_text(text)
        self._dot.setVisible(bool(token))
        self._dot.set_token(token or "third")
        self.setAccessibleName(text)

    def set_status(self, status: str, text: str) -> None:
        """Show a run's status."""
        self.set(text, STATUS_TOKENS.get(status, "third"))


class Card(QFrame):
    """A panel with a heading, a place for tools at its right, and a body."""

    def __init__(self, title: str = "", caption: str = "") -> None:
        super().__init__()
        self.setProperty("surface", "card")
        column = QVBoxLayout(self)
        column.setContentsMargins(CARD_PADDING, 10, CARD_PADDING, 10)
        column.setSpacing(6)
        self._head = QHBoxLayout()
        self._head.setSpacing(GAP)
        self.heading = Elided(title, "heading")
        self.caption = Elided(caption, "hint")
        self.caption.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._head.addWidget(self.heading, 0)
        self._head.addWidget(self.caption, 1)
        column.addLayout(self._head)
        self.body = QVBoxLayout()
        self.body.setSpacing(6)
        column.addLayout(self.body, 1)
        self.setAccessibleName(title)

    def add_tool(self, widget: QWidget) -> None:
        """Put a control at the right of the heading."""
        if not isinstance(widget, QComboBox):
            self._head.addStrut(TOOL_HEIGHT)  # heads of cards side by side are of one height
        self._head.addWidget(widget)

    def add_first(self, widget: QWidget) -> None:
        """Put a control where the heading is."""
        self._head.insertWidget(0, widget)

    def replace_heading(self, heading: Elided) -> None:
        """Put another label where the heading is."""
        old, self.heading = self.heading, heading
        self._head.replaceWidget(old, heading)
        old.deleteLater()

    def set_caption(self, text: str) -> None:
        """The grey words beside the heading."""
        self.caption.set_text(text)


class Segments(QWidget):
    """A row of exclusive choices; arrow keys move, `chosen` tells the new key."""

    chosen = Signal(str)

    def __init__(self, theme: Theme, name: str, options: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(2)
        self._group = QButtonGroup(self)
        self._keys: dict[str, Button] = {}
        self._theme = theme
        for key, text in options:
            self.add(key, text)
        if options:
            self._keys[options[0][0]].setChecked(True)
        self._group.buttonToggled.connect(self._toggled)

    def add(self, key: str, text: str) -> None:
        """One more choice, at the right."""
        button = Button(self._theme, text, "segment")
        button.setCheckable(True)
        button.setAccessibleName(f"{self.accessibleName()}: {text}")
        self._group.addButton(button)
        self._keys[key] = button
        self._row.addWidget(button)

    def last(self) -> Button:
        """The choice at the right: what stands behind it comes next by Tab."""
        return list(self._keys.values())[-1]

    def choices(self) -> tuple[str, ...]:
        """What can be chosen, from left to right."""
        return tuple(self._keys)

    def current(self) -> str:
        """The key that is chosen."""
        return next((key for key, button in self._keys.items() if button.isChecked()), "")

    def choose(self, key: str) -> None:
        """Choose by key."""
        self._keys[key].setChecked(True)

    def _toggled(self, button: QAbstractButton, on: bool) -> None:
        if on:
            self.chosen.emit(self.current())


def tell_whole(combo: QComboBox) -> None:
    """Keep the chosen text in the tooltip, because the box may be too narrow for it; other tooltips stay."""
    told = ""

    def tell(text: str) -> None:
        nonlocal told
        if combo.toolTip() in ("", told):
            told = text
            combo.setToolTip(text)

    combo.currentTextChanged.connect(tell)


class Picker(Combo):
    """A combo box without a frame, for the corner of a card; keys travel with the texts."""

    chosen = Signal(str)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setProperty("flat", True)
        self.setAccessibleName(name)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.setMaximumWidth(220)
        self.setMinimumContentsLength(4)
        self.activated.connect(lambda index: self.chosen.emit(str(self.itemData(index))))
        tell_whole(self)

    def set_options(self, options: Sequence[tuple[str, str]], current: str) -> None:
        """Show (key, text) pairs; rebuilt only when they differ."""
        shown = [(str(self.itemData(row)), self.itemText(row)) for row in range(self.count())]
        if shown != list(options):
            self.clear()
            for key, text in options:
                self.addItem(text, key)
        index = self.findData(current)
        if index != self.currentIndex():
            self.setCurrentIndex(index)

    def key(self) -> str:
        """The key that is chosen, empty without options."""
        return str(self.currentData()) if self.currentIndex() >= 0 else ""
