"""The words that lie on a plot: what an empty one says, and the readout under the pointer."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QLabel, QWidget

from app.widgets.controls import label
from app.widgets.theme import Theme

TOP = 6
INSET_X, INSET_Y = 24, 8
RING, RADIUS = 2, 4
MOST_WIDTH = 16_777_215
"""QWIDGETSIZE_MAX, which Qt for Python does not name."""
BY_KEYS = (
    Qt.FocusReason.TabFocusReason,
    Qt.FocusReason.BacktabFocusReason,
    Qt.FocusReason.ShortcutFocusReason,
)


class PlotWords:
    """Labels over `plot` that never take the mouse from it."""

    def __init__(self, theme: Theme, plot: pg.PlotWidget, empty: str) -> None:
        self._theme = theme
        self._plot = plot
        for part in (plot, plot.viewport()):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        plot.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)
        self.empty = label(empty, "hint", wrap=True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.unit = label("", "section")
        self.unit.move(0, 0)
        self.readout = label("", "small")
        for words in (self.empty, self.unit, self.readout):
            words.setParent(plot)
            words.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.readout.hide()
        self.recolour()

    def fit(self) -> None:
        """Take the plot's new size."""
        self.empty.setGeometry(self._plot.rect().adjusted(INSET_X, INSET_Y, -INSET_X, -INSET_Y))

    def recolour(self) -> None:
        """Take the theme's colours."""
        tokens = self._theme.tokens
        self.readout.setStyleSheet(
            f"background: {tokens.panel}; border: 1px solid {tokens.edge}; border-radius: 4px; "
            "padding: 2px 6px;"
        )

    def set_unit(self, text: str) -> None:
        """The unit of the values, above the vertical axis."""
        self.unit.setText(text)
        self.unit.adjustSize()

    def tell_with(self, text: str, source: str, *, left: int, right: int, at_right: bool) -> None:
        """Show the readout and, where there is room below it, where its numbers come from."""
        self.tell(with_source(text, source), left=left, right=right, at_right=at_right)
        fits = self.readout.geometry().bottom() <= self._plot.height()
        if source and not fits:
            self.tell(text, left=left, right=right, at_right=at_right)
        # A tooltip with the same words would only cover the curves.
        self._plot.setToolTip("" if fits else source)

    def tell(self, text: str, *, left: int, right: int, at_right: bool) -> None:
        """Show the readout, `left` pixels from the left edge or `right` from the right one."""
        room = self._plot.width() - left - right
        self.readout.setText(text)
        self.readout.setWordWrap(False)
        self.readout.adjustSize()
        if self.readout.width() > room:
            self.readout.setWordWrap(True)
            self.readout.setFixedWidth(max(room, 1))
            self.readout.adjustSize()
            self.readout.setMinimumWidth(0)
            self.readout.setMaximumWidth(MOST_WIDTH)
        x = self._plot.width() - self.readout.width() - right if at_right else left
        self.readout.move(max(x, left), TOP)
        self.readout.show()


class PlotPanel(QWidget):
    """A widget around a plot with words on it: what charts and heatmaps share. Subclasses make its parts.

    It takes the focus for its plot, with a ring for those who came by keys; `menu_wanted` tells where a menu
    was asked for, by the pointer or by the menu key.
    """

    menu_wanted = Signal(QPoint)

    _theme: Theme
    _words: PlotWords
    _source = ""
    _ring = False
    plot: pg.PlotWidget

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    @property
    def empty(self) -> QLabel:
        """What stands in an empty plot."""
        return self._words.empty

    @property
    def readout(self) -> QLabel:
        """What stands under the pointer."""
        return self._words.readout

    def set_empty(self, text: str) -> None:
        """Say something else in an empty plot."""
        self._words.empty.setText(text)

    def set_source(self, text: str) -> None:
        """Where the values come from; stands below them in the readout."""
        self._source = text
        self.plot.setToolTip(text)

    @property
    def source(self) -> str:
        """Where the values come from, a line a part."""
        return self._source

    def unit_text(self) -> str:
        """The unit of the values; "" without one."""
        return self._words.unit.text()

    def axis_text(self) -> str:
        """What stands on the horizontal axis, where a picture has to say it."""
        return ""

    def legend_entries(self) -> list[tuple[str, str]]:
        """What the legend of a picture says: (text, colour)."""
        return []

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The ring is for the keyboard: a click leaves none behind."""
        super().focusInEvent(event)
        self._ring = event.reason() in BY_KEYS
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the ring away."""
        super().focusOutEvent(event)
        self._ring = False
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The focus ring."""
        super().paintEvent(event)
        if self._ring:
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(self._theme.tokens.accent), RING))
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), RADIUS, RADIUS)
            painter.end()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Tell where a menu is wanted."""
        self.menu_wanted.emit(event.globalPos())

    def as_tsv(self) -> str:
        """The values that are shown, for the clipboard."""
        raise NotImplementedError


def with_source(text: str, source: str) -> str:
    """A readout and, below it, where its numbers come from."""
    return f"{text}\n\n{source}" if source else text
