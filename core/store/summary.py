"""What the run list knows of a series without reading its points: count, last, range, and a thinned curve."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from core.store.encoding import decode, encode, from_blob, to_blob

SPARKLINE_KEY = "loss"
"""The series whose thinned curve is kept."""
SPARKLINE_POINTS = 64
"""Most values a sparkline is drawn from."""


@dataclass
class SeriesSummary:
    """A running summary of the values of one series, given in the order of their steps.

    The state depends only on the sequence of points, not on how it came in batches. The thinned curve
    keeps the values whose position is a multiple of `stride`; the stride doubles when they get too many.
    """

    n: int = 0
    last_step: int | None = None
    last_value: float = math.nan
    vmin: float | None = None
    vmax: float | None = None
    stride: int = 1
    thin: list[float] = field(default_factory=list)

    def add(self, step: int, value: float, *, thinned: bool) -> None:
        """Take in the next point; `step` must be greater than the last one."""
        if math.isfinite(value):
            self.vmin = value if self.vmin is None else min(self.vmin, value)
            self.vmax = value if self.vmax is None else max(self.vmax, value)
        if thinned and self.n % self.stride == 0:
            self.thin.append(value)
            if len(self.thin) == SPARKLINE_POINTS:
                self.thin = self.thin[::2]
                self.stride *= 2
        self.n += 1
        self.last_step = step
        self.last_value = value

    def columns(self) -> tuple[object, ...]:
        """The values of `COLUMNS`."""
        blob = to_blob(self.thin) if self.thin else None
        last = encode(self.last_value) if self.n else (None, 0)
        return (self.n, self.last_step, *last, self.vmin, self.vmax, self.stride, blob)


COLUMNS = ("n", "last_step", "last_value", "last_flag", "vmin", "vmax", "stride", "thin")
"""Columns of the table `series` that hold a summary, in the order of `SeriesSummary.columns`."""


def from_columns(
    n: int,
    last_step: int | None,
    last_value: float | None,
    last_flag: int,
    vmin: float | None,
    vmax: float | None,
    stride: int,
    thin: bytes | None,
) -> SeriesSummary:
    """The summary behind a row's `COLUMNS`."""
    kept = from_blob(thin).tolist() if thin else []
    last = decode(last_value, last_flag) if n else math.nan
    return SeriesSummary(n, last_step, last, vmin, vmax, stride, kept)


def sparkline(thin: bytes, last: float, *, newest_kept: bool) -> tuple[float, ...]:
    """At most `SPARKLINE_POINTS` values, evenly spread over the series, then its newest value."""
    values: list[float] = from_blob(thin).tolist()
    return tuple(values) if newest_kept else (*values, last)
