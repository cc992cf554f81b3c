"""Spearman's rank correlation with its permutation p-value: all permutations where there are few points.

The p-value takes points as exchangeable. Checkpoints of one run are not quite: then it is too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import sqrt

import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 8
"""Points up to which all permutations are tried: 8! = 40,320."""
DRAWS = 100_000
"""Random permutations beyond that; a p of 0.05 is then known to 0.0007."""
SEED = 0
_CHUNK = 10_000


@dataclass(frozen=True)
class RankCorrelation:
    """rho in -1..1 and its two-sided p; `exact`, or from random permutations with that standard error."""

    rho: float
    p: float
    exact: bool
    error: float = 0.0


def spearman(x: Sequence[float], y: Sequence[float], seed: int = SEED) -> RankCorrelation | None:
    """Spearman's rho: the correlation of the ranks, equal values sharing their mean rank.

    p is the share of permutations whose rho is at least as far from 0. Random ones count the one observed
    with them, (hits + 1) / (draws + 1), so that p is never 0 (Phipson & Smyth 2010).

    Returns:
        None when all x or all y are equal, or there are fewer than two points.

    Raises:
        ValueError: unequal lengths or a value that is no finite number.
    """
    if len(x) != len(y) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("ranks need as many finite x as y")
    first, second = _centred_ranks(x), _centred_ranks(y)
    if len(x) < 2 or not first.any() or not second.any():
        return None
    seen = int(first @ second)
    rho = seen / sqrt(int(first @ first) * int(second @ second))
    if len(x) <= MOST_EXACT:
        orders = np.array(list(permutations(range(len(x)))))
        hits = int((np.abs(second[orders] @ first) >= abs(seen)).sum())
        return RankCorrelation(rho, hits / len(orders), exact=True)
    hits = 0
    random = np.random.default_rng(seed)
    for _ in range(DRAWS // _CHUNK):
        shuffled = random.permuted(np.tile(second, (_CHUNK, 1)), axis=1)
        hits += int((np.abs(shuffled @ first) >= abs(seen)).sum())
    p = (hits + 1) / (DRAWS + 1)
    return RankCorrelation(rho, p, exact=False, error=sqrt(p * (1 - p) / DRAWS))


def _centred_ranks(values: Sequence[float]) -> NDArray[np.int64]:
    """Twice the ranks less their mean: whole numbers, so that ties between permutations are exact."""
    array = np.asarray(values, np.float64)
    below = (array[:, None] > array[None, :]).sum(axis=1)
    above = (array[:, None] < array[None, :]).sum(axis=1)
    return np.asarray(below - above, np.int64)
