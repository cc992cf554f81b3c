"""Two evaluations item by item: what changed, how sure that is, and when they must not be subtracted at all.

The interval is Tango's where items stand for themselves; where they come in groups it is the bootstrap over
groups. The test of McNemar, the minimum detectable difference and the equivalence test take items as
independent; with groups, equivalence must hold by the bootstrap over groups too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Literal

import numpy as np

from core.analysis.paired_bootstrap import Interval, means, percentiles
from core.analysis.paired_proportions import (
    ALPHA,
    MARGIN,
    Equivalence,
    McNemar,
    detectable,
    detectable_mean,
    discordance,
    equivalence,
    mcnemar,
    paired_difference,
)
from core.analysis.protocols import differing
from core.analysis.recovery import FractionInterval, fraction_interval

Reason = Literal["protocol", "items", "nothing_scored"]


@dataclass(frozen=True)
class Evaluation:
    """The items of one task as one checkpoint answered them.

    Attributes:
        correct: item id -> whether the answer was right.
        protocol: fingerprint of how it was measured.
        parts: what the fingerprint is made of, by name; empty where not recorded.
        groups: item id -> tool or subject; an item without a group makes all of them stand for themselves.
    """

    correct: Mapping[str, bool]
    protocol: str
    parts: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """Why two evaluations are not subtracted.

    Attributes:
        reason: different protocols, different items, or nothing scored.
        differing: the protocol's parts that differ, name -> (before, after); empty where not recorded.
        only_before: items that only the first has.
        only_after: items that only the second has.
    """

    reason: Reason
    differing: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    only_before: int = 0
    only_after: int = 0


@dataclass(frozen=True)
class Comparison:
    """After less before on the same items. Shares (0..1), not per cent.

    Attributes:
        n: items.
        before: right before.
        after: right after.
        lost: right before and wrong after (b of McNemar's table).
        gained: wrong before and right after (c).
        delta: (gained - lost) / n with its 95 % interval.
        test: McNemar's.
        detectable: the least true difference that so many items show with a power of 0.8.
        equivalence: whether the accuracy was preserved.
    """

    n: int
    before: int
    after: int
    lost: int
    gained: int
    delta: Interval
    test: McNemar
    detectable: float
    equivalence: Equivalence

    @property
    def discordance(self) -> float:
        """The share of items on which the two differ, half an item added to each cell."""
        return discordance(self.lost, self.gained, self.n)

    @property
    def certain(self) -> bool:
        """The interval holds no zero and the difference is not below what the items can be trusted to show."""
        beyond = self.delta.low > 0 or self.delta.high < 0
        return beyond and abs(self.delta.value) >= self.detectable


@dataclass(frozen=True)
class Combined:
    """The mean difference over several tasks, in shares; their items are independent of each other."""

    delta: Interval
    detectable: float


def refused(before: Evaluation, after: Evaluation) -> Refusal | None:
    """Why the two must not be subtracted; None when they may."""
    if before.protocol != after.protocol:
        return Refusal("protocol", differing(before.parts, after.parts))
    if not before.correct and not after.correct:
        return Refusal("nothing_scored")
    only_before = len(before.correct.keys() - after.correct.keys())
    only_after = len(after.correct.keys() - before.correct.keys())
    if only_before or only_after:
        return Refusal("items", only_before=only_before, only_after=only_after)
    return None


def compare(
    before: Evaluation, after: Evaluation, *, margin: float = MARGIN
) -> Comparison | Refusal:
    """The difference after less before, with everything that says how far it may be trusted.

    Args:
        before: the first evaluation.
        after: the second; of the same items by the same protocol, or the answer is a refusal.
        margin: change (share, 0..1) within which the accuracy counts as preserved.
    """
    refusal = refused(before, after)
    if refusal is not None:
        return refusal
    items = list(before.correct)
    changes = np.array([float(after.correct[it]) - float(before.correct[it]) for it in items])
    n, lost, gained = len(items), int((changes < 0).sum()), int((changes > 0).sum())
    same = equivalence(lost, gained, n, margin)
    low, high = paired_difference(lost, gained, n)
    clusters = 0
    groups = groups_of(items, before, after)
    if groups is not None:
        drawn, clusters = means(changes.reshape(-1, 1), groups)
        if clusters:
            low, high = percentiles(drawn[:, 0], 1 - ALPHA)
            same = _by_groups(same, percentiles(drawn[:, 0], 1 - 2 * ALPHA), (low, high))
    return Comparison(
        n=n,
        before=sum(map(bool, before.correct.values())),
        after=sum(map(bool, after.correct.values())),
        lost=lost,
        gained=gained,
        delta=Interval((gained - lost) / n, low, high, clusters),
        test=mcnemar(lost, gained),
        detectable=detectable(n, discordance(lost, gained, n)),
        equivalence=same,
    )


def combined(comparisons: Sequence[Comparison]) -> Combined:
    """The mean over tasks, as the paper averages MMLU and Winogrande.

    The limits of the tasks are put together by their squares, each its own way (Zou & Donner 2008).

    Raises:
        ValueError: no task.
    """
    if not comparisons:
        raise ValueError("a mean needs at least one task")
    deltas = [it.delta for it in comparisons]
    count = len(deltas)
    mean = sum(it.value for it in deltas) / count
    below = sqrt(sum((it.value - it.low) ** 2 for it in deltas)) / count
    above = sqrt(sum((it.high - it.value) ** 2 for it in deltas)) / count
    reach = detectable_mean([(it.n, it.discordance) for it in comparisons])
    return Combined(Interval(mean, mean - below, mean + above), reach)


def recovered_fraction(
    base: Evaluation, degraded: Evaluation, recovered: Evaluation
) -> FractionInterval | None:
    """The recovered fraction with its interval; None where the three must not be subtracted."""
    if refused(base, degraded) is not None or refused(degraded, recovered) is not None:
        return None
    items = list(base.correct)
    first, second, third = (
        [it.correct[item] for item in items] for it in (base, degraded, recovered)
    )
    return fraction_interval(first, second, third, groups_of(items, base, degraded, recovered))


def groups_of(items: Sequence[str], *evaluations: Evaluation) -> list[str] | None:
    """The group of each item, from the first evaluation that knows all of them; None when none does."""
    for evaluation in evaluations:
        groups = [evaluation.groups.get(item, "") for item in items]
        if all(groups):
            return groups
    return None


def _by_groups(
    found: Equivalence, inner: tuple[float, float], outer: tuple[float, float]
) -> Equivalence:
    """The verdict when whole groups are drawn: what they leave open is open."""
    within = -found.margin < inner[0] and inner[1] < found.margin
    if found.verdict == "preserved" and within:
        return found
    beyond = outer[0] > 0 or outer[1] < 0
    return replace(found, verdict="changed" if beyond and not within else "unresolved")
