"""Line charts on pyqtgraph: curves with bands, reference levels, marks, legend and crosshair.

Importing this module costs about 1.5 s (pyqtgraph): pages that use it are made after the first paint.
Every curve is decimated to the plot's pixels before it is drawn, with width-1 cosmetic opaque pens (a
2-pixel pen costs ten times as much), and items are reused, never made anew for new data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import (
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
)
from PySide6.QtWidgets import QFrame, QVBoxLayout

from app.widgets.chart_copy import lines_as_tsv
from app.widgets.chart_hands import AXIS_WIDTH, HandledPanel, Range
from app.widgets.chart_marks import References
from app.widgets.controls import colour_of
from app.widgets.crosshair import Crosshair
from app.widgets.curves import CurveItems, LevelLine, Line, MarkLine, dashed
from app.widgets.decimate import Floats, inner, limits, thinned, window_of
from app.widgets.legend import Legend
from app.widgets.pixel_columns import SharedColumns
from app.widgets.place_axis import COUNT, PlaceAxis, ValueAxis, place
from app.widgets.plot_words import PlotWords
from app.widgets.theme import Theme
from app.widgets.trace import log10

REDRAW_MS = 100
FRAME_MS = 16
"""A person who drags the curves sees them redrawn at this pace."""
DIGESTED = 1_000_000
"""Points that one drawing takes in at most, some 3 ms; longer curves appear over several."""
AXIS_PX = 10
TOP_PX = 16
BEHIND_CURVES = -200
"""Pyqtgraph stands the box of the curves at -100 and its axes before it."""
RIGHT_PX = 14
"""Half the last label of the horizontal axis."""
MARGIN = 0.06
PX_PER_NAME = 44


class LineChart(HandledPanel):
    """A chart that is fed whole curves and redraws at most every 100 ms while it is visible."""

    def __init__(self, theme: Theme, name: str, *, x_label: str = "step", empty: str = "") -> None:
        super().__init__()
        self._theme = theme
        self._name = name
        self._x_label = x_label
        self._curves: dict[str, CurveItems] = {}
        self._lines: list[Line] = []
        self._hidden: set[str] = set()
        self._weight = 0.0
        self._log = False
        self._clip = False
        self.extent: Callable[[], Range | None] = self.x_limits
        self._fixed: Range | None = None
        self._names: tuple[str, ...] = ()
        self._follow = True
        self._dirty = True
        self._ranging = False
        self._ticks: list[list[tuple[float, str]]] | None = None
        self.draws = 0

        axes = {"bottom": PlaceAxis("bottom"), "left": ValueAxis("left")}
        self.plot = pg.PlotWidget(background=None, enableMenu=False, axisItems=axes)
        self.plot.setAccessibleName(name)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(name)
        self.plot.setMinimumSize(120, 80)
        self.plot.setFrameShape(QFrame.Shape.NoFrame)
        item = self.plot.getPlotItem()
        item.hideButtons()
        item.setContentsMargins(0, TOP_PX, RIGHT_PX, 0)
        item.getViewBox().disableAutoRange()
        item.getViewBox().setMouseEnabled(x=True, y=False)
        item.getViewBox().sigRangeChangedManually.connect(self._zoomed)
        item.getViewBox().sigXRangeChanged.connect(self._touch)
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickLength=0, tickTextOffset=4, hideOverlappingLabels=side == "left")
        item.getAxis("left").setZValue(BEHIND_CURVES)  # it draws the grid
        item.getAxis("left").setStyle(maxTickLevel=0)
        item.getAxis("left").setWidth(AXIS_WIDTH)
        item.getAxis("bottom").setHeight(18)
        self._item = item
        self.cross = Crosshair(item)
        self.references = References(theme, item)
        self.plot.scene().sigMouseMoved.connect(self._hover)
        self.plot.viewport().installEventFilter(self)

        self._words = PlotWords(theme, self.plot, empty)
        self._span = 0.0

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.plot, 1)
        self.legend = Legend(theme)
        self.legend.toggled.connect(lambda key, on: self.hide_line(key, not on))
        column.addWidget(self.legend)

        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._draw_if_visible)
        theme.changed.connect(self._recolour)
        self._recolour()

    def set_lines(self, lines: Iterable[Line]) -> None:
        """Show these curves instead of the ones before; keys that stay keep their items."""
        self._lines = list(lines)
        self._touch()

    def set_levels(self, levels: Iterable[LevelLine]) -> None:
        """Show these reference levels."""
        self.references.levels = list(levels)
        self._touch()

    def set_marks(self, marks: Iterable[MarkLine]) -> None:
        """Show these vertical marks."""
        self.references.marks = list(marks)
        self._touch()

    def set_smoothing(self, weight: float) -> None:
        """Draw the smoothed curve over the faint raw one; 0 draws the raw one only."""
        self._weight = weight
        self._touch()

    def set_y_range(self, low: float, high: float) -> None:
        """Fix the y axis; by default it follows the data."""
        self._fixed = (low, high)
        self._touch()

    def set_log(self, on: bool) -> None:
        """Logarithmic y axis; values of zero and less become gaps."""
        self._log = on
        self._item.getAxis("left").setLogMode(on)
        self._touch()

    def set_names(self, names: Sequence[str]) -> None:
        """Names on the x axis instead of numbers: x counts them from 0 (layers)."""
        self._names = tuple(names)
        self._touch()

    def set_unit(self, text: str) -> None:
        """The unit of the values, above their axis."""
        self._words.set_unit(text)

    def set_span(self, last: float) -> None:
        """How far x will go (steps planned); the axis reaches there before the curves do."""
        if last != self._span:
            self._span = last
            self._touch()

    def hide_line(self, key: str, hidden: bool) -> None:
        """Toggle a curve, as its legend entry does."""
        if hidden:
            self._hidden.add(key)
        else:
            self._hidden.discard(key)
        self._touch()

    def reset_view(self) -> None:
        """Follow the data again after a zoom."""
        self._follow = True
        self._touch()

    def set_axis(self, label: str, kind: str = COUNT) -> None:
        """What stands on the x axis, and how its places are written: "count", "time" or "number"."""
        axis = self._item.getAxis("bottom")
        if (label, kind) != (self._x_label, axis.kind):
            self._x_label, axis.kind = label, kind
            axis.picture = None
            self._touch()

    def set_clip(self, on: bool) -> None:
        """Leave outliers out of the y axis: it spans from the 1st to the 99th percentile."""
        self._clip = on
        self._touch()

    @property
    def title(self) -> str:
        """What the chart is called."""
        return self._name

    def set_title(self, name: str) -> None:
        """Call it something else."""
        self._name = name
        self.setAccessibleName(name)
        self.plot.setAccessibleName(name)

    def x_limits(self) -> Range | None:
        """The range of x that the curves (and the planned end) take up; None without a curve."""
        xs = limits(*(line.x[[0, -1]] for line in self._shown()))
        return None if xs is None else (xs[0], max(xs[1], self._span))

    def axis_text(self) -> str:
        """What stands on the horizontal axis."""
        return "" if self._names else self._x_label

    def lines(self) -> tuple[Line, ...]:
        """The curves that are shown."""
        return tuple(self._shown())

    def legend_entries(self) -> list[tuple[str, str]]:
        """The curves and levels that are shown, with their colours."""
        entries = [(line.label, line.token) for line in self._shown() if line.label]
        levels = [it for it in self.references.levels if it.key not in self._hidden]
        entries += [(it.label, it.token) for it in levels if it.label]
        return [(text, colour_of(self._theme, token)) for text, token in entries]

    def as_tsv(self) -> str:
        """The curves that are shown, all their points."""
        return lines_as_tsv(self._shown(), self._x_label, self._name)

    def redraw(self) -> None:
        """Draw all there is now, whatever the timer says."""
        self._draw()
        while any(self._curves[line.key].left for line in self._shown()):
            self._draw()
        self._timer.stop()

    def _touch(self) -> None:
        if self._ranging:
            return
        self._dirty = True
        if self.isVisible() and not self._timer.isActive():
            self._timer.start(REDRAW_MS)

    def _draw_if_visible(self) -> None:
        if self.isVisible() and not self.visibleRegion().isEmpty():
            self._draw()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A chart that was scrolled out of sight was not drawn; it catches up when it is seen again."""
        super().paintEvent(event)
        if self._dirty and not self._timer.isActive():
            self._timer.start()

    def showEvent(self, event: QShowEvent) -> None:
        """A hidden chart is not drawn; it catches up when it appears."""
        super().showEvent(event)
        if self._dirty:
            self._timer.start(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Decimate for the new width."""
        super().resizeEvent(event)
        self._words.fit()
        self._touch()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Double click follows the data again; leaving hides the crosshair."""
        if event.type() == QEvent.Type.MouseButtonDblClick:
            self.follow_again()
            return True
        if event.type() == QEvent.Type.Leave:
            self._cross_to(None)
        return False

    def _zoomed(self, *_: object) -> None:
        self._follow = False
        self.ranged.emit(*self.x_range)
        self._soon()

    def _draw(self) -> None:
        self._dirty = False
        self.draws += 1
        self.legend.set_dashed(dashed(self._lines, self.references.levels))
        entries = [(line.key, line.label, line.token) for line in self._lines if line.label]
        entries += [
            (level.key, level.label, level.token) for level in self.references.levels if level.label
        ]
        self.legend.set_entries(entries)
        self._hidden &= self.legend.keys  # what has no toggle could not be brought back
        shown = self._shown()
        self.empty.setVisible(not shown and bool(self.empty.text()))
        self._words.unit.setVisible(bool(shown))
        for axis in ("left", "bottom"):
            self._item.getAxis(axis).setVisible(bool(shown))
        wanted = {line.key for line in self._lines}
        for key in [key for key in self._curves if key not in wanted]:
            self._curves.pop(key).remove(self._item)
        visible = {line.key for line in shown}
        for line in self._lines:
            if line.key not in self._curves:
                self._curves[line.key] = CurveItems(self._item)
            if line.key not in visible:
                self._curves[line.key].hide()
        self._digest(shown)
        self._set_ranges(shown)
        for line in shown:
            self._curves[line.key].draw(
                colour=colour_of(self._theme, line.token),
                ground=self._theme.tokens.panel,
                columns=self._columns,
            )
        self.references.draw(visible=bool(shown), log=self._log, hidden=self._hidden)
        if self.cross.at is not None:
            self.cross.put(self.cross.at if shown else None)

    def _shown(self) -> list[Line]:
        return [line for line in self._lines if line.key not in self._hidden and line.x.size]

    @property
    def _columns(self) -> int:
        return max(int(self._item.getViewBox().width()), 1)

    def _digest(self, shown: Sequence[Line]) -> None:
        """Take in what is new of the curves, and come back soon for what was too much."""
        most = DIGESTED
        for line in shown:
            self._curves[line.key].take(line, weight=self._weight, log=self._log)
            most -= self._curves[line.key].digest(most)
        if any(self._curves[line.key].left for line in shown):
            self._soon()

    def _soon(self) -> None:
        self._dirty = True
        if not self._timer.isActive() or self._timer.remainingTime() > FRAME_MS:
            self._timer.start(FRAME_MS)

    def _set_ranges(self, shown: Sequence[Line]) -> None:
        box = self._item.getViewBox()
        xs = self.extent() if self._follow else None
        self._ranging = True
        if xs is not None and shown:
            low, high = xs
            pad = 0.5 if high == low else 0.0
            box.setXRange(low - pad, high + pad, padding=0.015)
        self._set_y(shown)
        most = int(box.width()) // PX_PER_NAME
        ticks = [thinned(self._names, most)] if self._names else None
        if ticks != self._ticks:  # setting them draws the axis anew
            self._ticks = ticks
            self._item.getAxis("bottom").setTicks(ticks)
        self._ranging = False

    def _set_y(self, shown: Sequence[Line]) -> None:
        box = self._item.getViewBox()
        first, last = box.viewRange()[0]
        shared = SharedColumns()
        found = [self._curves[it.key].reduce(self._columns, (first, last), shared) for it in shown]
        if self._fixed is not None:
            box.setYRange(*self._fixed, padding=0)
            return
        seen = [it.value for it in self.references.levels if it.key not in self._hidden]
        levels = np.array(seen, dtype=np.float64)
        if self._clip:
            parts = [part for line in shown for part in self._inliers(line, first, last)]
            ends = [log10(part) if self._log else part for part in parts]
        else:
            ends = [np.array(it) for it in found if it is not None]
        ys = limits(*ends, log10(levels) if self._log else levels)
        if ys is not None:
            low, high = ys
            pad = (high - low) * MARGIN or abs(high) * MARGIN or 0.5
            box.setYRange(low - pad, high + pad, padding=0)

    def _inliers(self, line: Line, first: float, last: float) -> list[Floats]:
        """Of what is seen of a curve and its band: the percentiles between which the axis spans."""
        inside = slice(*window_of(line.x, (first, last)))
        parts = [part[inside] for part in (line.y, line.low, line.high) if part is not None]
        return [inner(part) for part in parts]

    def _recolour(self) -> None:
        tokens = self._theme.tokens
        font = self._theme.font()
        font.setPixelSize(AXIS_PX)
        for side in ("left", "bottom"):
            axis = self._item.getAxis(side)
            axis.setPen(pg.mkPen(tokens.line, width=1))
            axis.setTextPen(pg.mkPen(tokens.third))
            axis.setStyle(tickFont=font)
        self._item.getAxis("left").setGrid(255)
        self.cross.recolour(tokens.third)
        self._words.recolour()
        self._touch()

    def _x_text(self, x: float) -> str:
        if self._names:
            return self._names[int(x)] if 0 <= x < len(self._names) else f"{x:g}"
        return place(self._item.getAxis("bottom").kind, x)
