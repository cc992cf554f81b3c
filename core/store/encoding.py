"""How values that SQLite cannot hold as they are become columns: NaN, the infinities, and arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FINITE, NAN, PLUS_INFINITY, MINUS_INFINITY = 0, 1, 2, 3
DTYPE = "<f8"
"""Arrays are stored as little-endian float64, on every machine."""

_SPECIAL = {NAN: math.nan, PLUS_INFINITY: math.inf, MINUS_INFINITY: -math.inf}


def encode(value: float) -> tuple[float | None, int]:
    """The columns (value, flag) of a number; SQLite would turn NaN into NULL without a trace."""
    if math.isfinite(value):
        return value, FINITE
    if math.isnan(value):
        return None, NAN
    return None, PLUS_INFINITY if value > 0 else MINUS_INFINITY


def decode(value: float | None, flag: int) -> float:
    """The number behind the columns (value, flag)."""
    return _SPECIAL[flag] if value is None else value


def canonical(value: float) -> float:
    """The number as the database gives it back: one NaN of one sign, and no negative zero."""
    return math.nan if math.isnan(value) else value + 0.0


def nan_to_null(value: float) -> float | None:
    """For columns without a flag, in which NULL stands for NaN; infinities are stored as they are."""
    return None if math.isnan(value) else value


def null_to_nan(value: float | None) -> float:
    """The inverse of `nan_to_null`."""
    return math.nan if value is None else value


def to_blob(values: Sequence[float]) -> bytes:
    """One-dimensional numbers as bytes of `DTYPE`."""
    return np.asarray(values, dtype=DTYPE).tobytes()


def from_blob(blob: bytes) -> NDArray[np.float64]:
    """The array that `to_blob` wrote, read-only."""
    return np.frombuffer(blob, dtype=DTYPE)
