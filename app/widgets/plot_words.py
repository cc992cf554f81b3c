"""The words that lie on a plot: what an empty one says, and the readout under the pointer."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from app.widgets.controls import label
from app.widgets.theme import Theme

TOP = 6
INSET_X, INSET_Y = 24, 8


class PlotWords:
    """Labels over `plot` that never take the mouse from it."""

    def __init__(self, theme: Theme, plot: QWidget, empty: str) -> None:
        self._theme = theme
        self._plot = plot
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

    def tell(self, text: str, *, left: int, right: int, at_right: bool) -> None:
        """Show the readout, `left` pixels from the left edge or `right` from the right one."""
        self.readout.setText(text)
        self.readout.adjustSize()
        x = self._plot.width() - self.readout.width() - right if at_right else left
        self.readout.move(max(x, left), TOP)
        self.readout.show()


class PlotPanel(QWidget):
    """A widget around a plot with words on it: what charts and heatmaps share. Subclasses make `_words`."""

    _words: PlotWords
    _source = ""

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


def with_source(text: str, source: str) -> str:
    """A readout and, below it, where its numbers come from."""
    return f"{text}\n\n{source}" if source else text
