"""What is at work and what waits, in a few words each: for the rail, the title bar and the queue."""

from __future__ import annotations

from collections.abc import Sequence

from app.viewmodels import words
from app.viewmodels.open_runs import OpenRuns
from app.viewmodels.runs import RunsModel
from app.viewmodels.types import RunSummary
from app.viewmodels.workers import Workers


class Activity:
    """Looks at workers, open runs and the run list; keeps nothing. Open runs are told when they wait."""

    def __init__(self, workers: Workers, open_runs: OpenRuns, runs: RunsModel) -> None:
        self._workers = workers
        self._open = open_runs
        self._runs = runs
        workers.changed.connect(self.tell_waiting)

    def active(self, listed: Sequence[str]) -> tuple[RunSummary, ...]:
        """Running runs (`listed` are those that the list calls so), then those that wait, in order."""
        own = self._workers.own
        running = [uid for uid in listed if uid not in own]
        at_work = [uid for uid in own if self._is_at_work(uid)]
        return (
            *(self._summary(uid, "running") for uid in (*at_work, *running)),
            *(self._summary(uid, "queued") for uid in self._workers.waiting),
        )

    def tell_waiting(self) -> None:
        """Let open runs say "queued" while they stand in the queue, whatever they were before."""
        waiting = frozenset(self._workers.waiting)
        for uid, model in self._open.items():
            model.set_waiting(uid in waiting)

    def _is_at_work(self, uid: str) -> bool:
        """Whether the worker we started has something left to do, not only its own end."""
        model = self._open.get(uid)
        return model is None or not model.loaded or model.can_stop or model.status == "queued"

    def _summary(self, uid: str, status: str) -> RunSummary:
        model, entry = self._open.get(uid), self._runs.entry(uid)
        name = entry.row.name if entry is not None else (model.name if model is not None else uid)
        running = model if status == "running" else None
        note = running.eta_text if running is not None else ""
        brief = running.brief_text if running is not None else ""
        return RunSummary(
            uid,
            name,
            name,
            status,
            running.status_text if running is not None else words.status(status),
            note=note,
            brief=brief,
            progress=running.progress if running is not None else None,
            stage_left=running.stage_left if running is not None else None,
            created=entry.row.created if entry is not None else 0.0,
        )
