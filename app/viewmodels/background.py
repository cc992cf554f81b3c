"""Work on the database away from the window's thread: jobs in, answers out by queued signals.

Two such threads serve the window: one that reads and one that writes. A job is a function of the thread's
store; its answer is handed to a callback on the thread that owns the `Background` object. A job that
fails with a `UserError` is reported by `failed`; a defect ends the thread with its traceback, and the
window's excepthook tells the person. Where the database cannot be opened the thread ends, too: jobs given
from then on fail at once, until `admit` and `start` try again.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QThread, QTimer, Signal, Slot

from core.errors import UserError
from core.store.store import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

POLL_SECONDS = 1.0
"""How often other processes' commits are looked for."""

_Job = tuple[Callable[[Store], Any], Callable[[Any], None] | None]


class Background(QThread):
    """One thread with one store. Nothing runs before `start()`; jobs given earlier wait.

    Args:
        database: the file; it must exist by the time the thread starts when `read_only`.
        read_only: open the store for reading and watch for commits (`databaseChanged`).
    """

    databaseChanged = Signal()
    failed = Signal(str, str)  # message, hint: of a job
    refused = Signal(str, str)  # message, hint: the database cannot be opened
    _answered = Signal(object)

    def __init__(self, database: Path, *, read_only: bool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._database = database
        self._read_only = read_only
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = False
        self._refusal: tuple[str, str] | None = None
        self._answered.connect(self._deliver)

    def submit(self, job: Callable[[Store], T], done: Callable[[T], None] | None = None) -> None:
        """Run `job(store)` in the thread, then `done(answer)` on the thread that owns this object."""
        if self._refusal is None:
            self._jobs.put((job, done))
            return
        message, hint = self._refusal
        QTimer.singleShot(0, self, lambda: self.failed.emit(message, hint))

    def refuse(self, message: str, hint: str) -> None:
        """Let jobs fail with these words until the database has been opened."""
        self._refusal = message, hint

    def admit(self) -> None:
        """Take jobs again; call it before `start` tries again."""
        self._refusal = None

    def close(self) -> None:
        """Finish the jobs already given, drop their answers, and end the thread."""
        self._closing = True
        self._jobs.put(None)
        self.wait()

    def run(self) -> None:
        """The thread's loop."""
        try:
            store = Store.open(self._database, read_only=self._read_only)
        except UserError as error:
            self.refuse(error.message, error.hint)
            self.refused.emit(error.message, error.hint)
            return
        with store:
            version = store.data_version()
            while True:
                try:
                    job = self._jobs.get(timeout=POLL_SECONDS if self._read_only else None)
                except queue.Empty:
                    job = None
                    current = store.data_version()
                    if current != version:
                        version = current
                        self.databaseChanged.emit()
                    continue
                if job is None:
                    return
                self._do(store, job)

    def _do(self, store: Store, job: _Job) -> None:
        work, done = job
        try:
            answer = work(store)
        except UserError as error:
            self.failed.emit(error.message, error.hint)
            return
        if done is not None and not self._closing:
            self._answered.emit((done, answer))

    @Slot(object)
    def _deliver(self, pair: tuple[Callable[[Any], None], Any]) -> None:
        if not self._closing:
            done, answer = pair
            done(answer)
