"""A heatmap with viridis, a colour bar, zoom to range and a readout under the pointer.

CKA lives between 0.9 and 1: on the full range 0-1 its differences vanish, so the range can be zoomed to
the values, chosen, or dragged at the colour bar, which always says which range is shown. With the focus, the
arrow keys walk from cell to cell. Importing this module loads pyqtgraph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout

from app.widgets.chart_copy import matrix_as_tsv
from app.widgets.decimate import Floats, thinned
from app.widgets.plot_words import PlotPanel, PlotWords
from app.widgets.theme import Theme

AXIS_PX = 10
AXIS_WIDTH = 38
PX_PER_ROW_NAME = 26
PX_PER_COLUMN_NAME = 52
SMALLEST_SPAN = 1e-3
BAR_WIDTH = 10
BAR_ROUNDING = 0.005
FULL = (0.0, 1.0)
_MOVES = {
    Qt.Key.Key_Left: (0, -1),
    Qt.Key.Key_Right: (0, 1),
    Qt.Key.Key_Up: (1, 0),
    Qt.Key.Key_Down: (-1, 0),
}


class HeatmapView(PlotPanel):
    """A matrix as an image; row 0 is painted lowest, NaN is left open.

    `column_met` tells the column under the pointer or the keys, -1 when they leave; `levels_dragged` that a
    person set the range at the colour bar.
    """

    column_met = Signal(int)
    levels_dragged = Signal(float, float)

    def __init__(self, theme: Theme, name: str, *, empty: str = "") -> None:
        super().__init__()
        self._theme = theme
        self._name = name
        self._rows: tuple[str, ...] = ()
        self._cols: tuple[str, ...] = ()
        self._expected = 0
        self._row_axis = "layer"
        self._col_axis = "layer"
        self._values: Floats = np.empty((0, 0))
        self._range: tuple[float, float] | None = None
        self._cell: tuple[int, int] | None = None
        self.setAccessibleName(name)

        self.plot = pg.PlotWidget(background=None, enableMenu=False)
        self.plot.setAccessibleName(name)
        self.plot.setFrameShape(QFrame.Shape.NoFrame)
        self.plot.setMinimumSize(120, 80)
        self._item = self.plot.getPlotItem()
        self._item.hideButtons()
        self._item.setContentsMargins(0, 4, 0, 0)
        box = self._item.getViewBox()
        box.disableAutoRange()
        box.setMouseEnabled(x=False, y=False)
        for side in ("left", "bottom"):
            axis = self._item.getAxis(side)
            axis.setStyle(tickLength=0, tickTextOffset=4, hideOverlappingLabels=False)
        self._item.getAxis("left").setWidth(AXIS_WIDTH)
        self._item.getAxis("bottom").setHeight(18)
        self.image = pg.ImageItem(axisOrder="row-major")
        colours = pg.colormap.get("viridis")
        self.image.setColorMap(colours)
        self._item.addItem(self.image)
        self.bar = pg.ColorBarItem(
            colorMap=colours, width=BAR_WIDTH, limits=FULL, rounding=BAR_ROUNDING, values=FULL
        )
        self.bar.setImageItem(self.image, insert_in=self._item)
        self.bar.sigLevelsChangeFinished.connect(self._dragged)
        self._column = pg.InfiniteLine(angle=90, movable=False)
        self._column.hide()
        self._item.addItem(self._column, ignoreBounds=True)
        self.plot.scene().sigMouseMoved.connect(self.hover)
        self.plot.viewport().installEventFilter(self)

        self._words = PlotWords(theme, self.plot, empty)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        theme.changed.connect(self._recolour)
        # The map takes its room after the widget has it: only then is it known how many names fit.
        self._item.getViewBox().sigResized.connect(self._resized)
        self._recolour()
        self.clear()

    @property
    def levels(self) -> tuple[float, float]:
        """The range the colours span."""
        low, high = self.bar.levels()
        return float(low), float(high)

    def set_data(
        self,
        values: Floats,
        rows: Sequence[str],
        cols: Sequence[str],
        *,
        row_axis: str = "layer",
        col_axis: str = "layer",
        expected: int = 0,
    ) -> None:
        """Show a matrix of shape (len(rows), len(cols)).

        `expected` is the number of columns there will be when all is measured; room is left for them.

        Raises:
            ValueError: the shape does not fit the names.
        """
        if values.shape != (len(rows), len(cols)):
            raise ValueError(f"matrix {values.shape} for {len(rows)} rows and {len(cols)} columns")
        self._values, self._rows, self._cols = values, tuple(rows), tuple(cols)
        self._row_axis, self._col_axis = row_axis, col_axis
        self._expected = max(len(cols), expected)
        if not np.isfinite(values).any():
            self.clear()
            return
        self.empty.hide()
        self._show(True)
        self.image.setImage(values, autoLevels=False)
        self.image.setRect(QRectF(0, 0, len(cols), len(rows)))
        box = self._item.getViewBox()
        box.setRange(xRange=(0, self._expected), yRange=(0, len(rows)), padding=0)
        self._set_levels()
        self._set_ticks()
        if self._cell is not None:  # a person looks at it: what grows beside it changes nothing
            row, col = self._cell
            self._meet(min(row, len(rows) - 1), min(col, len(cols) - 1))

    def clear(self) -> None:
        """Show nothing but the words for an empty map."""
        self._values = np.empty((0, 0))
        self.image.clear()
        self.mark_column(None)
        self._show(False)
        self.empty.setVisible(bool(self.empty.text()))

    def as_tsv(self) -> str:
        """The matrix with its names."""
        corner = f"{self._row_axis} \\ {self._col_axis}"
        return matrix_as_tsv(self._values, self._rows, self._cols, corner)

    def set_range(self, levels: tuple[float, float] | None) -> None:
        """Spread the colours over `levels`; None spreads them over the range of the values."""
        self._range = levels
        if self._values.size:
            self._set_levels()

    def mark_column(self, col: int | None) -> None:
        """Draw a line through a column, or none."""
        self._column.setVisible(col is not None)
        if col is not None:
            self._column.setValue(col + 0.5)

    def _dragged(self) -> None:
        self._range = self.levels
        self._tell_levels()
        self.levels_dragged.emit(*self.levels)

    def _show(self, on: bool) -> None:
        self.image.setVisible(on)
        self.bar.setVisible(on)
        for side in ("left", "bottom"):
            self._item.getAxis(side).setVisible(on)

    def _set_levels(self) -> None:
        if self._range is not None:
            low, high = self._range
        else:
            finite = self._values[np.isfinite(self._values)]
            low, high = float(finite.min()), float(finite.max())
            if high - low < SMALLEST_SPAN:
                low, high = high - SMALLEST_SPAN, high
        self.bar.setLevels((low, high))
        self._tell_levels()

    def _tell_levels(self) -> None:
        low, high = self.levels
        digits = 2 if high - low > 0.05 else 4
        ends = [(low, f"{low:.{digits}f}"), (high, f"{high:.{digits}f}")]
        self.bar.axis.setTicks([ends])

    def _set_ticks(self) -> None:
        box = self._item.getViewBox()
        left = max(int(box.height()) // PX_PER_ROW_NAME, 2)
        filled = box.width() * len(self._cols) / self._expected
        below = max(int(filled) // PX_PER_COLUMN_NAME, 2)
        self._item.getAxis("left").setTicks([thinned(self._rows, left, 0.5)])
        self._item.getAxis("bottom").setTicks([thinned(self._cols, below, 0.5)])

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The words follow the room there is."""
        super().resizeEvent(event)
        self._words.fit()

    def _resized(self) -> None:
        """As many names on the axes as there is room for."""
        if self._values.size:
            self._set_ticks()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leaving hides the readout."""
        if event.type() == QEvent.Type.Leave:
            self.leave()
        return False

    def leave(self) -> None:
        """Take readout and cell away, as when the pointer leaves."""
        self.readout.hide()
        self._cell = None
        self.column_met.emit(-1)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The arrow keys walk from cell to cell, beginning at the newest one of the top row."""
        move = _MOVES.get(Qt.Key(event.key()))
        if move is None or not self._values.size:
            super().keyPressEvent(event)
            return
        rows, cols = self._values.shape
        row, col = self._cell or (rows - 1, cols - 1)
        if self._cell is not None:
            row, col = row + move[0], col + move[1]
        self._meet(min(max(row, 0), rows - 1), min(max(col, 0), cols - 1))

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the readout away, too."""
        super().focusOutEvent(event)
        self.leave()

    def _recolour(self) -> None:
        tokens = self._theme.tokens
        font = self._theme.font()
        font.setPixelSize(AXIS_PX)
        axes = [self._item.getAxis("left"), self._item.getAxis("bottom"), self.bar.axis]
        for axis in axes:
            axis.setPen(pg.mkPen(tokens.panel, width=1))
            axis.setTextPen(pg.mkPen(tokens.third))
            axis.setStyle(tickFont=font)
        self._column.setPen(pg.mkPen(tokens.ink, width=1, style=Qt.PenStyle.DotLine))
        self._words.recolour()

    def hover(self, place: QPointF) -> None:
        """Say what stands at a place of the scene."""
        box = self._item.getViewBox()
        at = box.mapSceneToView(place)
        inside = self._values.size and box.sceneBoundingRect().contains(place)
        if not inside or at.x() >= len(self._cols):
            self.leave()
            return
        self._meet(min(max(int(at.y()), 0), len(self._rows) - 1), max(int(at.x()), 0))

    def _meet(self, row: int, col: int) -> None:
        self._cell = row, col
        value = self._values[row, col]
        shown = f"{value:.4f}" if np.isfinite(value) else "not measured"
        words = f"{self._row_axis} {self._rows[row]} · {self._col_axis} {self._cols[col]} · {shown}"
        at_right = col < len(self._cols) / 2
        self._words.tell_with(words, self._source, left=44, right=60, at_right=at_right)
        self.setAccessibleDescription(words)
        self.column_met.emit(col)
