"""Two scores on the same items: test, interval, what the design can resolve, and whether nothing changed.

Every item was answered by both models, so only the discordant items speak: `lost` were right before and wrong
after, `gained` the other way round. Differences are after less before, shares in -1..1 (not per cent).
Arithmetic only; whether two scores may be compared at all is decided in `comparison`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

ALPHA = 0.05
"""Chance of a false alarm, two-sided: 95 % intervals."""
POWER = 0.8
"""Chance of seeing a difference as large as the minimum detectable one; methods.md 0.5."""
MARGIN = 0.015
"""A change within 1.5 points counts as preserved; methods.md E."""
_HALVINGS = 80  # of an interval no longer than 2: ends below the rounding of a float
_NORMAL = NormalDist()

Verdict = Literal["preserved", "changed", "unresolved"]


@dataclass(frozen=True)
class McNemar:
    """The exact test of McNemar: two-sided p, and mid-p, which is less cautious and still keeps its level."""

    p: float
    mid_p: float


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests of a change within a margin.

    Attributes:
        p: the larger of the two one-sided p-values.
        margin: within which a change counts as none.
        verdict: preserved when p < alpha; changed when the difference is certain (its two-sided interval at
            alpha holds no zero) and it is not preserved; else unresolved: the items are too few to tell.
    """

    p: float
    margin: float
    verdict: Verdict


def mcnemar(lost: int, gained: int) -> McNemar:
    """Whether gains and losses are equally likely, given the number of discordant items.

    With m = lost + gained and X ~ Binomial(m, 1/2), p is the chance of counts at least as unequal, and mid-p
    leaves out half the chance of counts exactly as unequal (Fagerland, Lydersen & Laake 2013). Integers
    throughout: exact for any number of items. Without a discordant item both are 1.

    Raises:
        ValueError: a negative count.
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"counts are not negative: {lost}, {gained}")
    pairs, fewer = lost + gained, min(lost, gained)
    if not pairs:
        return McNemar(1.0, 1.0)
    ways = below = 1  # of choosing `fewer` of the pairs; of choosing at most so many
    for count in range(fewer):
        ways = ways * (pairs - count) // (count + 1)
        below += ways
    whole = 2**pairs
    if lost == gained:
        return McNemar(1.0, (2 * whole - ways) / (2 * whole))
    return McNemar(2 * below / whole, (2 * below - ways) / whole)


def paired_difference(
    lost: int, gained: int, n: int, confidence: float = 1 - ALPHA
) -> tuple[float, float]:
    """Tango's score interval of the difference of two proportions on the same items (Tango 1998).

    All differences that his score test does not reject. It holds its level at a hundred items, is not empty
    when no item is discordant, and agrees with the equivalence test below, which is the same score.

    Raises:
        ValueError: the counts do not fit n, n is 0, or the confidence lies outside (0, 1).
    """
    _check(lost, gained, n)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")
    z = _NORMAL.inv_cdf((1 + confidence) / 2)
    seen = (gained - lost) / n
    low = _crossing(lambda it: score(lost, gained, n, it) <= z, seen, -1.0)
    high = _crossing(lambda it: score(lost, gained, n, it) >= -z, seen, 1.0)
    return low, high


def score(lost: int, gained: int, n: int, difference: float) -> float:
    """Tango's score statistic of the hypothesis that the true difference is `difference` (-1..1).

    (gained - lost - n d) / sqrt(n (2 q + d (1 - d))), where q is the likeliest share of lost items under the
    hypothesis: the larger root of 2n q^2 + ((2n - gained + lost) d - lost - gained) q - lost d (1 - d) = 0
    (Tango 1998). About standard normal; it falls as the hypothesis rises, and is infinite where that cannot be.
    """
    first = 2 * n
    second = -gained - lost + (2 * n - gained + lost) * difference
    third = -lost * difference * (1 - difference)
    root = sqrt(max(0.0, second * second - 4 * first * third))
    share = (root - second) / (2 * first)
    variance = n * (2 * share + difference * (1 - difference))
    distance = gained - lost - n * difference
    if variance <= 0:
        return 0.0 if distance == 0 else float("inf") if distance > 0 else float("-inf")
    return distance / sqrt(variance)


def equivalence(
    lost: int, gained: int, n: int, margin: float = MARGIN, alpha: float = ALPHA
) -> Equivalence:
    """Whether the accuracy was preserved: two one-sided tests of a change of `margin` or more.

    Schuirmann's (1987) procedure with Tango's (1998) score, which was made for it. Not significantly different
    is no proof of equality; this is: p < alpha exactly when the interval of confidence 1 - 2 alpha lies within
    the margin.

    Args:
        lost: items right before and wrong after.
        gained: items wrong before and right after.
        n: all items.
        margin: share (0..1) within which a change counts as none.
        alpha: level of each of the two tests.

    Raises:
        ValueError: the counts do not fit n, or the margin lies outside (0, 1).
    """
    _check(lost, gained, n)
    if not 0 < margin < 1:
        raise ValueError(f"the margin must lie between 0 and 1, not {margin}")
    above = 1 - _NORMAL.cdf(score(lost, gained, n, -margin))
    below = _NORMAL.cdf(score(lost, gained, n, margin))
    p = max(above, below)
    if p < alpha:
        return Equivalence(p, margin, "preserved")
    low, high = paired_difference(lost, gained, n, 1 - alpha)
    return Equivalence(p, margin, "changed" if low > 0 or high < 0 else "unresolved")


def standard_error(n: int, discordance: float) -> float:
    """Of the difference of two paired proportions when neither is better: sqrt(discordance / n)."""
    if n < 1 or not 0 <= discordance <= 1:
        raise ValueError(f"{n} items with a discordance of {discordance} are no design")
    return sqrt(discordance / n)


def detectable(n: int, discordance: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """The least true difference that n paired items show with the given power: (z_alpha/2 + z_power) SE.

    `discordance` is the share of items on which the two models differ. The variance is that under no
    difference, the cautious side (Miettinen 1968; Miller 2024); methods.md 0.5 uses the same.

    Raises:
        ValueError: no such design.
    """
    return _reach(alpha, power) * standard_error(n, discordance)


def detectable_mean(designs: Sequence[tuple[int, float]]) -> float:
    """The least detectable difference of a mean over tasks with their own items: (n, discordance) of each.

    The tasks' errors are independent, so their squares add up: sqrt(sum SE^2) / tasks.
    """
    total = sum(standard_error(n, discordance) ** 2 for n, discordance in designs)
    return _reach(ALPHA, POWER) * sqrt(total) / len(designs)


def discordance(lost: int, gained: int, n: int) -> float:
    """The share of discordant items for planning: (lost + gained + 1) / (n + 2), so that it is never 0.

    Half an item is added to each of the four cells (Agresti & Min 2005): no discordant item among few does
    not mean that the smallest difference would be seen.
    """
    _check(lost, gained, n)
    return (lost + gained + 1) / (n + 2)


def _reach(alpha: float, power: float) -> float:
    return _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)


def _crossing(within: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where `within` ends between a value for which it holds and one beyond, by halving."""
    if within(outside):
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if within(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _check(lost: int, gained: int, n: int) -> None:
    if n < 1 or lost < 0 or gained < 0 or lost + gained > n:
        raise ValueError(f"{lost} lost and {gained} gained do not fit {n} items")
