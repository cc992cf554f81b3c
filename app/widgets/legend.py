"""The legend under a chart: one toggle per curve, reached by the keyboard like any button."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QIcon,
    QIconEngine,
    QPainter,
    QPen,
    QPixmap,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.widgets.controls import Button, colour_of
from app.widgets.theme import Theme

LEFT = 34
ICON_PX = 16
STROKE_PX = 2
AROUND_TEXT_PX = ICON_PX + 20
SPACING = 2
ROW_PX = 20
MOST_ROWS = 3
MOST_TEXT_PX = 220


class _Stroke(QIconEngine):
    """A piece of a curve as it is drawn, sharp on every screen."""

    def __init__(self, colour: str, *, dashed: bool) -> None:
        super().__init__()
        self._pen = QPen(QColor(colour), STROKE_PX)
        self._pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if dashed:
            self._pen.setDashPattern([2.0, 1.0])

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw it across `rect`."""
        painter.setPen(self._pen)
        middle = rect.top() + rect.height() // 2
        painter.drawLine(rect.left(), middle, rect.right(), middle)

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """It on a transparent ground."""
        made = QPixmap(size)
        made.fill(Qt.GlobalColor.transparent)
        painter = QPainter(made)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return made


class Legend(QWidget):
    """Entries are (key, text, token); hidden when there are fewer than two.

    Entries keep their own width and go on in a second and third row; only what is longer than
    `MOST_TEXT_PX` or the row is shortened in its middle. What finds no place in the last row is left out.
    """

    toggled = Signal(str, bool)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        # Without a focus policy of its own it could not say that its buttons follow it.
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._buttons: dict[str, Button] = {}
        self._entries: tuple[tuple[str, str, str], ...] = ()
        self._dashed: frozenset[str] = frozenset()
        self.hide()
        theme.changed.connect(self._paint)

    @property
    def buttons(self) -> dict[str, Button]:
        """The toggles by key."""
        return dict(self._buttons)

    @property
    def keys(self) -> frozenset[str]:
        """What it can hide."""
        return frozenset(self._buttons)

    def set_entries(self, entries: Iterable[tuple[str, str, str]]) -> None:
        """Show these entries; only what differs is rebuilt."""
        wanted = tuple(entries)
        wanted = wanted if len(wanted) > 1 else ()
        if wanted == self._entries:
            return
        self._entries = wanted
        keys = {key for key, _, _ in wanted}
        for key in [key for key in self._buttons if key not in keys]:
            gone = self._buttons.pop(key)
            gone.hide()
            gone.deleteLater()
        for key, text, _ in wanted:
            if key not in self._buttons:
                self._buttons[key] = self._button(key)
            self._buttons[key].setAccessibleName(f"Show {text}")
            self._buttons[key].setToolTip(f"Show or hide {text}")
        self.setVisible(bool(wanted))
        self._fit()
        self._paint()

    def set_dashed(self, keys: Iterable[str]) -> None:
        """Which curves are dashed: two of one hue are told apart by it."""
        wanted = frozenset(keys)
        if wanted != self._dashed:
            self._dashed = wanted
            self._paint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Flow into the new width."""
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent) -> None:
        """Measure the words anew: they may have been measured before the style was known."""
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Place the buttons row by row, in the order of the entries, which is that of the Tab key, too."""
        if not self._entries:
            return
        whole = max(self.width() - LEFT, AROUND_TEXT_PX)
        x = row = 0
        before: QWidget = self
        for key, text, _ in self._entries:
            button = self._buttons[key]
            button.ensurePolished()  # before it, the font is not yet that of the style sheet
            metrics = button.fontMetrics()
            most = min(whole - AROUND_TEXT_PX, MOST_TEXT_PX)
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, most)
            width = metrics.horizontalAdvance(shown) + AROUND_TEXT_PX
            if x and x + width > whole:
                x, row = 0, row + 1
            button.setText(shown)
            button.setGeometry(LEFT + x, row * ROW_PX, width, ROW_PX)
            button.setVisible(row < MOST_ROWS)
            QWidget.setTabOrder(before, button)
            before = button
            x += width + SPACING
        self.setFixedHeight(ROW_PX * min(row + 1, MOST_ROWS))

    def _button(self, key: str) -> Button:
        made = Button(self._theme, "", "legend")
        made.setParent(self)
        made.setCheckable(True)
        made.setChecked(True)
        made.setIconSize(QSize(ICON_PX, ICON_PX))
        made.toggled.connect(lambda on: self._flip(key, on))
        return made

    def _flip(self, key: str, on: bool) -> None:
        self._paint()
        self.toggled.emit(key, on)

    def _paint(self) -> None:
        for key, _, token in self._entries:
            button = self._buttons[key]
            on = button.isChecked()
            colour = colour_of(self._theme, token if on else "third")
            stroke = QIcon(_Stroke(colour, dashed=key in self._dashed))
            button.setIcon(stroke if on else self._theme.icon("eye-slash", colour, colour))
