"""One run on the screen, folded from its events.

`apply` is the only way in for events, and the same for a run of this second and one of last year. What
the log cannot say (name, queued, a worker that vanished) comes from the run's row by `describe`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence

from PySide6.QtCore import QObject, QTimer, Signal
from shiboken6 import isValid

from app.viewmodels import diagnostics, pace, recipe_words, words
from app.viewmodels.answers import Answers, Offload
from app.viewmodels.run_fold import (
    CKA,
    COMPLETIONS,
    GUARDS,
    HEADER,
    LOG,
    SCORES,
    SERIES,
    STAGES,
    RunFold,
)
from app.viewmodels.run_readings import RunReadings
from core.events import RunFinished, RunStarted
from core.recipe.files import dump
from core.recipe.spec import Recipe
from core.store.rows import LoggedEvent, RunRow

SLICE_SECONDS = 0.005
"""Longest uninterrupted work on the window's thread; well under the 16 ms of a frame."""
SLICE_EVENTS = 16
"""Events folded between two looks at the clock."""
EMIT_SECONDS = 0.1
"""While events pour in, the changed signals come at most this often."""
AT_WORK = frozenset({"running", "asked", "saving", "terminating", "killing"})
"""Phases in which the run's thread sees its worker."""
_ALL = (HEADER, STAGES, SERIES, SCORES, CKA, COMPLETIONS, GUARDS, LOG, "loadedChanged")


