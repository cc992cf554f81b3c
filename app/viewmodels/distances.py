"""The points of the geometry fit: of each finished checkpoint its distance 1 - CKA and the accuracy it lost.

Points are put together only where they mean the same: one base model, one task by one protocol, and CKA read in
one way. The reference itself is left out: it is at no distance and lost nothing by construction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.viewmodels.pairings import Measured
from app.viewmodels.similarity import mean_cka
from core.analysis.geometry import GeometryFit, Point, TooFew, fit
from core.events import CkaMeasured, TaskEvaluated

DEBIASED = "debiased"


@dataclass(frozen=True)
class Settings:
    """What points must share to be put together."""

    base: str
    task: str
    protocol: str
    reading: str


@dataclass(frozen=True)
class Row:
    """One checkpoint with everything that identifies its numbers."""

    run: str
    name: str
    subject: str
    reference: str
    score: TaskEvaluated
    cka: CkaMeasured
    point: Point


@dataclass
class Cloud:
    """The points of one setting.

    Attributes:
        rows: one a checkpoint.
        again: checkpoints left out because another run has the very same one.
        other_protocol: left out because reference and checkpoint were scored by different protocols.
    """

    rows: list[Row] = field(default_factory=list)
    again: int = 0
    other_protocol: int = 0
    seen: set[str] = field(default_factory=set)

    def fitted(self) -> GeometryFit | TooFew:
        """The curves, or why there are none."""
        return fit([row.point for row in self.rows])


def clouds(runs: Iterable[Measured]) -> tuple[dict[Settings, Cloud], int]:
    """The points of several runs by setting; and how many CKA readings were left out as biased."""
    found: dict[Settings, Cloud] = {}
    biased = 0
    for measured in runs:
        newest = {(it.subject, it.reference, _reading(it)): it for it in measured.cka}
        for cka in newest.values():
            if cka.subject == cka.reference:
                continue
            if cka.variant != DEBIASED:
                biased += 1
                continue
            for task in dict.fromkeys(task for task, _ in measured.answers.scores()):
                _add(found, measured, cka, task)
    return found, biased


def _add(found: dict[Settings, Cloud], measured: Measured, cka: CkaMeasured, task: str) -> None:
    score = measured.score(task, cka.subject)
    reference = measured.score(task, cka.reference)
    if score is None or reference is None or not score.n or not reference.n:
        return
    settings = Settings(measured.row.base, task, score.protocol, _reading(cka))
    cloud = found.setdefault(settings, Cloud())
    if score.protocol != reference.protocol:
        cloud.other_protocol += 1
        return
    if score.checkpoint and score.checkpoint in cloud.seen:
        cloud.again += 1
        return
    cloud.seen.add(score.checkpoint or "")
    drop = reference.correct / reference.n - score.correct / score.n
    point = Point(1 - mean_cka(cka), drop, measured.row.uid)
    row = Row(measured.row.uid, measured.row.name, cka.subject, cka.reference, score, cka, point)
    cloud.rows.append(row)


def _reading(cka: CkaMeasured) -> str:
    """How CKA was read, in words that are equal only for equal readings."""
    return (
        f"probe {cka.probe}, n {cka.n}, {cka.mode}, {cka.token}, {cka.preprocessing}, "
        f"{len(cka.rows)} layers"
    )
