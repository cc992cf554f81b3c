"""A run of several processes, watched from the command line by its log in the database.

The launcher and its processes are in sessions of their own, so a Ctrl-C reaches this program alone, which
asks the run to stop and goes on watching; the second one ends the main process, and with it the others.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from core.engine import control, liveness, spawn
from core.errors import UserError
from core.events import Event, RunStatus
from core.store.home import Home
from core.store.store import Store

TAIL_SECONDS = 0.2


@dataclass(frozen=True)
class Watch:
    """Executes a run in so many processes; called as `core.engine.worker.execute` is."""

    processes: int

    def __call__(self, uid: str, home: Home, on_event: Callable[[Event], None]) -> RunStatus:
        """Start the processes, tell each event, and return the status when all have ended.

        Raises:
            UserError: the run could not be started.
        """
        with Store.open(home.database) as store:
            session = store.run(uid).session
            cursor = _last(store, uid)
            process = spawn.start(uid, home, self.processes)
            heeded = 0
            with _interrupts() as interrupts:
                while True:
                    over = process.poll() is not None  # before the look: nothing later is missed
                    cursor = _tell(store, uid, cursor, on_event)
                    if over:
                        break
                    if len(interrupts) > heeded:
                        heeded = len(interrupts)
                        if heeded == 1:
                            control.request_stop(home, uid, keep=True)
                        else:
                            _kill(store, uid)
                    time.sleep(TAIL_SECONDS)
            liveness.reconcile(store)
            row = store.run(uid)
        if row.session == session:
            raise UserError(
                f"The run {uid} could not be started in {self.processes} processes.",
                f"Why is in {home.run(uid) / spawn.LOG}.",
            )
        return row.status


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collects each Ctrl-C. As an exception it could be raised, and lost, anywhere in a library."""
    found: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: found.append(number))
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)


def _last(store: Store, uid: str) -> int:
    cursor = 0
    while page := store.events(uid, after=cursor):
        cursor = page[-1].seq
    return cursor


def _tell(store: Store, uid: str, cursor: int, on_event: Callable[[Event], None]) -> int:
    while page := store.events(uid, after=cursor):
        for logged in page:
            cursor = logged.seq
            on_event(logged.event)
    return cursor


def _kill(store: Store, uid: str) -> None:
    row = store.run(uid)
    if row.pid is not None and liveness.is_live(row):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(row.pid).kill()
