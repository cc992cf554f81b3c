"""The curve beside a heatmap: one of its columns as a line, row by row, with what chance alone would give.

The rows stand at the same heights as those of the heatmap at its left, so that the eye goes straight across.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from app.widgets.controls import label
from app.widgets.decimate import Floats, limits
from app.widgets.heatmap import AXIS_PX
from app.widgets.theme import Theme

WIDTH = 96
TOP, BOTTOM = 4, 18
"""Margins of the heatmap's image."""
PAD = 0.18
TITLE_TOP = 4


class ProfileStrip(QWidget):
    """A narrow plot: values to the right, rows upwards."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self._theme = theme
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(name)
        self.plot = pg.PlotWidget(background=None, enableMenu=False)
        for part in (self.plot, self.plot.viewport()):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setFrameShape(QFrame.Shape.NoFrame)
        self.plot.setAccessibleName(name)
        self._item = self.plot.getPlotItem()
        self._item.hideButtons()
        self._item.setContentsMargins(0, TOP, 4, 0)
        self._item.hideAxis("left")
        axis = self._item.getAxis("bottom")
        axis.setHeight(BOTTOM)
        axis.setStyle(tickLength=0, tickTextOffset=4, hideOverlappingLabels=False)
        box = self._item.getViewBox()
        box.disableAutoRange()
        box.setMouseEnabled(x=False, y=False)
        self.floor = pg.PlotCurveItem(connect="finite")
        self.curve = pg.PlotCurveItem(connect="finite")
        for item in (self.floor, self.curve):
            self._item.addItem(item, ignoreBounds=True)
        self._title = label("", "section")
        self._title.setParent(self.plot)
        self._title.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        theme.changed.connect(self._recolour)
        self._recolour()

    def show_values(self, values: Floats, floor: Floats, title: str) -> None:
        """Draw one column, (rows,), and what chance gives in each row (NaN where it is not known)."""
        rows = np.arange(values.size) + 0.5
        self.curve.setData(values, rows)
        self.floor.setData(
            floor if floor.size == values.size else np.full(values.size, np.nan), rows
        )
        ends = limits(values, floor)
        low, high = ends if ends is not None else (0.0, 1.0)
        pad = (high - low) * PAD or PAD
        box = self._item.getViewBox()
        box.setRange(xRange=(low - pad, high + pad), yRange=(0, max(values.size, 1)), padding=0)
        self._item.getAxis("bottom").setTicks([[(low, f"{low:.2f}"), (high, f"{high:.2f}")]])
        self._title.setText(title)
        self._title.adjustSize()
        self._place()
        self.setAccessibleDescription(title)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the title inside."""
        super().resizeEvent(event)
        self._place()

    def _place(self) -> None:
        self._title.move(max((self.plot.width() - self._title.width()) // 2, 0), TITLE_TOP)

    def _recolour(self) -> None:
        tokens = self._theme.tokens
        font = self._theme.font()
        font.setPixelSize(AXIS_PX)
        axis = self._item.getAxis("bottom")
        axis.setPen(pg.mkPen(tokens.line, width=1))
        axis.setTextPen(pg.mkPen(tokens.third))
        axis.setStyle(tickFont=font)
        self.curve.setPen(pg.mkPen(tokens.recovered, width=1))
        self.floor.setPen(pg.mkPen(tokens.third, width=1, style=Qt.PenStyle.DashLine))
