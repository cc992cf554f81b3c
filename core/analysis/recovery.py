"""How much of what was lost a recovery brought back, along the lineage of the checkpoints.

The recovered fraction is (recovered - degraded) / (base - degraded): 1 when the base's accuracy is back, above 1
when it is passed, below 0 when the recovery made things worse. It is undefined when nothing was lost and
when the three accuracies were not measured by the same protocol. Where the items are known it comes with an interval:
a fraction of a loss that may be none is anything at all.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from core.analysis.paired_bootstrap import CONFIDENCE, RESAMPLES, SEED, means, percentiles
from core.events import Role
from core.recipe.plan import Step


@dataclass(frozen=True)
class Accuracy:
    """The accuracy (0..1) of one task on one checkpoint, and the fingerprint of how it was measured."""

    value: float
    protocol: str


@dataclass(frozen=True)
class FractionInterval:
    """A recovered fraction (None: nothing was lost) and its interval.

    The bounds are infinite where the loss may be none; `clusters` is the number of groups drawn, 0 when single
    items were.
    """

    value: float | None
    low: float
    high: float
    clusters: int = 0

    @property
    def defined(self) -> bool:
        """The loss is certain enough for a fraction of it to have bounds."""
        return self.value is not None and bool(np.isfinite([self.low, self.high]).all())


@dataclass(frozen=True)
class Trio:
    """The ids of the three stages that a recovery is judged by."""

    base: str
    degraded: str
    recovered: str


def trio(steps: Sequence[Step], recovered: str) -> Trio | None:
    """What `recovered` is judged against, walking from each stage to the one whose checkpoint it read.

    The nearest ancestor with role degraded, and from there the nearest with role base or expert: after
    forgetting, the expert is what was lost. None when the lineage holds no such pair.
    """
    by_id = {step.id: step for step in steps}
    degraded = _ancestor(by_id, recovered, frozenset({"degraded"}))
    if degraded is None:
        return None
    base = _ancestor(by_id, degraded, frozenset({"base", "expert"}))
    return None if base is None else Trio(base, degraded, recovered)


def headline(kinds: Mapping[str, str]) -> str:
    """The recovered stage that a run is judged by where there is room for one: the last by SDFT, else the last.

    Others (SFT on the same demonstrations, say) are what it is compared with. "" when there is none.

    Args:
        kinds: recovered stage id -> stage kind, in the order of the plan.
    """
    by_sdft = [stage for stage, kind in kinds.items() if kind == "sdft"]
    return next(reversed(by_sdft or list(kinds)), "")


def _ancestor(by_id: Mapping[str, Step], start: str, roles: frozenset[Role]) -> str | None:
    source = by_id[start].source
    while source is not None:
        if by_id[source].role in roles:
            return source
        source = by_id[source].source
    return None


def fraction(
    base: Accuracy | None, degraded: Accuracy | None, recovered: Accuracy | None
) -> float | None:
    """(recovered - degraded) / (base - degraded); None when one is missing, nothing was lost, or protocols differ."""
    if base is None or degraded is None or recovered is None:
        return None
    if not base.protocol == degraded.protocol == recovered.protocol:
        return None
    lost = base.value - degraded.value
    return (recovered.value - degraded.value) / lost if lost > 0 else None


def fraction_interval(
    base: Sequence[bool],
    degraded: Sequence[bool],
    recovered: Sequence[bool],
    clusters: Sequence[Hashable] | None = None,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> FractionInterval:
    """The recovered fraction of one task with its paired bootstrap interval.

    The three models answer the same drawn items, so the interval is that of the ratio and not of three accuracies.
    A ratio whose denominator may be 0 has no bounded interval (Fieller 1954): a draw in which nothing was lost
    speaks against either bound, so the interval is a little too wide while such draws are rare, and infinite
    as soon as they are more than a tail holds. That is when the interval of the loss itself holds 0.

    Args:
        base: whether each item was right, of the undegraded model.
        degraded: the same items, of the degraded one.
        recovered: the same items, of the recovered one.
        clusters: the group of each item (tool, subject), or None.
        confidence: of the interval, 0..1.
        resamples: draws.
        seed: of the draws.

    Raises:
        ValueError: unequal numbers of items, or none.
    """
    if not len(base) == len(degraded) == len(recovered):
        raise ValueError("the three models must have answered the same items")
    first, second, third = (np.asarray(it, np.float64) for it in (base, degraded, recovered))
    pairs = np.stack([first - second, third - second], axis=1)
    drawn, groups = means(pairs, clusters, resamples=resamples, seed=seed)
    lost, regained = drawn[:, 0], drawn[:, 1]
    sure = lost > 0
    ratio = np.divide(regained, lost, out=np.zeros_like(lost), where=sure)
    low, _ = percentiles(np.where(sure, ratio, -np.inf), confidence)
    _, high = percentiles(np.where(sure, ratio, np.inf), confidence)
    if not np.isfinite([low, high]).all():
        low, high = -np.inf, np.inf
    loss, gain = pairs.mean(axis=0).tolist()
    return FractionInterval(gain / loss if loss > 0 else None, low, high, groups)


LEAST_LOSS = 0.05
"""Accuracy that a task must have lost to count in a mean: a fraction of less is noise."""


def mean_fraction(
    steps: Sequence[Step], accuracies: Mapping[str, Mapping[str, Accuracy]], recovered: str
) -> float | None:
    """The mean recovered fraction of one stage: over the tasks that lost more than 5 points, each capped at 1.

    The cap keeps a task that was taught anew from hiding one that stayed lost. None when nothing was lost.
    """
    judged = trio(steps, recovered)
    if judged is None:
        return None
    base, degraded, own = (
        accuracies.get(id_, {}) for id_ in (judged.base, judged.degraded, judged.recovered)
    )
    found = []
    for task, accuracy in own.items():
        regained = fraction(base.get(task), degraded.get(task), accuracy)
        if regained is not None and base[task].value - degraded[task].value > LEAST_LOSS:
            found.append(min(regained, 1.0))
    return fmean(found) if found else None


def recovered_fractions(
    steps: Sequence[Step], accuracies: Mapping[str, Mapping[str, Accuracy]]
) -> dict[str, dict[str, float | None]]:
    """The fraction of every recovered stage and task.

    Args:
        steps: the run's plan.
        accuracies: stage id -> task -> final accuracy of its checkpoint; what was not measured is absent.

    Returns:
        Stage id -> task -> fraction or None, for every recovered stage that has a degraded ancestor and every
        task measured on it.
    """
    result: dict[str, dict[str, float | None]] = {}
    for step in steps:
        judged = trio(steps, step.id) if step.role == "recovered" else None
        if judged is None:
            continue
        base, degraded, own = (
            accuracies.get(id_, {}) for id_ in (judged.base, judged.degraded, judged.recovered)
        )
        result[step.id] = {
            task: fraction(base.get(task), degraded.get(task), accuracy)
            for task, accuracy in own.items()
        }
    return result
