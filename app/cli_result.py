"""The outcome of a run as numbers, read from its log: what `run --json` ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.viewmodels import words
from app.viewmodels.run import RunViewModel
from app.viewmodels.scores import steps_of
from app.viewmodels.similarity import mean_cka
from app.viewmodels.types import ScoreTable
from core.analysis import recovery
from core.events import CkaMeasured, RunFinished, TaskEvaluated
from core.store.store import Store

KINDS = ("run_started", "run_finished", "task_evaluated", "cka_measured")


@dataclass
class Result:
    """What a run came to.

    Attributes:
        metrics: stage id -> task -> accuracy (0-1), counts, interval, protocol.
        cka: stage id -> mean CKA against the reference over the layers where it is defined.
        recovered_fractions: stage id -> task -> recovered fraction, None where nothing was lost.
        mean_recovered_fractions: of each stage the mean over the tasks that lost more than 5 points, each
            capped at 1.
        recovered_fraction: that of the last stage recovered by SDFT; `recovered_fraction_sft` by SFT.
        seconds: of the last session.
        table: the same accuracies as people read them.
    """

    status: str
    status_text: str
    failure: dict[str, str] | None = None
    metrics: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    cka: dict[str, float] = field(default_factory=dict)
    recovered_fractions: dict[str, dict[str, float | None]] = field(default_factory=dict)
    mean_recovered_fractions: dict[str, float | None] = field(default_factory=dict)
    recovered_fraction: float | None = None
    recovered_fraction_sft: float | None = None
    seconds: float = 0.0
    table: ScoreTable = field(default_factory=ScoreTable)

    def fields(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "status": self.status,
            "failure": self.failure,
            "metrics": self.metrics,
            "cka": self.cka,
            "recovered_fractions": self.recovered_fractions,
            "mean_recovered_fractions": self.mean_recovered_fractions,
            "recovered_fraction": self.recovered_fraction,
            "recovered_fraction_sft": self.recovered_fraction_sft,
            "seconds": round(self.seconds, 3),
        }


def result_of(store: Store, uid: str) -> Result:
    """Read the outcome of a run, finished or not."""
    row = store.run(uid)
    view = RunViewModel(uid)
    view.describe(row)
    result = Result(row.status, "", recovered_fractions=row.recovered_fraction)
    after = 0
    while page := store.events(uid, after, kinds=KINDS):
        after = page[-1].seq
        view.apply(page)
        for logged in page:
            _take(result, logged.event)
    result.status_text = words.status(row.status, row.failure)
    if result.failure is None and row.failure_message:
        result.failure = {"class": row.failure, "message": row.failure_message, "hint": ""}
    if row.status == "done":
        result.failure = None
    result.table = view.score_table()
    steps = [it for it in steps_of(view.planned()) if it.makes_checkpoint]
    accuracies = {
        stage: {
            task: recovery.Accuracy(score["accuracy"], score["protocol"])
            for task, score in scores.items()
        }
        for stage, scores in result.metrics.items()
    }
    for step in (it for it in steps if it.role == "recovered"):
        mean = recovery.mean_fraction(steps, accuracies, step.id)
        result.mean_recovered_fractions[step.id] = mean
        if step.kind == "sdft":
            result.recovered_fraction = mean
        elif step.kind == "sft":
            result.recovered_fraction_sft = mean
    return result


def _take(result: Result, event: object) -> None:
    match event:
        case TaskEvaluated(step=None) if event.n:
            result.metrics.setdefault(event.subject, {})[event.task] = _score(event)
        case CkaMeasured(step=None):
            result.cka[event.subject] = mean_cka(event)
        case RunFinished():
            result.seconds = event.seconds
            result.failure = None
            if event.failure is not None:
                result.failure = {
                    "class": event.failure.failure,
                    "message": event.failure.message,
                    "hint": event.failure.hint,
                }


def _score(event: TaskEvaluated) -> dict[str, Any]:
    return {
        "accuracy": event.correct / event.n,
        "correct": event.correct,
        "n": event.n,
        "protocol": event.protocol,
        "scorer": event.scorer,
        "values": dict(event.values),
    }
