"""Writes events to the store from a thread of its own, in batches, and keeps the heart beating.

`emit` costs a queue's put; the log is at most a quarter of a second behind, and up to date after every
event that a resume depends on. What the thread raises (a full disk) is raised by the next `emit`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from core.events import (
    CheckpointSaved,
    Event,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
)

BATCH_ROWS = 500
BATCH_SECONDS = 0.25
BEAT_SECONDS = 2.0

_URGENT = (RunStarted, StageStarted, StageFinished, CheckpointSaved, RunFinished)
_Entry = Event | threading.Event  # a threading.Event is set once all events before it are written


class Recorder:
    """A context manager; leaving it writes what is left.

    Args:
        record: writes events in one transaction.
        heartbeat: the event that says the worker lives; also called in the thread.
        on_event: told each emitted event at once, in the emitting thread.
        beat_seconds: time between heartbeats.
    """

    def __init__(
        self,
        record: Callable[[Sequence[Event]], None],
        heartbeat: Callable[[], Event],
        *,
        on_event: Callable[[Event], None] | None = None,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._record, self._heartbeat, self._on_event = record, heartbeat, on_event
        self._beat_seconds = beat_seconds
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._executor = ThreadPoolExecutor(1, "recorder")
        self._work: Future[None] = self._executor.submit(self._loop)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._executor.shutdown()
        self._raise_if_dead()

    def emit(self, event: Event) -> None:
        """Take an event for writing.

        Raises:
            Exception: what an earlier write failed with.
        """
        self._raise_if_dead()
        self._queue.put(event)
        if self._on_event is not None:
            self._on_event(event)

    def flush(self) -> None:
        """Wait until every event emitted before is written."""
        written = threading.Event()
        self._queue.put(written)
        while not written.wait(BATCH_SECONDS):
            self._raise_if_dead()

    def _raise_if_dead(self) -> None:
        if self._work.done():
            self._work.result()

    def _loop(self) -> None:
        batch: list[Event] = []
        beat_due = time.monotonic()
        write_due = float("inf")
        while True:
            now = time.monotonic()
            if now >= beat_due:
                batch.append(self._heartbeat())
                beat_due, write_due = now + self._beat_seconds, now
            if batch and (now >= write_due or len(batch) >= BATCH_ROWS):
                self._record(batch)
                batch, write_due = [], float("inf")
            try:
                entry = self._queue.get(timeout=max(0.0, min(beat_due, write_due) - now))
            except queue.Empty:
                continue
            if isinstance(entry, threading.Event) or entry is None:
                if batch:
                    self._record(batch)
                    batch, write_due = [], float("inf")
                if entry is None:
                    return
                entry.set()
                continue
            batch.append(entry)
            delay = 0.0 if isinstance(entry, _URGENT) else BATCH_SECONDS
            write_due = min(write_due, time.monotonic() + delay)
