"""A difference of two accuracies in words: how wide its interval is, and what so many items can show at all.

A difference below what the items can show is never presented as sure, whatever its sign.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.viewmodels import words
from app.viewmodels.protocol_words import DIFFERENT, with_parts
from app.viewmodels.recovered import Counted
from core.analysis.comparison import Comparison, Refusal
from core.analysis.paired_proportions import detectable
from core.analysis.statistics import difference

_LEAST_SHOWN = 0.001


@dataclass(frozen=True)
class Gain:
    """A difference: whether it may be called sure, and what it rests on."""

    certain: bool
    note: str


def of_items(found: Comparison) -> Gain:
    """Both checkpoints answered the same items, and it is known which."""
    drawn = f", {found.delta.clusters} groups of items" if found.delta.clusters else ""
    note = (
        f"Paired 95 % interval {interval(found.delta.low, found.delta.high)}{drawn}: {found.lost} of "
        f"{found.n:,} items lost, {found.gained} gained, McNemar mid-p {p_value(found.test.mid_p)}. "
        f"{_reach(found.detectable)}"
    )
    return Gain(found.certain, note)


def of_counts(before: Counted, after: Counted) -> Gain:
    """Only the counts are known: taken for independent samples, which is the cautious side."""
    low, high = difference(after.correct, after.n, before.correct, before.n)
    shares = before.correct / before.n, after.correct / after.n
    apart = shares[0] * (1 - shares[1]) + shares[1] * (1 - shares[0])  # of independent answers
    reach = detectable(min(before.n, after.n), apart)
    certain = (low > 0 or high < 0) and abs(shares[1] - shares[0]) >= reach
    note = (
        f"95 % interval {interval(low, high)}, as if the two had answered different items: wider than the "
        f"paired one. {_reach(reach)}"
    )
    return Gain(certain, note)


def interval(low: float, high: float) -> str:
    """Two shares as points, each with its sign and one decimal."""
    return f"{words.signed(100 * low)} to {words.signed(100 * high)}"


def p_value(p: float) -> str:
    """A p-value in two significant digits."""
    return "< 0.001" if p < _LEAST_SHOWN else f"{p:.2g}"


def refusal(found: Refusal) -> str:
    """Why two evaluations are not subtracted."""
    if found.reason == "protocol":
        return with_parts(DIFFERENT, found.differing)
    if found.reason == "items":
        return (
            f"not comparable: {found.only_before:,} items only in the first, {found.only_after:,} only in the "
            "second"
        )
    return "nothing was scored"


def _reach(share: float) -> str:
    return f"So many items show differences from {100 * share:.1f} points on (power 0.8)."
