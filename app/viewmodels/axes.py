"""Where a training step stands on another axis: in trained tokens, in time at work, or at a metric's value.

Time counts the seconds that workers of the run were at work: the pause between a stop and its resume is left
out, as a person asks how long training took and not how long they slept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.viewmodels.curves import Curve, Curves
from app.viewmodels.types import Floats

STEP, TOKENS, TIME = "step", "tokens", "time"


@dataclass(frozen=True)
class Axis:
    """A horizontal axis to choose: `kind` says how its places are written."""

    key: str
    title: str
    kind: Literal["count", "time", "number"]


class Axes:
    """Folds the tokens and the clock of every step."""

    def __init__(self) -> None:
        self._places: dict[
            str, Curve
        ] = {}  # by stage: seconds and tokens, NaN where none are counted
        self._counts_tokens = False
        self._spent = 0.0
        self._begun: float | None = None
        self._last = 0.0

    def begin(self, t: float) -> None:
        """A worker begins, at `t` in seconds since the epoch."""
        if self._begun is not None:
            self._spent += max(self._last - self._begun, 0.0)
        self._begun = self._last = t

    def add(self, stage: str, step: int, tokens: int, t: float) -> None:
        """Metrics of a step came; `tokens` is 0 where they do not count any."""
        if self._begun is None:
            self._begun = t
        self._last = t
        self._counts_tokens |= tokens > 0
        spent = self._spent + max(t - self._begun, 0.0)
        places = self._places.setdefault(stage, Curve(2))
        # The first value of a step stands: what is measured between two steps belongs to the one before.
        if not len(places) or step != places.x[-1]:
            places.add(step, spent, tokens or math.nan)

    def choices(self, curves: Curves, title: Callable[[str], str]) -> tuple[Axis, ...]:
        """The axes there are, for a person to choose from; `title` names a metric."""
        found = [Axis(STEP, "step", "count")]
        if self._counts_tokens:
            found.append(Axis(TOKENS, "trained tokens", "count"))
        if self._places:
            found.append(Axis(TIME, "time at work", "time"))
        metrics = curves.keys()
        return (*found, *(Axis(key, title(key), "number") for key in metrics))

    def along(self, axis: str, stage: str, steps: Floats, curves: Curves) -> Floats:
        """Positions of `steps` (ascending) of a stage on an axis; NaN where they are not known."""
        if axis == STEP:
            return steps
        own = axis in (TOKENS, TIME)
        curve = self._places.get(stage) if own else curves.get(axis, stage)
        if curve is None or not len(curve):
            return np.full(steps.shape, np.nan)
        at, values = curve.x, curve.y(1 if axis == TOKENS else 0)
        good = np.isfinite(values)
        if not good.any():
            return np.full(steps.shape, np.nan)
        at, values = at[good], values[good]
        if axis == TOKENS and at[0] > 0:
            at, values = np.append(0.0, at), np.append(0.0, values)
        return np.interp(steps, at, values)
