"""Intervals for accuracies. Arithmetic only; what may be compared is decided by protocols elsewhere."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson(correct: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion: (low, high), each in 0..1.

    Unlike the normal interval it is sound for a hundred items and near 0 and 1 (Wilson 1927; methods.md E).

    Raises:
        ValueError: no items, more correct ones than items, or a confidence outside (0, 1).
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} is no proportion")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / n
    shrink = 1 + z * z / n
    middle = (share + z * z / (2 * n)) / shrink
    half = z / shrink * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if correct == 0 else middle - half  # exactly, not to rounding
    high = 1.0 if correct == n else middle + half
    return low, high


def difference(
    correct: int, n: int, other_correct: int, other_n: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Newcombe's interval of the first proportion less the other (method 10 of Newcombe 1998), in -1..1.

    It takes the two for independent samples; for scores on the same items it is the cautious side.

    Raises:
        ValueError: as `wilson` does.
    """
    low, high = wilson(correct, n, confidence)
    other_low, other_high = wilson(other_correct, other_n, confidence)
    share, other = correct / n, other_correct / other_n
    below = sqrt((share - low) ** 2 + (other_high - other) ** 2)
    above = sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return share - other - below, share - other + above
