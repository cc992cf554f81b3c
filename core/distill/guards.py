"""Signs that a training by self-distillation goes wrong, each reported once a stage.

The metrics show every step's numbers; a guard says when a person should look. Limits for which no
published number exists are marked "inferred": they are where we would look ourselves.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

ARTEFACT = re.compile(r"(based on|following|as in) the example", re.IGNORECASE)
"""Phrases by which a student speaks of a demonstration that it was not shown (methods.md A2.2)."""

WINDOW = (
    32  # completions a rate is taken over: prompts per step of the original code (methods.md A1)
)
MIN_COMPLETIONS = 8  # fewer say nothing about a rate of a tenth; inferred
ARTEFACT_LIMIT = 0.1  # share of completions; inferred
TRUNCATED_LIMIT = 0.5  # share of completions; inferred
BASELINE_STEPS = 5  # steps whose mean entropy is the starting level; inferred
COLLAPSE_RATIO = 0.3  # of the starting level; reports name collapses, no number (OPSD#20, SDPO#25)
COLLAPSE_STEPS = 3  # steps in a row below it; one step is noise; inferred

Code = Literal["artefact_phrases", "truncated_completions", "entropy_collapse"]


def has_artefact(text: str) -> bool:
    """Whether a completion speaks of the example."""
    return ARTEFACT.search(text) is not None


@dataclass
class Guards:
    """Watches the steps of one stage; `observe` returns what newly deserves a warning."""

    artefacts: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    truncated: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    baseline: list[float] = field(default_factory=list)
    below: int = 0
    warned: set[Code] = field(default_factory=set)

    def observe(
        self, artefacts: Sequence[bool], truncated: Sequence[bool], entropy: float | None
    ) -> list[tuple[Code, dict[str, float]]]:
        """Take in one step.

        Args:
            artefacts: for each completion, whether it speaks of the example.
            truncated: for each completion, whether it was cut off at the length limit.
            entropy: mean entropy of the student over counted tokens; None when there were none.
        """
        self.artefacts.extend(artefacts)
        self.truncated.extend(truncated)
        found = [
            self._rate("artefact_phrases", self.artefacts, ARTEFACT_LIMIT),
            self._rate("truncated_completions", self.truncated, TRUNCATED_LIMIT),
            self._collapse(entropy),
        ]
        news = [warning for warning in found if warning and warning[0] not in self.warned]
        self.warned.update(code for code, _ in news)
        return news

    def _rate(
        self, code: Code, seen: deque[bool], limit: float
    ) -> tuple[Code, dict[str, float]] | None:
        rate = sum(seen) / max(1, len(seen))
        if len(seen) < MIN_COMPLETIONS or rate <= limit:
            return None
        return code, {"rate": rate, "limit": limit, "completions": float(len(seen))}

    def _collapse(self, entropy: float | None) -> tuple[Code, dict[str, float]] | None:
        if entropy is None:
            return None
        if len(self.baseline) < BASELINE_STEPS:
            self.baseline.append(entropy)
            return None
        start = sum(self.baseline) / len(self.baseline)
        self.below = self.below + 1 if entropy < COLLAPSE_RATIO * start else 0
        if self.below < COLLAPSE_STEPS:
            return None
        return "entropy_collapse", {"entropy": entropy, "start": start}

    def to_json(self) -> dict[str, Any]:
        """What a resumed run needs to go on watching."""
        return {
            "artefacts": list(self.artefacts),
            "truncated": list(self.truncated),
            "baseline": self.baseline,
            "below": self.below,
            "warned": sorted(self.warned),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Guards:
        """What `to_json` wrote."""
        return cls(
            deque(record["artefacts"], maxlen=WINDOW),
            deque(record["truncated"], maxlen=WINDOW),
            list(record["baseline"]),
            record["below"],
            set(record["warned"]),
        )
