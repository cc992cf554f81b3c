"""Does the demonstration help? What a stage measured before its training, as facts instead of curves.

The check is one event of step 0 (`core.stages.demonstration_check`): curves of one point would say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.viewmodels import words
from core.events import GuardWarning, Metrics

QUESTION = "Does the demonstration help?"
NO_HELP = "demonstration_no_help"
REMEDY = "two_stage"
"""The preset that helps a model which learns nothing from a demonstration: bootstrap first."""
_ITEMS = "demonstration_items"
_PLAIN, _SHOWN, _TEACHER = (
    "accuracy_without_demonstration",
    "accuracy_with_demonstration",
    "teacher_accuracy",
)
_KL_SHOWN, _KL_PLAIN = "kl_with_demonstration", "kl_without_demonstration"
KEYS = frozenset({_ITEMS, _PLAIN, _SHOWN, _TEACHER, _KL_SHOWN, _KL_PLAIN})


@dataclass(frozen=True)
class Check:
    """What one stage found.

    Attributes:
        stage: which one.
        answer: to the question, in a few words.
        facts: the numbers, each with what it is of.
        advice: what to do where it does not help; "" otherwise.
        remedy: name of the preset that does it; "" otherwise.
        source: where the numbers come from.
    """

    stage: str
    answer: str
    facts: tuple[str, ...]
    advice: str = ""
    remedy: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """The facts on one line."""
        return " · ".join(self.facts)


class Checks:
    """Folds the checks of a run, by stage."""

    def __init__(self) -> None:
        self._values: dict[str, Mapping[str, float]] = {}
        self._warned: set[str] = set()

    def take(self, event: Metrics) -> dict[str, float]:
        """Take what belongs to a check; returns the other values."""
        if _ITEMS not in event.values:
            return event.values
        self._values[event.stage] = event.values
        self._warned.discard(event.stage)  # measured again: the warning, too, comes again
        return {key: value for key, value in event.values.items() if key not in KEYS}

    def warn(self, event: GuardWarning) -> None:
        """Take a warning."""
        if event.code == NO_HELP:
            self._warned.add(event.stage)

    def found(self, advice: str) -> tuple[Check, ...]:
        """The checks in the order of their stages; `advice` is said where it does not help."""
        return tuple(
            Check(
                stage,
                _answer(values, stage in self._warned),
                facts(values),
                advice if stage in self._warned else "",
                REMEDY if stage in self._warned else "",
            )
            for stage, values in self._values.items()
        )


def facts(values: Mapping[str, float]) -> tuple[str, ...]:
    """The numbers of a check in words; those that were not measured are left out."""
    found = []
    if _PLAIN in values and _SHOWN in values:
        alone, shown = words.percent(values[_PLAIN]), words.percent(values[_SHOWN])
        found.append(f"student {alone} → {shown} shown")
    if _TEACHER in values:
        found.append(f"teacher {words.percent(values[_TEACHER])}")
    if _KL_SHOWN in values and _KL_PLAIN in values:
        shown, alone = words.number(values[_KL_SHOWN]), words.number(values[_KL_PLAIN])
        found.append(f"divergence {shown} shown, {alone} not shown, nats/token")
    found.append(f"{words.number(values[_ITEMS])} held-out items")
    return tuple(found)


def line(values: Mapping[str, float]) -> str:
    """A check as a line of the log; "" for other metrics."""
    return f"{QUESTION} {'; '.join(facts(values))}." if _ITEMS in values else ""


def _answer(values: Mapping[str, float], warned: bool) -> str:
    if warned:
        return "no"
    if _TEACHER not in values or _PLAIN not in values:
        return "not told: the items carry no answer key"
    return "yes" if values[_TEACHER] > values[_PLAIN] else "there is little left to gain"
