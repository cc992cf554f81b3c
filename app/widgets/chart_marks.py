"""What stands in a chart beside its curves: reference levels, and marks at a place with words on them.

Items are reused for as long as they are wanted: pyqtgraph leaks what is made anew.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt

from app.widgets.controls import colour_of
from app.widgets.curves import LevelLine, MarkLine
from app.widgets.theme import Theme

LEAST_LEVEL = 1e-12
"""Levels of zero and less have no place on a logarithmic axis; they are drawn here, far below."""
FLAG_PX = 9
BEHIND_CURVES = 0.8
"""The faintest curve stands at 1."""
REACH_PX = 6
"""A mark is met by the pointer this near to it."""


class References:
    """Draws levels and marks into one plot."""

    def __init__(self, theme: Theme, plot: pg.PlotItem) -> None:
        self._theme = theme
        self._plot = plot
        self.levels: list[LevelLine] = []
        self.marks: list[MarkLine] = []
        self._level_items: dict[str, pg.InfiniteLine] = {}
        self._mark_items: list[pg.InfiniteLine] = []

    def draw(self, *, visible: bool, log: bool, hidden: set[str]) -> None:
        """Bring the items in line with `levels` and `marks`."""
        self._draw_levels(visible, log, hidden)
        self._draw_marks(visible)

    def near(self, x: float, per_pixel: float) -> list[MarkLine]:
        """The marks that the pointer at `x` meets; `per_pixel` is the width of a pixel in x."""
        reach = REACH_PX * per_pixel
        return [mark for mark in self.marks if abs(mark.x - x) <= reach]

    def next_mark(self, x: float, forwards: bool) -> float | None:
        """The place of the mark after (or before) `x`; None where there is none."""
        places = sorted({mark.x for mark in self.marks if np.isfinite(mark.x)})
        if forwards:
            return next((place for place in places if place > x), None)
        return next((place for place in reversed(places) if place < x), None)

    def _draw_levels(self, visible: bool, log: bool, hidden: set[str]) -> None:
        wanted = {level.key: level for level in self.levels}
        for key in [key for key in self._level_items if key not in wanted]:
            self._plot.removeItem(self._level_items.pop(key))
        for key, level in wanted.items():
            if key not in self._level_items:
                made = pg.InfiniteLine(angle=0, movable=False)
                made.setZValue(BEHIND_CURVES)
                self._plot.addItem(made, ignoreBounds=True)
                self._level_items[key] = made
            line = self._level_items[key]
            colour = colour_of(self._theme, level.token)
            line.setPen(pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine))
            line.setValue(float(np.log10(max(level.value, LEAST_LEVEL))) if log else level.value)
            line.setVisible(visible and key not in hidden)

    def _draw_marks(self, visible: bool) -> None:
        while len(self._mark_items) > len(self.marks):
            self._plot.removeItem(self._mark_items.pop())
        while len(self._mark_items) < len(self.marks):
            made = pg.InfiniteLine(angle=90, movable=False)
            made.setZValue(BEHIND_CURVES)
            made.addMarker("v", position=1.0, size=FLAG_PX)
            self._plot.addItem(made, ignoreBounds=True)
            self._mark_items.append(made)
        for mark, item in zip(self.marks, self._mark_items, strict=True):
            colour = colour_of(self._theme, mark.token)
            known = bool(np.isfinite(mark.x))
            item.setPen(pg.mkPen(colour, width=1, style=Qt.PenStyle.DotLine))
            item.setValue(mark.x if known else 0.0)
            item.setVisible(visible and known)
