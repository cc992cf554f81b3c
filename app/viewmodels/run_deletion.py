"""Deleting runs: what runs is refused, what waits leaves the queue, what only ends is deleted once it has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.queue import Waiting
from app.viewmodels.open_runs import OpenRuns
from app.viewmodels.run_edits import RunEdits, kept, named
from app.viewmodels.workers import Workers
from core.engine import liveness
from core.store.rows import RunRow

OVER = ("done", "stopped", "failed", "interrupted")


class RunDeletion:
    """Deletes, which can be undone; checkpoints stay.

    Args:
        workers: know what runs and what waits.
        open_runs: forget what is deleted.
        edits: hide the runs.
        rows: those of the runs that are listed.
        device: the device that a run's recipe asks for.
        tell: takes level, text and hint of a message.
        start_waiting: starts what may start now.
    """

    def __init__(
        self,
        workers: Workers,
        open_runs: OpenRuns,
        edits: RunEdits,
        rows: Callable[[Sequence[str]], Sequence[RunRow]],
        device: Callable[[str], str],
        tell: Callable[[str, str, str], object],
        start_waiting: Callable[[], None],
    ) -> None:
        self._workers = workers
        self._open = open_runs
        self._edits = edits
        self._rows = rows
        self._device = device
        self._tell = tell
        self._start_waiting = start_waiting
        self._ending: set[str] = set()
        self._left_queue: dict[str, str] = {}  # device by run: deleted while they waited
        edits.restored.connect(self._wait_again)

    def delete(self, uids: Sequence[str]) -> None:
        """Delete runs. Running ones are refused, those whose process is about to leave are waited for."""
        own = self._workers.own
        rows = self._rows(uids)
        running = [it for it in rows if liveness.is_live(it) or self._runs(it, own)]
        ending = [it for it in rows if it.uid in own and it not in running]
        if running:
            self._tell("error", kept(running), "Stop first what is running.")
        if ending:
            what = "its process has" if len(ending) == 1 else "their processes have"
            self._ending.update(it.uid for it in ending)
            self._tell("info", f"{named(ending)}: deleted as soon as {what} left.", "")
        self._delete([it for it in rows if it not in running and it not in ending])

    def ended(self, uid: str) -> None:
        """The process of a run has left: delete the run if a person asked for it meanwhile."""
        if uid in self._ending:
            self._ending.remove(uid)
            self._delete([it for it in self._rows((uid,)) if not liveness.is_live(it)])

    def _runs(self, row: RunRow, own: Sequence[str]) -> bool:
        """Whether a run of ours has more to do than to leave: its row may say it before its log does."""
        if row.uid not in own:
            return False
        model = self._open.get(row.uid)
        return row.status not in OVER or model is None or not model.loaded or model.can_stop

    def _delete(self, rows: Sequence[RunRow]) -> None:
        if not rows:
            return
        waited = self._workers.leave_queue([row.uid for row in rows])
        self._left_queue.update((uid, self._device(uid)) for uid in waited)
        for row in rows:
            self._workers.forget(row.uid)
            self._open.drop(row.uid)
        self._edits.delete(rows)

    def _wait_again(self, uids: Sequence[str]) -> None:
        """Runs that waited when they were deleted, and are back: at the end of the queue."""
        back = [(uid, self._left_queue.pop(uid)) for uid in uids if uid in self._left_queue]
        self._workers.enqueue([Waiting(uid, device) for uid, device in back])
        self._start_waiting()
