"""How long the runs of a sweep take: each is reckoned for itself, unless there are too many different ones."""

from __future__ import annotations

from collections.abc import Sequence

from app.viewmodels.estimate_words import about
from app.viewmodels.estimates import EstimatesViewModel, timing_key
from core.recipe.spec import Recipe

MOST = 16
"""Runs of different length that are reckoned one by one; each takes a second or less."""
RECKONING = "the time of each is being reckoned"


class SweepTimes:
    """Asks for the times of runs, and tells them in words."""

    def __init__(self, estimates: EstimatesViewModel) -> None:
        self._estimates = estimates

    def reckon(self, recipes: Sequence[Recipe]) -> None:
        """Find out about these runs instead of any others."""
        self._estimates.reckon(recipes if _few(recipes) else ())

    def told(self, recipes: Sequence[Recipe]) -> list[str]:
        """ "about 2 m to about 4 m each", "about 12 m one after another"; as much as is known."""
        estimates = self._estimates
        if not _few(recipes):
            each = estimates.seconds
            if each is None:
                return []
            return [f"{about(each)} each as the recipe stands", _together(each * len(recipes))]
        if not all(map(estimates.is_reckoned, recipes)):
            return [RECKONING] if estimates.is_reckoning else []
        times = [time for time in map(estimates.time_of, recipes) if time is not None]
        if not times:
            return []
        ends = dict.fromkeys(map(about, (min(times), max(times))))
        each_of = f"{' to '.join(ends)} each"
        return [each_of, _together(sum(times))] if len(times) == len(recipes) else [each_of]


def _few(recipes: Sequence[Recipe]) -> bool:
    return len({timing_key(it) for it in recipes}) <= MOST


def _together(seconds: float) -> str:
    """Stages that several runs have alike are executed once, which no estimate knows."""
    return f"{about(seconds)} one after another, less what they share"
