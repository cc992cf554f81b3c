"""Which checkpoints are compared, within a run or between runs, and everything found about each pair.

Reads the log once a run: scores, single items, CKA. The command line shows it; pages can.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from app.viewmodels.answers import Answers
from app.viewmodels.scores import trios
from core.analysis import recovery
from core.analysis.comparison import (
    Comparison,
    Evaluation,
    Refusal,
    compare,
    refused,
)
from core.analysis.paired_proportions import MARGIN
from core.analysis.recovery import FractionInterval
from core.analysis.statistics import holm
from core.errors import UserError
from core.events import CkaMeasured, ItemsEvaluated, PlannedStage, RunStarted, TaskEvaluated
from core.store.rows import RunRow
from core.store.store import Store

KINDS = ("run_started", "items_evaluated", "task_evaluated", "cka_measured")
STAGE_MARK = ":"
"""Between a run and one of its checkpoints, as people write it: "a1b2c3:sdft"."""


@dataclass
class Measured:
    """What one run measured on its finished checkpoints."""

    row: RunRow
    stages: tuple[PlannedStage, ...] = ()
    answers: Answers = field(default_factory=Answers)
    cka: list[CkaMeasured] = field(default_factory=list)

    def subjects(self) -> list[str]:
        """Checkpoints with a score, in the order of the plan."""
        scored = {subject for _, subject in self.answers.scores()}
        return [it.id for it in self.stages if it.id in scored]

    def score(self, task: str, subject: str) -> TaskEvaluated | None:
        """The newest final score."""
        return self.answers.scores().get((task, subject))


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of one run."""

    measured: Measured
    subject: str


@dataclass(frozen=True)
class Found:
    """One task of a pair.

    Attributes:
        task: its name.
        before: the first score.
        after: the second.
        result: the comparison, or why there is none; None where the log does not hold the single items.
        holm: McNemar's mid-p adjusted for the pair's tasks; None without a comparison.
        recovered: the recovered fraction, where the pair is a degraded and its recovered checkpoint.
    """

    task: str
    before: TaskEvaluated
    after: TaskEvaluated
    result: Comparison | Refusal | None
    holm: float | None = None
    recovered: FractionInterval | None = None


@dataclass(frozen=True)
class Pair:
    """Two checkpoints and what was found on each task both were scored by; `base` where something was recovered."""

    before: Checkpoint
    after: Checkpoint
    found: tuple[Found, ...]
    base: str = ""


def read(store: Store, row: RunRow) -> Measured:
    """Fold what a run measured."""
    measured = Measured(row)
    after = 0
    while page := store.events(row.uid, after, kinds=KINDS):
        after = page[-1].seq
        for logged in page:
            match logged.event:
                case RunStarted() as event:
                    measured.stages = event.stages
                case ItemsEvaluated() as event:
                    measured.answers.add_items(event)
                case TaskEvaluated() as event:
                    measured.answers.add_score(event)
                case CkaMeasured(step=None) as event:
                    measured.cka.append(event)
    return measured


def within(measured: Measured, margin: float = MARGIN) -> list[Pair]:
    """Of every recovered checkpoint: undegraded to degraded, degraded to recovered, undegraded to recovered.

    A run that recovers nothing has each checkpoint against the base.

    Raises:
        UserError: fewer than two checkpoints were scored.
    """
    judged = trios(measured.stages)
    wanted: dict[tuple[str, str], str] = {}  # before, after -> base
    for trio in judged:
        wanted.setdefault((trio.base, trio.degraded), "")
        wanted.setdefault((trio.degraded, trio.recovered), trio.base)
        wanted.setdefault((trio.base, trio.recovered), "")
    subjects = measured.subjects()
    if not judged and subjects:
        wanted = {(subjects[0], subject): "" for subject in subjects[1:]}
    pairs = [
        pair(Checkpoint(measured, before), Checkpoint(measured, after), base, margin)
        for (before, after), base in wanted.items()
        if before in subjects and after in subjects
    ]
    if not pairs:
        raise UserError(
            f"The run {measured.row.uid} has no two scored checkpoints to compare.",
            "Name tasks in the recipe's measure section; a run in progress can be compared later.",
        )
    return pairs


def pair(before: Checkpoint, after: Checkpoint, base: str = "", margin: float = MARGIN) -> Pair:
    """Compare two checkpoints on every task that both were scored by; `base` asks for the recovered fraction."""
    found = []
    for task in dict.fromkeys(task for task, _ in before.measured.answers.scores()):
        first = before.measured.score(task, before.subject)
        second = after.measured.score(task, after.subject)
        if first is None or second is None or not first.n or not second.n:
            continue
        one = before.measured.answers.evaluation(task, before.subject)
        two = after.measured.answers.evaluation(task, after.subject)
        result = None if one is None or two is None else compare(one, two, margin=margin)
        if result is None and first.protocol != second.protocol:
            result = refused(_bare(first), _bare(second))
        recovered = None
        if base:  # a pair of one run
            recovered = before.measured.answers.recovered(task, base, before.subject, after.subject)
        found.append(Found(task, first, second, result, recovered=recovered))
    return Pair(before, after, _adjusted(found), base)


def named(store: Store, text: str) -> tuple[RunRow, str]:
    """The run, and the checkpoint after a colon ("" without one), that a person means.

    Raises:
        UserError: there is no such run.
    """
    run, mark, stage = text.rpartition(STAGE_MARK)
    if mark:
        with suppress(UserError):  # a name may hold a colon of its own
            return store.find(run), stage
    return store.find(text), ""


def chosen(measured: Measured, subject: str) -> Checkpoint:
    """The checkpoint asked for; without a name the one that the run is judged by, else the last that was scored.

    Raises:
        UserError: it was not scored.
    """
    subjects = measured.subjects()
    if not subject:
        kinds = {it.id: it.kind for it in measured.stages if it.id in subjects}
        judged = [trio.recovered for trio in trios(measured.stages) if trio.recovered in subjects]
        subject = recovery.headline({it: kinds[it] for it in judged}) or "".join(subjects[-1:])
    if subject not in subjects:
        scored = ", ".join(subjects) or "none"
        raise UserError(
            f"The run {measured.row.uid} has no scored checkpoint {subject}".rstrip() + ".",
            f"Scored are: {scored}.",
        )
    return Checkpoint(measured, subject)


def _adjusted(found: Sequence[Found]) -> tuple[Found, ...]:
    """With the p-values adjusted for being several tasks."""
    places = [place for place, it in enumerate(found) if isinstance(it.result, Comparison)]
    tested = [it.result.test.mid_p for it in found if isinstance(it.result, Comparison)]
    adjusted = dict(zip(places, holm(tested), strict=True))
    return tuple(replace(it, holm=adjusted.get(place)) for place, it in enumerate(found))


def _bare(score: TaskEvaluated) -> Evaluation:
    return Evaluation({}, score.protocol, score.protocol_parts)
