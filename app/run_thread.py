"""The background thread that owns a run: starts its worker, tails its events, walks the stop ladder.

The tensors live in a child process in a session of its own, so that the run outlives the window; with
mode "in_process" the runner is called inside this thread instead (for debugging). Everything the window
learns comes out of the database: the same code serves a run of this second and one of last month.
Never terminated: `detach` ends the thread and leaves the worker.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psutil
from PySide6.QtCore import QObject, QThread, Signal

from core.engine import control, liveness, spawn
from core.errors import UserError
from core.events import CheckpointSaved, Event, RunFinished, RunStarted, RunStatus, StageFinished
from core.store.home import Home
from core.store.rows import LoggedEvent, RunRow
from core.store.store import Store

logger = logging.getLogger(__name__)

Mode = Literal["spawn", "attach", "in_process"]
Phase = Literal[
    "reading",
    "starting",
    "running",
    "asked",
    "saving",
    "terminating",
    "killing",
    "ended",
    "detached",
]
Runner = Callable[[str, Home, Callable[[Event], None]], object]
Spawn = Callable[[str, Home], "subprocess.Popen[bytes]"]

TAIL_SECONDS = 0.12
"""About eight looks at the database a second."""
PAGE = 500
"""Events read at once: one is decoded in some 20 microseconds, and the window needs its turns between."""
CLAIM_SECONDS = 120.0
"""A worker that was started elsewhere gets this long to import torch and claim its run."""
LOG_TAIL = 2000
"""Characters of the worker's log that a failure shows."""

_left_running: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Ladder:
    """Seconds on each rung of the stop ladder.

    Attributes:
        ask: a training step on a slow CPU takes up to half a minute and the flag is read between steps,
            so "Stop and save" waits long for the first sign of obedience; the person can press on.
        save: after that sign, or at once for "Discard", until SIGTERM.
        terminate: from SIGTERM to SIGKILL.
    """

    ask: float = 180.0
    save: float = 10.0
    terminate: float = 5.0


