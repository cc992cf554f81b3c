"""The vertical line in a chart and what the curves are worth at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt

from app.widgets.curves import Line
from app.widgets.decimate import Floats


@dataclass(frozen=True)
class Reading:
    """The value of one curve at its point nearest to the line."""

    key: str
    label: str
    x: float
    value: float


class Crosshair:
    """The line; `at` is its place, None while it is away."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self._line = pg.InfiniteLine(angle=90, movable=False)
        self._line.setZValue(20)
        self._line.hide()
        plot.addItem(self._line, ignoreBounds=True)
        self.at: float | None = None

    def recolour(self, colour: str) -> None:
        """Take the theme's colour."""
        self._line.setPen(pg.mkPen(colour, width=1, style=Qt.PenStyle.DotLine))

    def put(self, x: float | None) -> None:
        """Stand at `x`, or go away."""
        self.at = x
        if x is not None:
            self._line.setValue(x)
        self._line.setVisible(x is not None)


def readings(lines: Sequence[Line], x: float) -> list[Reading]:
    """What each curve is worth at its point nearest to `x`; curves without points are left out."""
    found = []
    for line in lines:
        if not line.x.size:
            continue
        place = nearest(line.x, x)
        found.append(Reading(line.key, line.label, float(line.x[place]), float(line.y[place])))
    return found


def nearest(x: Floats, at: float) -> int:
    """Index of the element of ascending `x` nearest to `at`."""
    place = int(np.clip(np.searchsorted(x, at), 1, max(x.size - 1, 1)))
    first = max(place - 1, 0)
    return first + int(np.argmin(np.abs(x[first : place + 1] - at)))


def moved(lines: Sequence[Line], at: float | None, points: int) -> float | None:
    """The place `points` further along the points of all curves; from no place, the newest one."""
    places = [line.x for line in lines if line.x.size]
    if not places:
        return None
    if at is None:
        return max(float(x[-1]) for x in places)
    for _ in range(abs(points)):
        beside = [_beside(x, at, forwards=points > 0) for x in places]
        known = [x for x in beside if x is not None]
        if not known:
            break
        at = min(known) if points > 0 else max(known)
    return at


def _beside(x: Floats, at: float, *, forwards: bool) -> float | None:
    place = int(np.searchsorted(x, at, "right" if forwards else "left")) - (not forwards)
    return float(x[place]) if 0 <= place < x.size else None
