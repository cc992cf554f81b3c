"""The recovered fraction in words, and whether the loss it is a fraction of is a loss at all.

A fraction of a loss whose 95 % interval holds zero says nothing: the words stand in its place and the number
in the explanation. Where the single items are known the fraction has an interval of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.viewmodels import words
from core.analysis.recovery import FractionInterval
from core.analysis.statistics import difference


class Counted(Protocol):
    """A score as counts: events and rows alike."""

    @property
    def n(self) -> int: ...
    @property
    def correct(self) -> int: ...


@dataclass(frozen=True)
class Recovered:
    """A fraction (None: nothing was lost), what is shown of it, and why."""

    value: float | None
    text: str
    note: str

    @property
    def sound(self) -> bool:
        """The fraction may be read as a number."""
        return self.text not in words.NO_FRACTION


def judge(value: float | None, base: Counted | None, degraded: Counted | None) -> Recovered:
    """The words for a fraction, given the two scores between which something was lost."""
    if value is None:
        return Recovered(value, words.NOTHING_LOST, "The degraded model scores no less.")
    if base is None or degraded is None or not base.n or not degraded.n:
        return Recovered(value, words.fraction(value), "")
    low, high = (100 * it for it in difference(base.correct, base.n, degraded.correct, degraded.n))
    lost = 100 * (base.correct / base.n - degraded.correct / degraded.n)
    interval = f"Lost {lost:.1f} points, 95 % interval {words.signed(low)} to {words.signed(high)}"
    if low <= 0:
        note = f"{interval}: perhaps none. The fraction of it would be {words.fraction(value)}."
        return Recovered(value, words.WITHIN_NOISE, note)
    return Recovered(value, words.fraction(value), f"{interval}.")


def judge_items(found: FractionInterval, base: Counted, degraded: Counted) -> Recovered:
    """The words for a fraction whose items are known: all three models answered the same ones."""
    if found.value is None:
        return judge(None, base, degraded)
    lost = f"Lost {100 * (base.correct / base.n - degraded.correct / degraded.n):.1f} points"
    if not found.defined:
        note = f"{lost}, item by item perhaps none. The fraction of it would be {words.fraction(found.value)}."
        return Recovered(found.value, words.WITHIN_NOISE, note)
    bounds = f"{words.fraction(found.low)} to {words.fraction(found.high)}"
    note = f"{lost}; 95 % interval of the fraction {bounds}, item by item."
    return Recovered(found.value, words.fraction(found.value), note)
