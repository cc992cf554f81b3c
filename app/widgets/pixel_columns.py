"""How the points of a curve fall into columns of pixels; the same for all curves over one array of x."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.widgets.decimate import Floats

Places = NDArray[np.intp]


@dataclass(frozen=True)
class PixelColumns:
    """Columns of points, each of whole blocks and the points in front of them and behind them.

    Attributes:
        starts, ends: (C,) the points of each column.
        dense: (C,) it holds a whole block.
        blocks, block_cuts: the blocks of all dense columns, and where those of each begin among them.
        beside: (C,) it holds points outside whole blocks.
        points, point_cuts: those points, and where the two ranges of each such column begin among them.
    """

    starts: Places
    ends: Places
    dense: NDArray[np.bool_]
    blocks: Places
    block_cuts: Places
    beside: NDArray[np.bool_]
    points: Places
    point_cuts: Places


class SharedColumns:
    """Works the columns out once for curves that are drawn one after another over the same x."""

    def __init__(self) -> None:
        self._x: Floats = np.empty(0)  # held, so that its memory is nobody else's
        self._asked: tuple[object, ...] = ()
        self._known: PixelColumns | None = None

    def of(
        self, x: Floats, columns: int, first: int, last: int, block: int, whole: int
    ) -> PixelColumns:
        """The columns of the points from `first` to `last`; of blocks there are `whole`."""
        asked = (x.ctypes.data, x.strides, columns, first, last, block, whole)
        if self._known is None or asked != self._asked:
            self._x, self._asked = x, asked
            self._known = columns_of(x, columns, first, last, block, whole)
        return self._known


def columns_of(
    x: Floats, columns: int, first: int, last: int, block: int, whole: int
) -> PixelColumns:
    """See `SharedColumns.of`."""
    span = float(x[last - 1] - x[first])
    borders = x[first] + span * np.arange(columns) / columns
    starts = different(first + np.searchsorted(x[first:last], borders, "left"))
    ends = np.append(starts[1:], last)
    since = -(-starts // block)
    until = np.minimum(ends // block, whole)
    dense = until > since
    froms = np.column_stack([starts, np.where(dense, until * block, ends)])
    tos = np.column_stack([np.where(dense, since * block, ends), ends])
    beside = (tos - froms).sum(axis=1) > 0
    points, point_cuts = ranges(froms[beside].ravel(), tos[beside].ravel())
    blocks, block_cuts = ranges(since[dense], until[dense])
    return PixelColumns(starts, ends, dense, blocks, block_cuts, beside, points, point_cuts)


def different(places: Places) -> Places:
    """Ascending places without repetition."""
    kept: Places = places[np.append(True, places[1:] != places[:-1])]
    return kept


def ranges(starts: Places, ends: Places) -> tuple[Places, Places]:
    """The indices of all ranges one after another, and where each range begins among them."""
    sizes = ends - starts
    cuts = np.cumsum(sizes) - sizes
    return np.repeat(starts - cuts, sizes) + np.arange(int(sizes.sum())), cuts
