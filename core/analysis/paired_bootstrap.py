"""The paired bootstrap: what a mean, or a ratio of means, could have been on other items of the same kind.

Items are drawn with replacement and all models answer the same draw, so what makes an item hard for all of them
cancels. Where items come in groups (a tool, a subject) whole groups are drawn: their items are no
independent evidence. Intervals are of the percentile kind: for a mean of differences the corrections of BCa are
below what 10,000 draws resolve, and it breaks down where nearly all items agree.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 10_000
"""Draws; methods.md E."""
SEED = 0
"""Of the draws: the same scores have the same interval."""
CONFIDENCE = 0.95
FEWEST_CLUSTERS = 5
"""With fewer groups the draws of whole groups are too few to say anything: C(9, 5) = 126 for five; inferred."""
_CHUNK = 2_000_000  # weights that exist at once


@dataclass(frozen=True)
class Interval:
    """An estimate with its bounds; `clusters` is the number of groups drawn, 0 when single items were."""

    value: float
    low: float
    high: float
    clusters: int = 0


def mean_interval(
    values: Sequence[float] | Floats,
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Interval:
    """The mean of one value an item (differences after less before, say) with its bootstrap interval.

    Args:
        values: (n,) one finite number an item.
        clusters: the group of each item; None, or fewer than `FEWEST_CLUSTERS` groups, draws single items.
        confidence: of the interval, 0..1.
        resamples: draws.
        seed: of the draws.

    Raises:
        ValueError: no items, a value that is no number, or a group missing.
    """
    table = np.asarray(values, np.float64).reshape(-1, 1)
    drawn, groups = means(table, clusters, resamples=resamples, seed=seed)
    low, high = percentiles(drawn[:, 0], confidence)
    return Interval(float(table.mean()), low, high, groups)


def means(
    values: Floats,
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[Floats, int]:
    """The means of several values over the same draws: (resamples, columns), and the number of groups drawn.

    Args:
        values: (n, columns), one row an item.
        clusters: the group of each item, or None.
        resamples: draws.
        seed: of the draws.

    Raises:
        ValueError: as `mean_interval`.
    """
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError("the bootstrap needs items, each with finite values")
    units, groups = _units(values, clusters)
    # Units that are alike are drawn together: a multinomial count of each kind, exact and fast.
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    parts = []
    for weights in _weights(counts, resamples, np.random.default_rng(seed)):
        sums = weights @ kinds
        parts.append(sums[:, :-1] / sums[:, -1:])
    return np.concatenate(parts), groups


def percentiles(drawn: Floats, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The bounds between which the middle `confidence` of the draws lies, rounded outwards; infinities may occur."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    tail = (1 - confidence) / 2
    low = np.quantile(drawn, tail, method="lower")
    high = np.quantile(drawn, 1 - tail, method="higher")
    return float(low), float(high)


def _units(values: Floats, clusters: Sequence[Hashable] | None) -> tuple[Floats, int]:
    """What is drawn: rows of sums over a unit's items, then how many items it has; and the number of groups."""
    ones = np.ones((len(values), 1))
    items = np.hstack([values, ones])
    if clusters is None:
        return items, 0
    if len(clusters) != len(values):
        raise ValueError(f"{len(clusters)} groups for {len(values)} items")
    number = {group: place for place, group in enumerate(dict.fromkeys(clusters))}
    if len(number) < FEWEST_CLUSTERS:
        return items, 0
    sums = np.zeros((len(number), items.shape[1]))
    np.add.at(sums, [number[group] for group in clusters], items)
    return sums, len(number)


def _weights(
    counts: NDArray[np.int64], resamples: int, random: np.random.Generator
) -> Iterator[Floats]:
    """How often each kind of unit is drawn, (some resamples, kinds) at a time."""
    units = int(counts.sum())
    rows = max(1, _CHUNK // len(counts))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        yield random.multinomial(units, counts / units, size=size).astype(np.float64)
