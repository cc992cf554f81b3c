"""Which items each finished checkpoint answered right, folded from the log, ready to be compared in pairs."""

from __future__ import annotations

from collections.abc import Callable
from sys import intern
from typing import Any

from core.analysis.comparison import (
    Comparison,
    Evaluation,
    Refusal,
    compare,
    recovered_fraction,
)
from core.analysis.recovery import FractionInterval
from core.events import ItemsEvaluated, TaskEvaluated

Key = tuple[str, str]  # task, subject


def _nobody() -> None:
    """Nobody waits for an answer that is there at once."""


Job = Callable[[], object]
Offload = Callable[[Job, Callable[[Any], None]], None]
"""Does a job on another thread and hands its answer to the callback, on this one."""


class Answers:
    """Folds `ItemsEvaluated` and `TaskEvaluated` of finished checkpoints; what is measured in training is left out.

    Args:
        offload: for the arithmetic over thousands of draws, which takes longer than a window may wait; an
            answer is None until it is there. Without it every answer is there at once.
        told: called when an answer has come.
    """

    def __init__(self, offload: Offload | None = None, told: Callable[[], None] = _nobody) -> None:
        self._offload, self._told = offload, told
        self._items: dict[
            tuple[str, str, str], dict[str, bool]
        ] = {}  # stage, task, subject -> item
        self._groups: dict[str, dict[str, str]] = {}  # task -> item -> group
        self._scores: dict[Key, TaskEvaluated] = {}
        self._known: dict[tuple[str, ...], Any] = {}  # task and subjects -> answer

    def add_items(self, event: ItemsEvaluated) -> None:
        """A batch of items."""
        if event.step is not None:
            return
        known = self._items.setdefault((event.stage, event.task, event.subject), {})
        groups = self._groups.setdefault(event.task, {})
        for it in event.items:
            known[intern(it.item)] = it.correct
            if it.group:
                groups[intern(it.item)] = intern(it.group)

    def add_score(self, event: TaskEvaluated) -> None:
        """The score that closes the batches; the newest counts."""
        if event.step is None:
            self._scores[event.task, event.subject] = event
            for key in [it for it in self._known if it[0] == event.task]:
                del self._known[key]

    def scores(self) -> dict[Key, TaskEvaluated]:
        """The newest final scores by (task, subject), in the order of the first."""
        return dict(self._scores)

    def evaluation(self, task: str, subject: str) -> Evaluation | None:
        """The items behind the newest score; None when there is none, or the log does not hold all its items."""
        score = self._scores.get((task, subject))
        if score is None:
            return None
        items = self._items.get((score.stage, task, subject), {})
        if len(items) != score.n or sum(items.values()) != score.correct:
            return None
        groups = self._groups.get(task, {})
        return Evaluation(dict(items), score.protocol, score.protocol_parts, dict(groups))

    def compared(self, task: str, before: str, after: str) -> Comparison | Refusal | None:
        """After less before; None where one side's items are not known, or the answer is not there yet."""
        found: Comparison | Refusal | None = self._answer(compare, task, before, after)
        return found

    def recovered(
        self, task: str, base: str, degraded: str, recovered: str
    ) -> FractionInterval | None:
        """The recovered fraction with its interval; None as by `compared`, or where it must not be computed."""
        found: FractionInterval | None = self._answer(
            recovered_fraction, task, base, degraded, recovered
        )
        return found

    def _answer(self, ask: Callable[..., object], task: str, *subjects: str) -> Any:
        """Kept until a new score of the task comes."""
        key = (task, *subjects)
        if key in self._known:
            return self._known[key]
        found = [self.evaluation(task, it) for it in subjects]
        known = [it for it in found if it is not None]
        self._known[key] = None
        if len(known) < len(subjects):
            return None
        if self._offload is None:
            self._known[key] = ask(*known)
            return self._known[key]
        scores = [self._scores[task, it] for it in subjects]

        def take(answer: object) -> None:
            if all(self._scores.get((task, it.subject)) is it for it in scores):
                self._known[key] = answer
                self._told()

        self._offload(lambda: ask(*known), take)
        return None
