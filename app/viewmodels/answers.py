"""Which items each finished checkpoint answered right, folded from the log, ready to be compared in pairs."""

from __future__ import annotations

from sys import intern

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


class Answers:
    """Folds `ItemsEvaluated` and `TaskEvaluated` of finished checkpoints; what is measured in training is left out."""

    def __init__(self) -> None:
        self._items: dict[
            tuple[str, str, str], dict[str, bool]
        ] = {}  # stage, task, subject -> item
        self._groups: dict[str, dict[str, str]] = {}  # task -> item -> group
        self._scores: dict[Key, TaskEvaluated] = {}
        self._compared: dict[tuple[str, str, str], Comparison | Refusal | None] = {}
        self._recovered: dict[tuple[str, str, str, str], FractionInterval | None] = {}

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
            self._compared.clear()
            self._recovered.clear()

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
        return Evaluation(items, score.protocol, score.protocol_parts, groups)

    def compared(self, task: str, before: str, after: str) -> Comparison | Refusal | None:
        """After less before; None where one side's items are not known. Kept until a new score comes."""
        key = (task, before, after)
        if key not in self._compared:
            first, second = self.evaluation(task, before), self.evaluation(task, after)
            known = None if first is None or second is None else compare(first, second)
            self._compared[key] = known
        return self._compared[key]

    def recovered(
        self, task: str, base: str, degraded: str, recovered: str
    ) -> FractionInterval | None:
        """The recovered fraction with its interval; None where the items are not known or must not be subtracted."""
        key = (task, base, degraded, recovered)
        if key not in self._recovered:
            found = [self.evaluation(task, it) for it in key[1:]]
            known = [it for it in found if it is not None]
            self._recovered[key] = recovered_fraction(*known) if known == found else None
        return self._recovered[key]