class RunViewModel(RunReadings):
    """Everything the run page shows of one run. Each changed signal comes at most once an `apply`."""

    headerChanged = Signal()
    stagesChanged = Signal()
    seriesChanged = Signal()
    scoresChanged = Signal()
    ckaChanged = Signal()
    completionsChanged = Signal()
    guardsChanged = Signal()
    logChanged = Signal()
    loadedChanged = Signal()
    consumed = Signal(int)  # that many fed events have been applied

    def __init__(
        self, uid: str, parent: QObject | None = None, offload: Offload | None = None
    ) -> None:
        super().__init__(parent)
        self.uid = self.name = uid
        self.status, self._phase = "queued", ""
        self._waiting = False
        self.loaded = self._caught_up = False
        self.recipe: Recipe | None = None
        self._row_failure = ("", "")  # class, message
        self._pending: deque[LoggedEvent] = deque()
        self._dirty: dict[str, None] = {}  # signal names, in order
        self._next_emit = 0.0
        self._facts: dict[str, tuple[str, ...]] = {}
        self._paired = offload, self._answered
        self._fold = RunFold(Answers(*self._paired))
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._slice)

    def _answered(self) -> None:
        if isValid(self):  # an answer may come after the run was deleted
            self._touch(SCORES)
            self._emit()

    # what goes in

    def describe(self, row: RunRow) -> None:
        """Take name, recipe and state from the run's row."""
        known = (self.name, self.status, self._row_failure)
        self.name = row.name
        # The list may have been read before the run's thread saw its worker begin.
        if self._phase not in AT_WORK:
            self.status = row.status
        self._row_failure = (row.failure, row.failure_message)
        self._close_strip()
        if self.recipe is None:
            self._read_recipe(row.recipe_json)
        if known != (self.name, self.status, self._row_failure):
            self._touch(HEADER, STAGES)
        self._emit()

    def feed(self, events: Iterable[LoggedEvent]) -> None:
        """Take events to be applied in slices, so that the window stays awake."""
        self._pending.extend(events)
        if not self._timer.isActive():
            self._timer.start()

    def caught_up(self) -> None:
        """The log up to now has been fed; `loaded` follows when it is applied."""
        self._caught_up = True
        if not self._timer.isActive():
            self._timer.start()

    def apply(self, events: Sequence[LoggedEvent]) -> None:
        """Fold `events` and tell what changed."""
        for logged in events:
            self._take(logged)
        self._emit()

    def set_phase(self, phase: str) -> None:
        """The rung of the stop ladder, from the run's thread."""
        if self._phase != phase:
            self._phase = phase
            if phase == "running":  # the thread has seen its worker at work
                self.status = "running"
            self._touch(HEADER)
            self._emit()

    def set_waiting(self, waiting: bool) -> None:
        """Whether the run waits in the queue, for the first time or to be resumed."""
        if self._waiting != waiting:
            self._waiting = waiting
            self._touch(HEADER)
            self._emit()

    def ended(self, status: str) -> None:
        """The run's thread has ended and read this state from the run's row."""
        self._phase = ""
        self.status = status
        self._close_strip()
        self._touch(HEADER, STAGES)
        self._emit()

    def reset(self) -> None:
        """Forget all events: the run is resumed, and its log is read anew."""
        self._pending.clear()
        self._caught_up = self.loaded = False
        self._fold = RunFold(Answers(*self._paired))
        self._touch(*_ALL)
        self._emit()

    # what comes out

    @property
    def state(self) -> str:
        """What is shown of the run: its status, but where a worker is on its way or it waits for its device."""
        if self._waiting:
            return "queued"
        return "starting" if self.is_starting else self.status

    @property
    def status_text(self) -> str:
        """The state in words; a failed run names its class."""
        known = (
            self._fold.failure.failure if self._fold.failure is not None else self._row_failure[0]
        )
        return words.status(self.state, known)

    @property
    def failure(self) -> tuple[str, str]:
        """What went wrong and what to do; two empty texts while nothing has."""
        if self.state not in ("failed", "interrupted"):
            return "", ""
        if self.status == "failed" and self._fold.failure is not None:
            return self._fold.failure.message, self._fold.failure.hint
        if self.status == "failed":
            return self._row_failure[1], ""
        return self._row_failure[1] or words.GONE, words.RESUME

    def diagnostics(self) -> str:
        """What a person may send to others about this run; without what is private."""
        return diagnostics.report(
            status=self.status_text,
            failure=self.failure,
            recipe=self.recipe_text,
            environment=self._fold.environment,
            log=self.log(),
        )

    @property
    def phase_text(self) -> str:
        """What is being done about stopping the worker; "" otherwise."""
        return words.PHASE[self._phase] if self.is_stopping else ""

    @property
    def is_starting(self) -> bool:
        """A worker is on its way."""
        return self._phase == "starting" and self.status != "running"

    @property
    def is_stopping(self) -> bool:
        """The worker was asked to stop and has not ended yet."""
        return bool(words.PHASE.get(self._phase))

    @property
    def is_waiting(self) -> bool:
        """It stands in the queue."""
        return self._waiting

    @property
    def facts(self) -> tuple[str, ...]:
        """Seed, teacher, protocol, and the memory of the training stage, expected and measured."""
        facts = recipe_words.run_facts(self.recipe) if self.recipe is not None else ()
        training = self._fold.strip.newest_training
        memory = self._fold.strip.memory(training.id) if training is not None else ""
        return (*facts, f"{training.id}: memory {memory}") if training and memory else facts

    @property
    def progress(self) -> float | None:
        """Finished share of the whole run, 0-1."""
        return 1.0 if self.status == "done" else self._fold.strip.overall

    @property
    def eta_text(self) -> str:
        """ "sdft: step 128 / 200, 12 m left"; "" when nothing runs."""
        return pace.left(self._fold.strip) if self.status == "running" else ""

    @property
    def stage_left(self) -> float | None:
        """Seconds that the stage at work still takes; None where nobody knows."""
        progress = self._fold.strip.current_progress if self.status == "running" else None
        return None if progress is None else progress.eta

    @property
    def brief_text(self) -> str:
        """ "128 / 200, 12 m left"; "" when nothing runs."""
        return pace.brief(self._fold.strip) if self.status == "running" else ""

    @property
    def pace_text(self) -> str:
        """ "step 128 of 200 · 21 s/step · ends 14:52"; "" when nothing runs."""
        return pace.pace(self._fold.strip, time.time()) if self.status == "running" else ""

    @property
    def memory_text(self) -> str:
        """Memory of the worker at its last heartbeat; "" before one."""
        if self._fold.heartbeat is None or self.status != "running":
            return ""
        device = self._fold.heartbeat.device_memory
        host = f"worker {words.size(self._fold.heartbeat.rss)}"
        return host if device is None else f"{host} · device {words.size(device)}"

    @property
    def can_stop(self) -> bool:
        """A worker is there to be asked, or on its way."""
        return self.status == "running" or self._phase == "starting" or self.is_stopping

    @property
    def can_resume(self) -> bool:
        """A worker may be started (again)."""
        idle = self._phase in ("", "ended", "detached") and not self._waiting
        return self.status in ("interrupted", "stopped", "failed", "queued") and idle

    @property
    def recipe_text(self) -> str:
        """The recipe as YAML; "" when this version cannot read it."""
        return dump(self.recipe) if self.recipe is not None else ""

    # inside

    def _take(self, logged: LoggedEvent) -> None:
        self._touch(*self._fold.take(logged))
        if self.loaded and isinstance(logged.event, RunStarted | RunFinished):
            # While an old log is read, the row knows better how the run ended.
            self.status = self._fold.status

    def _slice(self) -> None:
        """Apply pending events for a few milliseconds."""
        end = time.perf_counter() + SLICE_SECONDS
        count = 0
        while self._pending and (count % SLICE_EVENTS or time.perf_counter() < end):
            self._take(self._pending.popleft())
            count += 1
        if count:
            self.consumed.emit(count)
        if not self._pending:
            self._timer.stop()
            self._close_strip()  # the end may have been told before the last events were taken
            if self._caught_up and not self.loaded:
                self.loaded = True
                self._touch("loadedChanged")
            self._emit()
        elif time.monotonic() >= self._next_emit:
            self._emit()

    def _close_strip(self) -> None:
        if self.status not in ("running", "queued"):
            self._fold.strip.end(self.status)

    def _touch(self, *signals: str) -> None:
        for signal in signals:
            self._dirty[signal] = None

    def _emit(self) -> None:
        dirty, self._dirty = self._dirty, {}
        self._next_emit = time.monotonic() + EMIT_SECONDS
        for name in dirty:
            getattr(self, name).emit()

    def _read_recipe(self, text: str) -> None:
        self.recipe = recipe_words.recipe_of(text)
        if self.recipe is not None:
            self._facts = recipe_words.facts_by_stage(self.recipe)
            self._touch(HEADER, STAGES)
