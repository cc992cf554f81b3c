"""Curves that grow: numpy buffers with room to spare, so that a point costs the same at any length."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable

import numpy as np

from app.viewmodels import words
from app.viewmodels.types import Floats, Series

MOST = 1e30
"""Values beyond it, of a run that diverges, count as infinite: an axis that reaches further cannot be drawn."""
_FIRST_CAPACITY = 64
_OWN_PAGES = 65_536
"""Bytes from which a buffer is mapped instead of allocated."""


class Curve:
    """Points in ascending order of x, with `width` values each.

    A point at or before the last x replaces it and everything after: a resumed run repeats the steps after
    its last checkpoint, and a curve must not run backwards.
    """

    def __init__(self, width: int = 1) -> None:
        self._x = np.empty(_FIRST_CAPACITY)
        self._values = np.empty((_FIRST_CAPACITY, width))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, x: float, *values: float) -> None:
        """Append a point, first dropping those at or after `x`."""
        if self._count and x <= self._x[self._count - 1]:
            self._count = int(np.searchsorted(self._x[: self._count], x, side="left"))
            self._x, self._values = self._x.copy(), self._values.copy()  # views handed out stay
        if self._count == len(self._x):
            self._x, self._values = _doubled(self._x), _doubled(self._values)
        self._x[self._count] = x
        self._values[self._count] = values
        self._count += 1

    @property
    def x(self) -> Floats:
        """The positions so far, (n,); a read-only view that later points do not change."""
        return _frozen(self._x[: self._count])

    def y(self, column: int = 0) -> Floats:
        """One column of values, (n,); a read-only view."""
        return _frozen(self._values[: self._count, column])

    def matrix(self) -> Floats:
        """All values, (n, width); a read-only view."""
        return _frozen(self._values[: self._count])

    @property
    def first(self) -> float:
        """The oldest finite value of the first column; NaN without one."""
        return _first_finite(self._values[: self._count, 0])

    @property
    def last(self) -> float:
        """The newest finite value of the first column; NaN without one."""
        return _first_finite(self._values[: self._count, 0][::-1])


class Curves:
    """All scalar series of a run by key and stage, in the order of their first appearance."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[str, Curve]] = {}

    def add(self, stage: str, step: int, values: dict[str, float]) -> None:
        """The values of one step of one stage."""
        for name, value in values.items():
            stages = self._by_key.setdefault(words.metric_key(name), {})
            curve = stages.get(stage)
            if curve is None:
                curve = stages[stage] = Curve()
            curve.add(step, value if -MOST < value < MOST else _infinite(value))

    def keys(self) -> tuple[str, ...]:
        """Keys with at least one point, those people look at first in front."""
        return tuple(sorted(self._by_key, key=words.metric_rank))

    def get(self, key: str, stage: str) -> Curve | None:
        """One curve, or None."""
        return self._by_key.get(key, {}).get(stage)

    def series(self, key: str, roles: dict[str, str]) -> tuple[Series, ...]:
        """The curves of `key`, one a stage, ready to be painted."""
        title, unit = words.metric(key)
        return tuple(
            Series(
                stage,
                key,
                title,
                unit,
                roles.get(stage, ""),
                curve.x,
                curve.y(),
                sparse=key in words.SPARSE,
            )
            for stage, curve in self._by_key.get(key, {}).items()
        )


def _infinite(value: float) -> float:
    return value if math.isnan(value) else math.copysign(math.inf, value)


def _doubled(values: Floats) -> Floats:
    """A copy with as much room again, which takes no memory until it is written.

    Long ones are pages of their own: those of the buffer before go back to the system at once, where the
    allocator would keep them, as many again as all points take.
    """
    shape = (2 * len(values), *values.shape[1:])
    size = math.prod(shape) * values.itemsize
    if size < _OWN_PAGES:
        wider = np.empty(shape)
    else:
        wider = np.frombuffer(mmap.mmap(-1, size), np.float64).reshape(shape)
    wider[: len(values)] = values
    return wider


def _frozen(view: Floats) -> Floats:
    view.flags.writeable = False
    return view


def _first_finite(values: Iterable[float]) -> float:
    return next((float(value) for value in values if math.isfinite(value)), math.nan)
