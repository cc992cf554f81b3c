"""Accuracies one at a time: intervals, pass@k, and p-values of several tasks together.

Arithmetic only; what may be compared is decided by protocols elsewhere. Scores on the same items belong in
`paired_proportions`, which knows that they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
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


def pass_at_k(correct: int, n: int, k: int) -> float:
    """The chance that at least one of k answers is right, given `correct` of n sampled answers to one item.

    Unbiased: 1 - C(n - correct, k) / C(n, k), as the product of Chen et al. 2021 (HumanEval), which needs no
    large factorials. The pass@k of a task is the mean over its items.

    Raises:
        ValueError: more right than sampled, or k outside 1..n.
    """
    if not 0 <= correct <= n or not 1 <= k <= n:
        raise ValueError(f"no pass@{k} of {correct} right among {n}")
    if n - correct < k:
        return 1.0
    return 1.0 - prod(1.0 - k / count for count in range(n - correct + 1, n + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for being several, in the order given (Holm 1979).

    Step-down: the r-th smallest of m is multiplied by m - r + 1, and no adjusted value is below that of a
    smaller p. Calling what is below 0.05 a change is then wrong anywhere in at most 5 % of cases, however
    the tasks depend on each other.

    Raises:
        ValueError: a p-value outside 0..1.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values lie between 0 and 1: {list(p_values)}")
    adjusted = [0.0] * len(p_values)
    least = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted
