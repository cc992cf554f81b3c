"""One array of values that grows, ready to be drawn at any zoom: its pyramid, and its smoothed form.

Arrays come whole, again and again, and are told apart from what came before by what they hold: the values
that are known already are not read again. An array that was handed over must not be changed afterwards.
"""

from __future__ import annotations

import numpy as np

from app.widgets.decimate import Floats, Smoother, decimate, window_of
from app.widgets.pixel_columns import SharedColumns
from app.widgets.pyramid import LEAST, Growing, Pyramid


class Trace:
    """The values of one curve.

    Attributes:
        left: how many values wait to be digested.
    """

    def __init__(self) -> None:
        self._y: Floats = np.empty(0)
        self._weight, self._log = 0.0, False
        self._start_anew()

    def _start_anew(self) -> None:
        self._pyramid = Pyramid(positive=self._log)
        self._smoother = Smoother(self._weight)
        self._smoothed = Growing()

    def take(self, y: Floats, *, weight: float = 0.0, log: bool = False) -> None:
        """Take the values as they are now: the ones before and more, or others.

        Args:
            y: the values.
            weight: of the smoothing; 0 for none.
            log: they will be drawn as log10, zero and less as gaps.
        """
        if (weight, log) != (self._weight, self._log):
            self._weight, self._log = weight, log
            self._start_anew()
        elif y is not self._y:
            known = _same(self._y[: self._pyramid.count], y)
            if known < self._pyramid.count and weight > 0:
                self._start_anew()  # what smooths has seen values that are gone
            else:
                self._pyramid.cut(known)
        self._y = y

    @property
    def left(self) -> int:
        """Values that wait to be digested; short arrays need not."""
        return 0 if self._y.size < LEAST else self._y.size - self._pyramid.count

    def digest(self, most: int) -> int:
        """Digest at most so many values; how many it were."""
        count = min(self.left, most)
        if count <= 0:
            return 0
        start = self._pyramid.count
        values = self._y
        if self._weight > 0:
            self._smoothed.extend(self._smoother.extend(values[start : start + count]))
            values = self._smoothed.view
        self._pyramid.extend(values, start + count)
        return count

    def reduced(
        self,
        x: Floats,
        columns: int,
        window: tuple[float, float],
        shared: SharedColumns | None = None,
    ) -> tuple[Floats, Floats]:
        """The points to draw in so many columns of pixels, of those that are digested; see `Pyramid.pick`."""
        if self._y.size < LEAST:
            y = Smoother(self._weight).extend(self._y) if self._weight > 0 else self._y
            return decimate(x, log10(y) if self._log else y, columns, window)
        count = self._pyramid.count
        x = x[:count]
        y = self._smoothed.view if self._weight > 0 else self._y[:count]
        first, last = window_of(x, window)
        picked = self._pyramid.pick(x, y, max(columns, 1), first, last, shared)
        if picked is None:
            x, y = x[first:last], y[first:last]
            return decimate(x, log10(y) if self._log else y, columns)
        values = log10(y[picked]) if self._log else y[picked]
        return x[picked], np.where(np.isfinite(values), values, np.nan)


def log10(y: Floats) -> Floats:
    """log10 with NaN where it does not exist."""
    return np.log10(y, where=y > 0, out=np.full_like(y, np.nan))


def _same(known: Floats, y: Floats) -> int:
    """How many values at the beginning of both are the same, bit by bit."""
    count = min(known.size, y.size)
    if count == 0:
        return 0
    if known.ctypes.data == y.ctypes.data and known.strides == y.strides:
        return count
    if known[0] != y[0] or not (known.flags.c_contiguous and y.flags.c_contiguous):
        return 0
    differ = known[:count].view(np.int64) != y[:count].view(np.int64)
    first = int(differ.argmax())
    return first if differ[first] else count
