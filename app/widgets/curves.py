"""What a chart shows, as plain data, and the graphics items that draw one curve.

Items are reused for as long as their key lives: pyqtgraph leaks plots that are made anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QBrush, QColor, QPainterPath, QPen, QPolygonF
from PySide6.QtWidgets import QGraphicsPathItem

from app.widgets.decimate import Floats, limits
from app.widgets.pixel_columns import SharedColumns
from app.widgets.tokens import mix
from app.widgets.trace import Trace

FAINT = 0.32
BAND = 0.16
DOT_EVERY_PX = 6


@dataclass(frozen=True, eq=False)
class Line:
    """One curve: `x` ascending, NaN in `y` is a gap; `token` names a colour of the theme or is one.

    A band is drawn where `low` and `high` are given. Curves that are `dashed` or consist of `points` measured
    now and then are not smoothed. `scattered` ones are dots without a line: their order is not that of x.
    """

    key: str
    label: str
    token: str
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    dashed: bool = False
    points: bool = False
    scattered: bool = False


@dataclass(frozen=True)
class LevelLine:
    """A horizontal dashed reference line."""

    key: str
    label: str
    token: str
    value: float


def dashed(lines: Iterable[Line], levels: Iterable[LevelLine]) -> set[str]:
    """Keys of what is drawn with dashes."""
    return {line.key for line in lines if line.dashed} | {level.key for level in levels}


@dataclass(frozen=True)
class MarkLine:
    """A vertical dotted line with words shown under the pointer."""

    x: float
    text: str
    token: str = "warning"


class CurveItems:
    """Raw curve, smoothed curve, band and dots of one key."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self.raw = pg.PlotCurveItem(connect="finite")
        self.main = pg.PlotCurveItem(connect="finite")
        self.band = QGraphicsPathItem()
        self.dots = pg.ScatterPlotItem(size=5, pxMode=True)
        self.band.setPen(QPen(Qt.PenStyle.NoPen))
        self._items = (self.band, self.raw, self.main, self.dots)
        for height, item in zip((-10, 1, 2, 3), self._items, strict=True):
            item.setZValue(height)
            plot.addItem(item, ignoreBounds=True)
        self._main, self._raw, self._low, self._high = Trace(), Trace(), Trace(), Trace()
        self._traces: list[Trace] = []
        self._smoothing = 0.0
        self._points: list[tuple[Floats, Floats]] = []

    def remove(self, plot: pg.PlotItem) -> None:
        """Take the items out of the plot for good."""
        for item in self._items:
            plot.removeItem(item)

    def hide(self) -> None:
        """Draw nothing until the next `draw`."""
        for item in self._items:
            item.setVisible(False)

    def take(self, line: Line, *, weight: float, log: bool) -> None:
        """Take a curve as it is now, to be smoothed by `weight` and drawn on a linear or logarithmic axis."""
        self._line = line
        whole = line.dashed or line.points or line.scattered or line.low is not None
        self._smoothing = 0.0 if whole else weight
        self._main.take(line.y, weight=self._smoothing, log=log)
        if self._smoothing > 0:
            self._raw.take(line.y, log=log)
        if line.low is not None and line.high is not None:
            self._low.take(line.low, log=log)
            self._high.take(line.high, log=log)
        self._traces = [self._main]
        self._traces += [self._raw] if self._smoothing > 0 else []
        self._traces += [self._low, self._high] if line.low is not None else []

    def digest(self, most: int) -> int:
        """Digest at most so many new values; how many it were."""
        done = 0
        for trace in self._traces:
            done += trace.digest(most - done)
        return done

    @property
    def left(self) -> int:
        """New values that are not digested and therefore not drawn yet."""
        return sum(trace.left for trace in self._traces)

    def reduce(
        self, columns: int, window: tuple[float, float], shared: SharedColumns
    ) -> tuple[float, float] | None:
        """Find the points to draw in so many pixels and this range of x; the range of their values."""
        x = self._line.x
        self._points = [trace.reduced(x, columns, window, shared) for trace in self._traces]
        seen = self._points if self._smoothing == 0 else self._points[1:2]
        return limits(*(y for _, y in seen))

    def draw(self, *, colour: str, ground: str, columns: int) -> None:
        """Draw what `reduce` found: one `setData`, one more for the faint raw curve under a smoothed one.

        Args:
            colour, ground: the curve's colour and the one behind it, for opaque faint tones.
            columns: width of the plot in pixels.
        """
        line = self._line
        self.raw.setVisible(self._smoothing > 0)
        if self._smoothing > 0:
            self.raw.setPen(pg.mkPen(mix(colour, ground, FAINT), width=1))
            self.raw.setData(*self._points[1])
        style = Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine
        x, y = self._points[0]
        self.main.setVisible(not line.scattered)
        self.main.setPen(pg.mkPen(colour, width=1, style=style))
        self.main.setData(x, y)
        few = x.size == 1 or (line.points and x.size * DOT_EVERY_PX <= columns) or line.scattered
        self.dots.setVisible(few)
        if few:
            good = np.isfinite(y)
            self.dots.setData(x[good], y[good], pen=None, brush=pg.mkBrush(colour))
        self.band.setVisible(line.low is not None and not line.scattered)
        if line.low is not None and line.high is not None:
            low, high = self._points[1:3]
            self.band.setBrush(QBrush(QColor(mix(colour, ground, BAND))))
            self.band.setPath(_band_path(*low, *high))


def _band_path(low_x: Floats, low: Floats, high_x: Floats, high: Floats) -> QPainterPath:
    """The closed area between two curves; gaps in either are skipped."""
    up = np.isfinite(high)
    down = np.isfinite(low)
    outline = [QPointF(x, y) for x, y in zip(high_x[up].tolist(), high[up].tolist(), strict=True)]
    outline += [
        QPointF(x, y)
        for x, y in zip(low_x[down][::-1].tolist(), low[down][::-1].tolist(), strict=True)
    ]
    path = QPainterPath()
    if len(outline) > 2:
        path.addPolygon(QPolygonF(outline))
        path.closeSubpath()
    return path
