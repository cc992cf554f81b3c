"""The extremes of an array that grows, kept by blocks of 8, 32, 128 … values, so that any part of a curve of a
million points is reduced to its pixels without reading its points. No Qt, no pyqtgraph.

An array is digested in portions, a bounded number of points at a time: what is not digested yet is not drawn
yet, and no frame waits for it. Departure from `decimate`: of a column that holds whole blocks only the lowest
and the highest point are drawn, not the first and the last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.widgets.decimate import Floats, arg_extremes
from app.widgets.pixel_columns import Places, SharedColumns, different

BLOCK = 8
"""Values in a block of the finest level."""
FAN = 4
"""Blocks in a block of the next level."""
BLOCKS_PER_COLUMN = 16
"""With more of them there are more blocks to look at, with fewer more points beside them."""
LEAST = 32_768
"""Shorter arrays are reduced from their points: that takes half a millisecond and needs no memory."""
_FIRST_CAPACITY = 1024


class Growing:
    """An array that is appended to in amortised constant time a value, and cut at its end."""

    def __init__(self) -> None:
        self._values = np.empty(_FIRST_CAPACITY)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def extend(self, values: Floats) -> None:
        """Append."""
        needed = self._count + values.size
        if needed > self._values.size:
            wider = np.empty(max(2 * self._values.size, needed))
            wider[: self._count] = self._values[: self._count]
            self._values = wider
        self._values[self._count : needed] = values
        self._count = needed

    def cut(self, count: int) -> None:
        """Forget all values from `count` on; views handed out keep theirs."""
        if count < self._count:
            self._count = count
            self._values = self._values.copy()

    @property
    def view(self) -> Floats:
        """The values so far; later ones do not change it."""
        return self._values[: self._count]


class Pyramid:
    """Levels of lowest and highest values over the first `count` values of an array.

    Args:
        positive: values of zero and less are gaps, as on a logarithmic axis.
    """

    def __init__(self, *, positive: bool = False) -> None:
        self.count = 0
        self._positive = positive
        self._low: list[Growing] = []
        self._high: list[Growing] = []
        self._gaps = Growing()  # places, as floats

    def extend(self, y: Floats, to: int) -> None:
        """Digest the values from `count` on up to `to`."""
        good = self._good(y[self.count : to])
        if not good.all():
            self._gaps.extend((np.flatnonzero(~good) + self.count).astype(np.float64))
        first, last = self.count // BLOCK, to // BLOCK
        part = y[first * BLOCK : last * BLOCK]
        if part.size:
            good = self._good(part)
            whole = bool(good.all())
            self._add(
                0,
                _fold(part if whole else np.where(good, part, np.inf), BLOCK, np.minimum),
                _fold(part if whole else np.where(good, part, -np.inf), BLOCK, np.maximum),
            )
        self.count = to

    def cut(self, count: int) -> None:
        """Forget what is known of the values from `count` on."""
        if count >= self.count:
            return
        self.count = count
        blocks = count // BLOCK
        for low, high in zip(self._low, self._high, strict=True):
            low.cut(blocks)
            high.cut(blocks)
            blocks //= FAN
        self._gaps.cut(int(np.searchsorted(self._gaps.view, count)))

    def pick(
        self,
        x: Floats,
        y: Floats,
        columns: int,
        first: int,
        last: int,
        shared: SharedColumns | None = None,
    ) -> Places | None:
        """Which of the points from `first` to `last` to draw, in their order; `last` is digested.

        Args:
            x, y: (n,) all points.
            columns: of pixels.
            first, last: the points that are seen.
            shared: spares the work that other curves over the same x have done.

        Returns:
            None where the points are so few that `decimate` does it better.
        """
        level = self._level((last - first) // (BLOCKS_PER_COLUMN * columns))
        span = float(x[last - 1] - x[first]) if last > first else 0.0
        if level < 0 or span <= 0:
            return None
        block = BLOCK * FAN**level
        found_columns = (shared or SharedColumns()).of(
            x, columns, first, last, block, len(self._low[level])
        )
        starts, ends, dense = found_columns.starts, found_columns.ends, found_columns.dense
        there, points = found_columns.beside, found_columns.points
        blocks, point_cuts = found_columns.blocks, found_columns.point_cuts
        beside_values = y.take(points)
        gaps = self._gaps_in(beside_values)
        chosen = [np.array([first, last - 1]), starts[~dense], ends[~dense] - 1]
        for sign, levels in ((1.0, self._low), (-1.0, self._high)):
            places = np.empty(starts.size, np.intp)
            values = np.full(starts.size, np.inf)
            if blocks.size:
                at = blocks[
                    arg_extremes(sign * levels[level].view.take(blocks), found_columns.block_cuts)
                ]
                places[dense], values[dense] = self._down(y, sign, levels[:level], at)
            if points.size:
                signed = sign * beside_values
                if gaps is not None:
                    signed[gaps] = np.inf
                found = arg_extremes(signed, point_cuts[::2])
                better = ~dense
                better[there] |= signed[found] < values[there]
                places[better] = points[found][better[there]]
            chosen.append(places)
        chosen.append(self._one_gap(starts, ends))
        return different(np.sort(np.concatenate(chosen)))

    def _level(self, most: int) -> int:
        """The highest level whose blocks hold at most `most` values; -1 for none."""
        level = -1
        while level + 1 < len(self._low) and BLOCK * FAN ** (level + 1) <= most:
            level += 1
        return level

    def _add(self, level: int, low: Floats, high: Floats) -> None:
        """Append blocks to a level, and to those above it the blocks that are now whole."""
        if level == len(self._low):
            self._low.append(Growing())
            self._high.append(Growing())
        self._low[level].extend(low)
        self._high[level].extend(high)
        known = len(self._low[level + 1]) if level + 1 < len(self._low) else 0
        whole = len(self._low[level]) // FAN
        if whole > known:
            part = slice(known * FAN, whole * FAN)
            self._add(
                level + 1,
                _fold(self._low[level].view[part], FAN, np.minimum),
                _fold(self._high[level].view[part], FAN, np.maximum),
            )

    def _down(
        self, y: Floats, sign: float, levels: list[Growing], at: Places
    ) -> tuple[Places, Floats]:
        """From blocks to the lowest (`sign` 1) or highest (-1) point of each: index, and value times `sign`."""
        for level in reversed(levels):
            children = sign * level.view.take(FAN * at[:, None] + np.arange(FAN))
            at = FAN * at + children.argmin(axis=1)
        values = y.take(BLOCK * at[:, None] + np.arange(BLOCK))
        gaps = self._gaps_in(values)
        values = sign * values
        if gaps is not None:
            values[gaps] = np.inf
        within = values.argmin(axis=1)
        return BLOCK * at + within, values[np.arange(at.size), within]

    def _one_gap(self, starts: Places, ends: Places) -> Places:
        """The first gap of each column that has one."""
        gaps = self._gaps.view
        if not gaps.size:
            return starts[:0]
        found = np.searchsorted(gaps, starts)
        there = found < gaps.size
        at = gaps[np.minimum(found, gaps.size - 1)]
        chosen: Places = at[there & (at < ends)].astype(np.intp)
        return chosen

    def _gaps_in(self, values: Floats) -> NDArray[np.bool_] | None:
        """Which of the values are gaps; None where the whole array has none."""
        return ~self._good(values) if len(self._gaps) else None

    def _good(self, values: Floats) -> NDArray[np.bool_]:
        good: NDArray[np.bool_] = np.isfinite(values)
        return good & (values > 0) if self._positive else good


def _fold(values: Floats, size: int, reduce: np.ufunc) -> Floats:
    """The extreme of each run of `size` values, a power of two; halving is faster than a short axis."""
    while size > 1:
        values = reduce(values[0::2], values[1::2])
        size //= 2
    return values
