"""Arithmetic on curves before they are drawn: min-max decimation, smoothing, ranges. No Qt, no pyqtgraph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POINTS_PER_COLUMN = 4
CLIPPED = (1.0, 99.0)
"""Percentiles between which an axis spans when outliers are clipped."""
CLIP_LEAST = 20
"""Fewer points than these have no outliers."""
CLIP_SAMPLE = 20_000
_LARGEST_POWER = 200.0  # e**200 is far inside float64


def decimate(
    x: Floats, y: Floats, columns: int, window: tuple[float, float] | None = None
) -> tuple[Floats, Floats]:
    """At most four points per pixel column: its first, lowest, highest and last, in their order.

    Every spike survives, which largest-triangle decimation does not promise. NaN in `y` is a gap and a
    column that holds one keeps it.

    Args:
        x: (n,) ascending.
        y: (n,), may hold NaN and infinities (drawn as gaps).
        columns: width of the plot in pixels.
        window: the visible range of x; points outside are dropped but for one neighbour on each side,
            so that lines run on to the border.

    Returns:
        Two arrays of equal length, `x` ascending; the input itself where it is short enough.
    """
    if window is not None and x.size:
        first, last = window_of(x, window)
        x, y = x[first:last], y[first:last]
    columns = max(columns, 1)
    if x.size <= POINTS_PER_COLUMN * columns:
        return x, np.where(np.isfinite(y), y, np.nan)
    span = float(x[-1] - x[0])
    if span <= 0:
        edges = np.linspace(0, x.size, columns + 1).astype(np.intp)[:-1]
    else:
        edges = np.searchsorted(x, x[0] + span * np.arange(columns) / columns, "left")
    starts = np.unique(edges)
    ends = np.append(starts[1:], x.size)
    good = np.isfinite(y)
    low = arg_extremes(np.where(good, y, np.inf), starts)
    high = arg_extremes(np.where(good, -y, np.inf), starts)
    chosen = [starts, low, high, ends - 1]
    if not good.all():
        gap = np.minimum.reduceat(np.where(good, x.size, np.arange(x.size)), starts)
        chosen.append(gap[gap < x.size])
    picked = np.sort(np.concatenate(chosen))
    picked = picked[np.append(True, picked[1:] != picked[:-1])]
    values = y[picked]
    return x[picked], np.where(np.isfinite(values), values, np.nan)


def window_of(x: Floats, window: tuple[float, float]) -> tuple[int, int]:
    """The points of ascending `x` within the window and one neighbour on each side: from, until."""
    first = max(int(np.searchsorted(x, window[0], "left")) - 1, 0)
    return first, min(int(np.searchsorted(x, window[1], "right")) + 1, x.size)


def arg_extremes(values: Floats, starts: NDArray[np.intp]) -> NDArray[np.intp]:
    """Index of the lowest value of each segment (its first occurrence); a segment ends where the next starts."""
    sizes = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=sizes[:-1])
    sizes[-1:] = values.size - starts[-1:]
    hits = np.flatnonzero(values == np.repeat(np.minimum.reduceat(values, starts), sizes))
    return hits[np.searchsorted(hits, starts)]


class Smoother:
    """Exponential moving average with bias correction over values that come in portions.

    `weight` 0 is the raw curve, below 1 the limit. NaN stays NaN where it is and does not spread.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._total = 0.0
        self._share = 1.0  # weight ** (finite values so far)

    def extend(self, y: Floats) -> Floats:
        """The smoothed values of the next portion."""
        weight = self._weight
        if weight <= 0 or y.size == 0:
            return y
        good = np.isfinite(y)
        values = y[good]
        result = np.full_like(y, np.nan)
        # total_k = w**k (total_0 + (1 - w) sum_j w**-j y_j): a running sum per block, blocks short enough
        # for w**-j to stay within the range of floats.
        block = min(max(int(_LARGEST_POWER / -np.log(weight)), 1), max(values.size, 1))
        decay = weight ** np.arange(1, block + 1)
        rising = (1 - weight) / decay
        smoothed = np.empty_like(values)
        for start in range(0, values.size, block):
            part = values[start : start + block]
            sums = np.cumsum(part * rising[: part.size])
            totals = decay[: part.size] * (self._total + sums)
            smoothed[start : start + block] = totals / (1 - self._share * decay[: part.size])
            self._total = float(totals[-1])
            self._share *= float(decay[part.size - 1])
        result[good] = smoothed
        return result


def smooth(y: Floats, weight: float) -> Floats:
    """A whole curve smoothed; see `Smoother`."""
    return Smoother(weight).extend(y)


def limits(*curves: Floats) -> tuple[float, float] | None:
    """The finite range of several arrays; None when nothing is finite."""
    ends = [
        (float(finite.min()), float(finite.max()))
        for curve in curves
        if (finite := curve[np.isfinite(curve)]).size
    ]
    if not ends:
        return None
    return min(low for low, _ in ends), max(high for _, high in ends)


def inner(values: Floats) -> Floats:
    """The ends of all values but the outliers; too few have none."""
    if values.size < CLIP_LEAST:
        return values
    sample = values[:: max(values.size // CLIP_SAMPLE, 1)]
    finite = sample[np.isfinite(sample)]
    return np.percentile(finite, CLIPPED) if finite.size else finite


def thinned(names: Sequence[str], most: int, offset: float = 0.0) -> list[tuple[float, str]]:
    """At most `most` evenly spread names with their places on an axis; the first and last are kept."""
    count = min(len(names), max(most, 2))
    places = np.unique(np.linspace(0, len(names) - 1, count).round().astype(int)).tolist()
    return [(place + offset, names[place]) for place in places]
