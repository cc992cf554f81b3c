"""The horizontal axis of a chart: whole steps and tokens, durations, or plain numbers."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg

COUNT, TIME, NUMBER = "count", "time", "number"
THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e4, "k"))
"""From ten thousand on, ticks are told in thousands: "12k", "1.2M"."""
SECONDS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14400,
    21600,
    43200,
    86400,
)
MOST_TICKS = 6
LEAST_PX = 18
"""Between two values of the vertical axis."""


class PlaceAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis whose `kind` says how its places are written; what counts has no halves."""

    kind = COUNT

    def tickSpacing(self, minimum: float, maximum: float, size: float) -> list[tuple[float, float]]:
        """Distances of the ticks by level."""
        if self.kind == TIME:
            span = abs(maximum - minimum)
            fitting = [step for step in SECONDS if span / step <= MOST_TICKS]
            return [(float(fitting[0] if fitting else SECONDS[-1]), 0.0)]
        found = super().tickSpacing(minimum, maximum, size)
        if self.kind != COUNT:
            return list(found)
        return [level for level in found if level[0] >= 1] or [(1.0, 0.0)]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """The words at the ticks."""
        if self.kind == TIME:
            return [duration(value) for value in values]
        if self.kind == COUNT:
            return [count(value) for value in values]
        return list(super().tickStrings(values, scale, spacing))


class ValueAxis(pg.AxisItem):  # type: ignore[misc]
    """A vertical axis whose labels never touch, however low the plot is."""

    def tickSpacing(self, minimum: float, maximum: float, size: float) -> list[tuple[float, float]]:
        """Distances of the ticks by level; those too near each other in pixels are left out."""
        found = list(super().tickSpacing(minimum, maximum, size))
        per_value = size / (abs(maximum - minimum) or 1.0)
        wide = [level for level in found if level[0] * per_value >= LEAST_PX]
        if wide or not found:
            return wide
        spacing = found[0][0]
        while spacing * per_value < LEAST_PX:
            spacing *= 2
        return [(spacing, 0.0)]


def place(kind: str, value: float) -> str:
    """A place on the axis, exactly."""
    if kind == TIME:
        return duration(value)
    return f"{value:,.0f}" if kind == COUNT else f"{value:.4g}"


def count(value: float) -> str:
    """A count in few characters."""
    for size, letter in THOUSANDS:
        if abs(value) >= size:
            unit = size if letter != "k" else 1e3
            return f"{value / unit:.4g}{letter}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """Seconds as "40 s", "2 m 5 s" or "1 h 10 m"."""
    whole = round(seconds)
    if abs(whole) < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} m {rest} s" if rest else f"{minutes} m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if minutes else f"{hours} h"