class RunThread(QThread):
    """Watches one run until it ends, or until `detach`.

    Args:
        home: where the database lies.
        uid: the run.
        mode: "spawn" starts a worker; "attach" watches one that lives, or reads a run that has ended;
            "in_process" calls `runner` in this thread.
        runner: for "in_process": called as `runner(uid, home, on_event)`.
        after: cursor: events up to this number are known already.
        backlog: wait with reading while this many events were emitted and not `consumed`; 0 for no limit.
    """

    events = Signal(object)  # list[LoggedEvent], in order
    restarted = Signal()  # the run was resumed: forget its events, all that still count follow
    caughtUp = Signal()  # the log as it was when the thread started has been emitted
    phase = Signal(str)
    ended = Signal(str)  # the run's status; not emitted after detach
    failed = Signal(str, str)  # message, hint: the worker could not be started

    def __init__(
        self,
        home: Home,
        uid: str,
        mode: Mode = "spawn",
        runner: Runner | None = None,
        parent: QObject | None = None,
        *,
        spawn: Spawn = spawn.start,
        ladder: Ladder | None = None,
        after: int = 0,
        backlog: int = 0,
    ) -> None:
        super().__init__(parent)
        if mode == "in_process" and runner is None:
            raise ValueError("mode in_process needs a runner")
        self.uid = uid
        self.mode = mode
        self._home = home
        self._runner = runner
        self._spawn = spawn
        self._ladder = ladder or Ladder()
        self._cursor = after
        self._backlog = backlog
        self._outstanding = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._asked: bool | None = None  # a request not yet handed to the worker
        self._pressed = False  # asked again: do not wait any longer on this rung
        self._detached = False
        self._process: subprocess.Popen[bytes] | None = None
        self._phase: Phase = "ended"
        self._rung_since = 0.0
        self._keep = True
        self._behind = True
        self._next_tail = 0.0
        self._session = 0  # newest session whose beginning needs no new reading
        self.seen_session = 0  # of the run's row by which the end was judged

    def stop(self, keep: bool) -> None:
        """Ask the run to end; `keep` saves its state first.

        "Discard" once the run was asked means: wait no longer. The next rung comes at once.
        """
        with self._lock:
            again = not keep and self._phase in ("asked", "saving", "terminating")
            self._pressed = self._pressed or again
            self._asked = keep
        if self.mode == "in_process":  # the thread itself is busy in the runner
            control.request_stop(self._home, self.uid, keep)
            self._enter("asked")
        self._wake.set()

    def save_now(self) -> None:
        """Ask for a checkpoint now; training goes on."""
        control.request_save(self._home, self.uid)

    def detach(self) -> None:
        """End this thread soon and leave the worker alone. Call `wait()` afterwards."""
        self._detached = True
        self._wake.set()

    def consumed(self, count: int) -> None:
        """Tell that `count` emitted events have been applied (see `backlog`)."""
        with self._lock:
            self._outstanding -= count
        if self._outstanding * 2 < self._backlog:
            self._wake.set()

    def run(self) -> None:
        """The thread: start, watch, report. All database reading of this run happens here."""
        self._enter("reading" if self.mode == "attach" else "starting")
        status: str = "failed"
        try:
            with Store.open(self._home.database, read_only=True) as store:
                self._serve(store)
                status = store.run(self.uid).status
        except (UserError, OSError) as error:
            logger.exception("run %s could not be watched", self.uid)
            hint = error.hint if isinstance(error, UserError) else "The log has the details."
            self.failed.emit(str(getattr(error, "message", error)), hint)
        finally:  # also after a defect: nobody may wait for this thread for ever
            if self._detached:
                self._leave()
            else:
                self._enter("ended")
                self.ended.emit(status)

    def _serve(self, store: Store) -> None:
        row = store.run(self.uid)
        # A session that has been claimed may not have rewound the log yet.
        self._session = row.session - (row.status == "running")
        if self.mode == "spawn":
            self._process = self._spawn(self.uid, self._home)
        if self.mode == "in_process":
            self._run_inside(store)
            self.seen_session = store.run(self.uid).session
        else:
            self._watch(store)
        self._drain(store)

    def _run_inside(self, store: Store) -> None:
        assert self._runner is not None

        def on_event(event: Event) -> None:
            if time.monotonic() >= self._next_tail:
                self._tail(store)

        self._enter("running")
        self._runner(self.uid, self._home, on_event)

    def _watch(self, store: Store) -> None:
        started, session = time.monotonic(), store.run(self.uid).session
        while not self._detached:
            row = store.run(self.uid)
            self.seen_session = row.session
            if self._phase in ("reading", "starting") and liveness.is_live(row):
                self._enter("running")
            over = self._is_over(row, started)  # before the tail: nothing written earlier is missed
            more = self._tail(store)
            if over and not more and not self._behind:
                row = store.run(self.uid)
                if not liveness.is_live(row):
                    self._close_books(row, started=row.session > session)
                    return
                self._process = None  # ours was refused: another process executes this run
            self._climb(row)
            if not more:
                self._wake.wait(TAIL_SECONDS)
            self._wake.clear()

    def _is_over(self, row: RunRow, started: float) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        if row.status == "queued":  # claimed by somebody soon, or waiting for its turn
            return time.monotonic() - started > CLAIM_SECONDS
        return not liveness.is_live(row)

    def _tail(self, store: Store) -> bool:
        """Emit what is new; True when there may be more at once."""
        self._next_tail = time.monotonic() + TAIL_SECONDS
        if self._backlog and self._outstanding >= self._backlog:
            return False
        found = store.events(self.uid, after=self._cursor, limit=PAGE)
        if not found:
            if self._behind:
                self._behind = False
                self.caughtUp.emit()
            return False
        self._cursor = found[-1].seq
        if self._resumed(found):
            self._cursor, self._behind = 0, True
            self.restarted.emit()
            return True
        with self._lock:
            self._outstanding += len(found)
        self._notice(found)
        self.events.emit(found)
        return True

    def _resumed(self, found: list[LoggedEvent]) -> bool:
        """Whether a new session begins here; by then the log holds only what still counts."""
        sessions = [it.event.session for it in found if isinstance(it.event, RunStarted)]
        newest = max(sessions, default=0)
        if newest <= max(1, self._session):
            return False
        self._session = newest
        return True

    def _drain(self, store: Store) -> None:
        while not self._detached and (self._tail(store) or self._behind):
            if self._backlog and self._outstanding >= self._backlog:
                self._wake.wait(TAIL_SECONDS)
                self._wake.clear()

    def _notice(self, found: list[LoggedEvent]) -> None:
        if self._phase != "asked" or self._behind:
            return
        for logged in found:
            event = logged.event
            stopped = isinstance(event, StageFinished) and event.status == "stopped"
            saved = isinstance(event, CheckpointSaved) and not event.final
            if stopped or saved or isinstance(event, RunFinished):
                self._enter("saving")
                return

    def _climb(self, row: RunRow) -> None:
        """One look at the stop ladder: ask, save, SIGTERM, SIGKILL."""
        with self._lock:
            asked, self._asked = self._asked, None
            pressed, self._pressed = self._pressed, False
        if asked is not None and self._phase in ("reading", "starting", "running", "asked"):
            self._keep = asked
            control.request_stop(self._home, self.uid, asked)
            if self._phase != "asked":
                self._enter("asked")
        waited = time.monotonic() - self._rung_since
        patience = {
            "asked": self._ladder.ask if self._keep else self._ladder.save,
            "saving": self._ladder.save,
            "terminating": self._ladder.terminate,
        }.get(self._phase)
        if patience is None or (waited < patience and not pressed):
            return
        if self._phase == "terminating":
            self._signal(row, signal.SIGKILL, "killing")
        else:
            self._signal(row, signal.SIGTERM, "terminating")

    def _signal(self, row: RunRow, number: signal.Signals, rung: Phase) -> None:
        """Signal the worker's whole group; a worker that is gone already is no error."""
        self._enter(rung)
        if self._process is not None:
            pid = self._process.pid
        elif row.pid is not None and liveness.is_live(row):
            pid = row.pid
        else:
            return
        try:
            if sys.platform == "win32":
                psutil.Process(pid).kill()
            elif os.getpgid(pid) == pid:
                os.killpg(pid, number)
            else:  # not the leader of a group of its own: started from a shell
                os.kill(pid, number)
        except (ProcessLookupError, psutil.NoSuchProcess):
            logger.info("run %s: the worker %d had ended already", self.uid, pid)

    def _close_books(self, row: RunRow, started: bool) -> None:
        """The worker is gone: where it could not say how it ended, say it."""
        if row.status not in ("queued", "running"):
            if self._process is not None and not started:
                self.failed.emit("The run could not be started.", self._last_words())
            return
        status: RunStatus = "interrupted"
        forced = self._phase in ("asked", "saving", "terminating", "killing")
        if row.status == "queued":
            if self._process is None:
                return  # never started: it stays queued
            if forced:
                status, failure, message = "stopped", "", ""
            else:
                status, failure, message = "failed", "bug", self._last_words()
        elif forced:
            failure, message = "", "The worker was ended by force."
        else:
            failure, message = "lost", self._last_words()
        with Store.open(self._home.database) as writer:
            if writer.run(self.uid).status == row.status:  # nobody has started it again
                writer.set_status(self.uid, status, failure, message)

    def _last_words(self) -> str:
        code = self._process.returncode if self._process is not None else None
        how = f"The worker ended without a word (exit code {code})." if code is not None else ""
        try:
            text = (self._home.run(self.uid) / spawn.LOG).read_text("utf-8", "replace")
        except OSError:
            text = ""
        return f"{how or 'The worker is gone.'}\n{text[-LOG_TAIL:]}".strip()

    def _leave(self) -> None:
        if self._process is not None and self._process.poll() is None:
            _left_running.append(self._process)
        self._enter("detached")

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._rung_since = time.monotonic()
        self.phase.emit(phase)
