"""Line charts on pyqtgraph: curves with bands, reference levels, marks, legend and crosshair.

Importing this module costs about 1.5 s (pyqtgraph): pages that use it are made after the first paint.
Every curve is decimated to the plot's pixels before it is drawn, with width-1 cosmetic opaque pens (a
2-pixel pen costs ten times as much), and items are reused, never made anew for new data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, QTimer
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QVBoxLayout

from app.widgets.controls import colour_of
from app.widgets.curves import CurveItems, LevelLine, Line, MarkLine
from app.widgets.decimate import Floats, limits, thinned
from app.widgets.legend import Legend
from app.widgets.plot_words import PlotPanel, PlotWords, with_source
from app.widgets.theme import Theme
from app.widgets.trace import log10

REDRAW_MS = 100
FRAME_MS = 16
"""A person who drags the curves sees them redrawn at this pace."""
DIGESTED = 1_000_000
"""Points that one drawing takes in at most, some 3 ms; longer curves appear over several."""
AXIS_PX = 10
TOP_PX = 16
AXIS_WIDTH = 38
MARGIN = 0.06
PX_PER_NAME = 44


class _WholeAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis that counts: steps and layers have no halves."""

    def tickSpacing(self, minimum: float, maximum: float, size: float) -> list[tuple[float, float]]:
        """Distances of the ticks by level, none under 1."""
        found = super().tickSpacing(minimum, maximum, size)
        return [level for level in found if level[0] >= 1] or [(1.0, 0.0)]


