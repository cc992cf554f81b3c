"""Debiased CKA of pooled rows that come from items (tokens of sequences), and how far other items would move it.

Tokens of one item are no independent samples, so the standard error is a jackknife that leaves out whole items,
up to `LARGEST_GROUPS` groups of them (delete-m_j jackknife of Busing, Meijer and van der Leeden 1999, for groups
of unequal size). Deleting, unlike a bootstrap, makes no row appear twice (methods.md B2).

All leave-one-out values of a layer come from its two Gram matrices at once: with HSIC1 written by sums over rows
(Song et al. 2012, eq. 5), leaving out a group subtracts its rows and columns from each sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.analysis.cka import VANISHED
from core.analysis.preprocessing import SMALLEST_N, Floats, center

LARGEST_GROUPS = 50
"""Groups that are left out in turn; more say little more, and cost a column each."""


@dataclass(frozen=True)
class PooledCka:
    """CKA of two networks on pooled rows.

    Attributes:
        value: mean over the layers that have one; NaN where none has.
        standard_error: of `value`, over items; NaN where it is undefined.
        rows: compared.
        items: they come from.
    """

    value: float
    standard_error: float
    rows: int
    items: int


def pooled_cka(
    a: Sequence[NDArray[Any]], b: Sequence[NDArray[Any]], items: NDArray[Any] | Sequence[int]
) -> PooledCka:
    """Compare layer by layer, layers being (n, d) and (n, d') with the same rows.

    Args:
        a: layers of one network.
        b: the same layers of the other.
        items: from which item each of the n rows comes.

    Raises:
        ValueError: no layers, another number of them in the other network, or fewer than four rows.
    """
    if not a or len(a) != len(b):
        raise ValueError(f"cannot compare {len(a)} layers with {len(b)}")
    names, item_of = np.unique(np.asarray(items), return_inverse=True)
    count = min(len(names), LARGEST_GROUPS)
    group = item_of * count // len(names)
    # One column a group, and one that leaves out nothing.
    left_out = np.concatenate([np.eye(count), np.zeros((count, 1))], axis=1)[
        group
    ]  # (n, groups + 1)
    values = np.stack([_values(x, y, left_out) for x, y in zip(a, b, strict=True)])
    defined = values[~np.isnan(values[:, -1])]
    if not len(defined):
        return PooledCka(float("nan"), float("nan"), len(group), len(names))
    *without, whole = defined.mean(axis=0).tolist()
    error = _standard_error(whole, np.array(without), np.bincount(group, minlength=count))
    return PooledCka(whole, error, len(group), len(names))


def _values(x: NDArray[Any], y: NDArray[Any], left_out: Floats) -> Floats:
    """The CKA of one layer without the rows of each column; NaN where undefined."""
    first, second = _gram(x), _gram(y)
    both = _hsic(first, second, left_out)
    of_first, of_second = _hsic(first, first, left_out), _hsic(second, second, left_out)
    tiny = VANISHED["float64"]
    known = (of_first > tiny * np.square(first).sum()) & (
        of_second > tiny * np.square(second).sum()
    )
    product = np.where(known, of_first * of_second, np.nan)
    found: Floats = both / np.sqrt(product)
    return found


def _gram(features: NDArray[Any]) -> Floats:
    """The Gram matrix (n, n) of the centred features, with a zero diagonal."""
    centred = center(np.asarray(features, dtype=np.float64))
    largest = np.abs(centred).max(initial=0.0)
    scaled = centred / largest if largest > 0.0 else centred
    gram: Floats = scaled @ scaled.T
    np.fill_diagonal(gram, 0.0)
    return gram


def _hsic(gram: Floats, other: Floats, left_out: Floats) -> Floats:
    """n (n - 3) HSIC1 of the rows that each column leaves: (columns,); NaN for fewer than four."""
    n = gram.shape[0] - left_out.sum(axis=0)
    product = gram * other
    trace = _remaining(product.sum(axis=1), product @ left_out, left_out)
    of_gram, of_other = (
        gram @ left_out,
        other @ left_out,
    )  # (n, columns): what the group adds to each row's sum
    rows, other_rows = gram.sum(axis=1), other.sum(axis=1)
    totals = _remaining(rows, of_gram, left_out) * _remaining(other_rows, of_other, left_out)
    remaining = (rows[:, None] - of_gram) * (other_rows[:, None] - of_other) * (1 - left_out)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = trace + totals / ((n - 1) * (n - 2)) - 2 / (n - 2) * remaining.sum(axis=0)
    return np.where(n >= SMALLEST_N, found, np.nan)


def _remaining(rows: Floats, of_group: Floats, left_out: Floats) -> Floats:
    """The sum over a symmetric matrix without the group's rows and columns, from its row sums."""
    found: Floats = rows.sum() - 2 * (rows @ left_out) + (left_out * of_group).sum(axis=0)
    return found


def _standard_error(whole: float, without: Floats, sizes: NDArray[np.integer[Any]]) -> float:
    """Of a value, from those that leave out groups of these sizes; NaN for fewer than two groups."""
    if len(without) < 2:
        return float("nan")
    n = sizes.sum()
    h = n / sizes
    mean = len(without) * whole - float(((1 - sizes / n) * without).sum())
    pseudo = h * whole - (h - 1) * without
    return float(np.sqrt(np.mean(np.square(pseudo - mean) / (h - 1))))
