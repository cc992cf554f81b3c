"""Whether the CKA of student and teacher on the held-out items is still rising: half of an early stop.

Never the only criterion (methods.md F3): a student near its teacher has its largest CKA before the first step,
and one that falls from there may well be learning. So a training goes on while either the held-out loss falls or
CKA rises, and the weights that are kept are always those of the lowest loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import spearmanr

from core.analysis.pooled import PooledCka

SMOOTHING = 0.5
"""Share of the newest measurement in the smoothed CKA; inferred: measurements are few and far between."""

FEWEST_LOOKS = 3
"""Two pairs of numbers always have a rank correlation of one or minus one."""


@dataclass
class CkaTrend:
    """The CKAs of one training, one a measurement.

    Attributes:
        smoothed: exponential moving average; None before the first.
        best: the highest smoothed one that counted as a rise.
        seen: loss, CKA and its standard error at each measurement.
    """

    smoothed: float | None = None
    best: float | None = None
    seen: list[tuple[float, float, float]] = field(default_factory=list)

    def rises(self, loss: float, cka: PooledCka) -> bool:
        """Take in a measurement: whether it lifts the smoothed CKA by more than its standard error.

        One that is undefined, or has no error, is left out.
        """
        if not (math.isfinite(cka.value) and math.isfinite(cka.standard_error)):
            return False
        self.seen.append((loss, cka.value, cka.standard_error))
        before = cka.value if self.smoothed is None else self.smoothed
        self.smoothed = before + SMOOTHING * (cka.value - before)
        if self.best is not None and self.smoothed <= self.best + cka.standard_error:
            return False
        self.best = self.smoothed
        return True

    def facts(self) -> dict[str, Any]:
        """For the record, to judge whether CKA is worth trusting; empty when nothing was measured.

        `spearman_with_loss` is the rank correlation with the held-out loss over the measurements, near -1 where
        CKA rises as the loss falls; None for fewer than three, or where one of them never moves.
        Measurements of one training depend on each other, so it comes without a p-value.
        """
        if not self.seen:
            return {}
        losses, values, errors = zip(*self.seen, strict=True)
        correlation = None
        if len(values) >= FEWEST_LOOKS and len(set(losses)) > 1 and len(set(values)) > 1:
            correlation = float(spearmanr(values, losses).statistic)
        return {
            "measurements": len(values),
            "first": values[0],
            "last": values[-1],
            "last_standard_error": errors[-1],
            "spearman_with_loss": correlation,
        }

    def notes(self) -> dict[str, Any]:
        """What a resumed training needs, as JSON."""
        return {
            "smoothed": self.smoothed,
            "best": self.best,
            "seen": [list(it) for it in self.seen],
        }

    @classmethod
    def recalled(cls, notes: Mapping[str, Any]) -> CkaTrend:
        """What `notes` gave."""
        seen = [(float(loss), float(cka), float(error)) for loss, cka, error in notes["seen"]]
        return cls(notes["smoothed"], notes["best"], seen)