class LineChart(PlotPanel):
    """A chart that is fed whole curves and redraws at most every 100 ms while it is visible."""

    def __init__(self, theme: Theme, name: str, *, x_label: str = "step", empty: str = "") -> None:
        super().__init__()
        self._theme = theme
        self._name = name
        self._x_label = x_label
        self._curves: dict[str, CurveItems] = {}
        self._lines: list[Line] = []
        self._levels: list[LevelLine] = []
        self._level_items: dict[str, pg.InfiniteLine] = {}
        self._marks: list[MarkLine] = []
        self._mark_items: list[pg.InfiniteLine] = []
        self._hidden: set[str] = set()
        self._weight = 0.0
        self._log = False
        self._fixed: tuple[float, float] | None = None
        self._names: tuple[str, ...] = ()
        self._follow = True
        self._dirty = True
        self._ranging = False
        self.draws = 0

        self.plot = pg.PlotWidget(background=None, axisItems={"bottom": _WholeAxis("bottom")})
        self.plot.setAccessibleName(name)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setMinimumSize(120, 80)
        self.plot.setFrameShape(QFrame.Shape.NoFrame)
        item = self.plot.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        item.setContentsMargins(0, TOP_PX, 6, 0)
        item.getViewBox().disableAutoRange()
        item.getViewBox().setMouseEnabled(x=True, y=False)
        item.getViewBox().sigRangeChangedManually.connect(self._zoomed)
        item.getViewBox().sigXRangeChanged.connect(self._touch)
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickLength=0, tickTextOffset=4, hideOverlappingLabels=True)
        item.getAxis("left").setStyle(maxTickLevel=0)
        item.getAxis("left").setWidth(AXIS_WIDTH)
        item.getAxis("bottom").setHeight(18)
        self._item = item
        self._cross = pg.InfiniteLine(angle=90, movable=False)
        self._cross.setZValue(20)
        self._cross.hide()
        item.addItem(self._cross, ignoreBounds=True)
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
        self._levels = list(levels)
        self._touch()

    def set_marks(self, marks: Iterable[MarkLine]) -> None:
        """Show these vertical marks."""
        self._marks = list(marks)
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
        self._item.getAxis("bottom").setStyle(hideOverlappingLabels=not names)
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

    def redraw(self) -> None:
        """Draw all there is now, whatever the timer says."""
        self._draw()
        while any(self._curves[line.key].left for line in self._lines):
            self._draw()
        self._timer.stop()

    def _touch(self) -> None:
        if self._ranging:
            return
        self._dirty = True
        if self.isVisible() and not self._timer.isActive():
            self._timer.start(REDRAW_MS)

    def _draw_if_visible(self) -> None:
        if self.isVisible():
            self._draw()

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
            self.reset_view()
            return True
        if event.type() == QEvent.Type.Leave:
            self._cross.hide()
            self.readout.hide()
        return False

    def _zoomed(self, *_: object) -> None:
        self._follow = False
        self._soon()

    def _draw(self) -> None:
        self._dirty = False
        self.draws += 1
        entries = [(line.key, line.label, line.token) for line in self._lines if line.label]
        entries += [(level.key, level.label, level.token) for level in self._levels if level.label]
        self.legend.set_entries(entries)
        shown = [line for line in self._lines if line.key not in self._hidden and line.x.size]
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
        self._draw_levels(bool(shown))
        self._draw_marks(bool(shown))

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
        xs = limits(*(line.x[[0, -1]] for line in shown))
        self._ranging = True
        if xs is not None and self._follow:
            low, high = xs[0], max(xs[1], self._span)
            pad = 0.5 if high == low else 0.0
            box.setXRange(low - pad, high + pad, padding=0.015)
        self._set_y(shown)
        most = int(box.width()) // PX_PER_NAME
        ticks = [thinned(self._names, most)] if self._names else None
        self._item.getAxis("bottom").setTicks(ticks)
        self._ranging = False

    def _set_y(self, shown: Sequence[Line]) -> None:
        box = self._item.getViewBox()
        first, last = box.viewRange()[0]
        found = [self._curves[it.key].reduce(self._columns, (first, last)) for it in shown]
        if self._fixed is not None:
            box.setYRange(*self._fixed, padding=0)
            return
        levels = np.array([level.value for level in self._levels], dtype=np.float64)
        ends = [np.array(it) for it in found if it is not None]
        ys = limits(*ends, log10(levels) if self._log else levels)
        if ys is not None:
            low, high = ys
            pad = (high - low) * MARGIN or abs(high) * MARGIN or 0.5
            box.setYRange(low - pad, high + pad, padding=0)

    def _draw_levels(self, visible: bool) -> None:
        wanted = {level.key: level for level in self._levels}
        for key in [key for key in self._level_items if key not in wanted]:
            self._item.removeItem(self._level_items.pop(key))
        for key, level in wanted.items():
            if key not in self._level_items:
                made = pg.InfiniteLine(angle=0, movable=False)
                self._item.addItem(made, ignoreBounds=True)
                self._level_items[key] = made
            line = self._level_items[key]
            colour = colour_of(self._theme, level.token)
            line.setPen(pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine))
            line.setValue(float(np.log10(max(level.value, 1e-12))) if self._log else level.value)
            line.setVisible(visible and key not in self._hidden)

    def _draw_marks(self, visible: bool) -> None:
        while len(self._mark_items) > len(self._marks):
            self._item.removeItem(self._mark_items.pop())
        while len(self._mark_items) < len(self._marks):
            made = pg.InfiniteLine(angle=90, movable=False)
            self._item.addItem(made, ignoreBounds=True)
            self._mark_items.append(made)
        for mark, item in zip(self._marks, self._mark_items, strict=True):
            colour = colour_of(self._theme, mark.token)
            item.setPen(pg.mkPen(colour, width=1, style=Qt.PenStyle.DotLine))
            item.setValue(mark.x)
            item.setVisible(visible)

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
        self._cross.setPen(pg.mkPen(tokens.third, width=1, style=Qt.PenStyle.DotLine))
        self._words.recolour()
        self._touch()

    def _hover(self, place: QPointF) -> None:
        shown = [line for line in self._lines if line.key not in self._hidden and line.x.size]
        box = self._item.getViewBox()
        if not shown or not box.sceneBoundingRect().contains(place):
            self._cross.hide()
            self.readout.hide()
            return
        at = float(box.mapSceneToView(place).x())
        nearest = min((_nearest(line.x, at) for line in shown), key=lambda x: abs(x - at))
        self._cross.setValue(nearest)
        self._cross.show()
        texts = [f"{self._x_label} {self._x_text(nearest)}"]
        for line in shown:
            place_in = int(np.searchsorted(line.x, nearest))
            if place_in < line.x.size and line.x[place_in] == nearest:
                texts.append(f"{line.label or self._name} {line.y[place_in]:.4g}")
        texts += [mark.text for mark in self._marks if mark.x == nearest]
        self._words.tell(
            with_source("\n".join(texts), self._source),
            left=AXIS_WIDTH + 6,
            right=10,
            at_right=place.x() < self.plot.width() / 2,
        )

    def _x_text(self, x: float) -> str:
        return self._names[int(x)] if 0 <= x < len(self._names) else f"{x:g}"


def _nearest(x: Floats, at: float) -> float:
    place = int(np.clip(np.searchsorted(x, at), 1, max(x.size - 1, 1)))
    around = x[max(place - 1, 0) : place + 1]
    return float(around[np.argmin(np.abs(around - at))])
