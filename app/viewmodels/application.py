"""The composition of the view models: what is running, what waits, what is open, and who may write.

Reading and writing happen in two background threads; a run that is watched has a `RunThread` of its own.
The window's thread only hands things on. Nothing is started before `begin`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from app import collector
from app.queue import Waiting
from app.run_thread import Runner, Spawn
from app.settings import Settings
from app.viewmodels import bookkeeping
from app.viewmodels.activity import Activity
from app.viewmodels.check import CheckViewModel
from app.viewmodels.compare import CompareViewModel
from app.viewmodels.data import DataViewModel
from app.viewmodels.doors import Doors
from app.viewmodels.endings import RunEnds, announced
from app.viewmodels.estimates import EstimatesViewModel
from app.viewmodels.jobs import JobsViewModel
from app.viewmodels.look import Look, Snapshot
from app.viewmodels.machine import MachineMonitor
from app.viewmodels.models import ModelsViewModel
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.open_runs import OpenRuns
from app.viewmodels.prompt_tokens import PromptTokens
from app.viewmodels.provenance import run_part
from app.viewmodels.queueing import Queueing
from app.viewmodels.run import RunViewModel
from app.viewmodels.run_deletion import RunDeletion
from app.viewmodels.run_edits import RunEdits
from app.viewmodels.run_lister import RunListing
from app.viewmodels.run_queue import RunQueue
from app.viewmodels.runs import RunsModel
from app.viewmodels.storage import Storage, measure
from app.viewmodels.sweep import SweepViewModel
from app.viewmodels.types import RunSummary
from app.viewmodels.workers import Workers
from core.engine import liveness, spawn
from core.recipe.files import dump, load
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.rows import RunRow
from core.store.store import Store

logger = logging.getLogger(__name__)

SAMPLE_TAG = "sample"
RECONCILE_SECONDS = 10
"""How often runs that nobody watches are looked after for a worker that vanished."""


class Application(QObject):
    """Everything the window can do.

    Args:
        home: where database, checkpoints and logs lie.
        settings: preferences.
        spawn: starts a worker process.
        in_process: runs workers inside their thread instead (for debugging).
        notices: sentences to tell once the database is open.
    """

    runsChanged = Signal()
    runAdded = Signal(str)
    runEnded = Signal(str, str, str)  # uid, name, status: of a run that was at work until now
    message = Signal(str, str, str)  # level, text, hint
    shut = Signal(str, str)  # text, hint: the database cannot be opened; `open_again` tries
    activeChanged = Signal()
    statusLineChanged = Signal()

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        spawn: Spawn = spawn.start,
        in_process: Runner | None = None,
        notices: Sequence[str] = (),
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.home = home
        self.settings = settings
        self._notices = tuple(notices)
        self._doors = Doors(home, self)
        self._writer, self._reader = self._doors.writer, self._doors.reader
        self._doors.failed.connect(self._failed)
        self._doors.refused.connect(self._refused)
        self._doors.opened.connect(self._opened)
        self._reader.databaseChanged.connect(self.refresh)
        self.runs = RunsModel(self)
        self.edits = RunEdits(self._write, self)
        self.compare = CompareViewModel(self._reader.submit, self)
        self.new_run = NewRunViewModel(self.start, self.offload, self)
        self.prompt_tokens = PromptTokens(home, self.new_run, self)
        self.estimates = EstimatesViewModel(home, self)
        self.new_run.checked.connect(self.estimates.want)
        self.data = DataViewModel(home, settings, self._reader.submit, self.new_run, self)
        self.data.message.connect(self.message)
        self.jobs = JobsViewModel(home, self.offload, self)
        self.models = ModelsViewModel(
            home, self._reader.submit, self._write, self.message.emit, self
        )
        self.runsChanged.connect(self.models.something_changed)
        self._look = Look(home)
        self.machine = MachineMonitor(home.path, self)
        self._reading = self._read_again = False
        self._ends = RunEnds(self)
        self._ends.ended.connect(self.runEnded)
        self._listing = RunListing()
        self._status_line = ""
        self._open = OpenRuns(self._describe, self.offload, self)
        self._workers = Workers(home, self._open.model, spawn, in_process, self)
        self._activity = Activity(self._workers, self._open, self.runs)
        self._workers.ended.connect(self._ended)
        self._workers.failed.connect(self._failed)
        self._workers.changed.connect(self.activeChanged)
        self._deletion = RunDeletion(
            self._workers,
            self._open,
            self.edits,
            self.runs.rows,
            self.device,
            self.message.emit,
            self._start_waiting,
        )
        self.queueing = Queueing(self._write, self._workers.enqueue, self._start_waiting)
        self.sweep = SweepViewModel(
            self.new_run, self.queueing.many, self.offload, self.estimates, self
        )
        self.check = CheckViewModel(
            self.new_run, self.queueing.many, self.open_run, self.stop, self
        )
        self.queue = RunQueue(
            self._workers, self.runs, self.active, self._write, self._start_waiting, self
        )
        self.activeChanged.connect(self.queue.refresh)
        self.machine.sampled.connect(self.queue.refresh)  # progress moves while nothing else does
        self._begun = self._filled = self._closed = False
        self._reconcile = QTimer(self, interval=1000 * RECONCILE_SECONDS)
        self._reconcile.timeout.connect(self._look_after)

    def begin(self) -> None:
        """Open the database and fill the list; call it once the window has been painted."""
        if self._begun:
            return
        self._begun = True
        self._doors.open()
        self.machine.begin()

    def open_again(self) -> None:
        """Try again to open a database that could not be opened."""
        self._doors.open()

    def _opened(self, books: bookkeeping.Books) -> None:
        notices = "\n".join((*self._notices, *books.notices))
        if notices:
            self.message.emit("warning", notices, "")
        self.queue.restore(books.queue)
        self._doors.read()
        self.refresh()
        self._reconcile.start()

    def _refused(self, message: str, hint: str) -> None:
        self._reading = False
        self.new_run.start_answered()
        self.shut.emit(message, hint)
        if self._reader.isRunning():
            self.refresh()  # what cannot be written can be read

    # runs

    def start(self, recipe: Recipe) -> None:
        """Queue a run and start it when its device is free; answers with `runAdded` or `message`."""
        self.queueing.many((recipe,), (), self._queued)

    def _queued(self, uids: tuple[str, ...]) -> None:
        self.new_run.start_answered()
        for uid in uids:
            self.runAdded.emit(uid)

    def resume(self, uid: str) -> None:
        """Start the worker of a run that is not running; what is finished is not done again."""
        row = self._row(uid)
        if self._workers.is_watched(uid) or uid in self._workers.waiting:
            self.message.emit("info", "This run is being started already.", "")
        elif row is not None and liveness.is_live(row):
            self.message.emit("info", "This run is running already.", "")
        else:
            self._workers.enqueue([Waiting(uid, self.device(uid))])
            self._start_waiting()

    def stop(self, uid: str, keep: bool) -> None:
        """Ask a run to stop; one that waits leaves the queue."""
        if self._workers.leave_queue((uid,)):
            self._write(lambda store: bookkeeping.set_stopped(store, uid))
            return
        row = self._row(uid)
        if not self._workers.is_watched(uid):
            if row is None or not liveness.is_live(row):
                self.message.emit("info", "This run is not running.", "")
                return
            self._workers.attach(uid, self.device(uid))
        self._workers.stop(uid, keep)

    def save_now(self, uid: str) -> None:
        """Ask a running run for a checkpoint."""
        if self._workers.save_now(uid):
            self.message.emit("info", "The checkpoint is saved after the step in progress.", "")

    def delete(self, uids: Sequence[str]) -> None:
        """Delete runs, which can be undone; their checkpoints stay. Running ones are refused."""
        self._deletion.delete(uids)

    def open_run(self, uid: str) -> RunViewModel:
        """The view model of a run; it fills itself and follows the run from now on."""
        model = self._open.model(uid)
        row = self._row(uid)
        # One that waits gets its thread when its turn comes.
        idle = uid in self._workers.waiting or (row is not None and row.status == "queued")
        if not model.loaded and not idle:
            self._workers.attach(uid, self.device(uid))
        self._open.opened(uid, self._workers.is_watched)
        self._activity.tell_waiting()
        return model

    def duplicate(self, uid: str) -> None:
        """Begin a new recipe with the settings of a run, under a name that no run has."""
        taken = {entry.row.name for entry in self._listing.entries.values()}

        def read(store: Store) -> str:
            return dump(Recipe.model_validate_json(store.run(uid).recipe_json))

        self._reader.submit(read, lambda text: self.new_run.reuse(text, taken))

    def active(self) -> tuple[RunSummary, ...]:
        """Running runs, then those that wait, in the order in which they will start."""
        return self._activity.active(self._listing.running)

    def pace(self, uid: str) -> str:
        """ "step 128 of 200 · 21 s/step · ends 14:52 · worker 1.0 GiB" of a run that is followed, else ""."""
        model = self._open.get(uid)
        parts = (model.pace_text, model.memory_text) if model is not None else ()
        return " · ".join(filter(None, parts))

    def device(self, uid: str) -> str:
        """The device that a run's recipe asks for."""
        entry = self._listing.entries.get(uid)
        return entry.device if entry is not None else "auto"

    @property
    def status_line(self) -> str:
        """What the status bar says of the database."""
        return self._status_line

    def start_preset(self, path: str) -> None:
        """Start a recipe that ships with Rekindle, as it is; the draft in New run stays."""
        self._reader.submit(lambda store: load(Path(path)), self.start)

    def sample_run(self) -> str:
        """A finished run to explore: the newest of the sample project, else the newest; "" for none."""
        return self._listing.newest("done", SAMPLE_TAG) or self._listing.newest("done")

    def measure_storage(self, done: Callable[[Storage], None]) -> None:
        """Add up what lies in the home folder."""
        self._reader.submit(lambda store: measure(self.home), done)

    def refresh(self) -> None:
        """Read the list again; calls that come while it is being read count as one."""
        if self._reading:
            self._read_again = True
            return
        self._reading = True
        self._reader.submit(self._look, self._take)

    def close(self) -> None:
        """End all threads. Workers go on; a run inside this process is asked to save and waited for."""
        if self._closed:
            return
        self._closed = True
        self._reconcile.stop()
        self._workers.close()
        self.machine.close()
        self.estimates.close()
        self.prompt_tokens.close()
        self.data.close()
        self.jobs.close()
        self._doors.close()

    # inside

    def _take(self, snapshot: Snapshot) -> None:
        self._reading = False
        active, before = self.active(), self._listing
        self._listing = snapshot.listing
        self._ends.listed(before, snapshot.listing, self._workers.is_watched)
        self.runs.take(snapshot.listing)
        running = filter(None, map(self._row, snapshot.listing.running))
        self._open.follow([row.uid for row in running if liveness.is_live(row)])
        for uid, model in self._open.items():
            row = self._row(uid)
            if row is not None:
                model.describe(row)
                self._follow(row, model)
        rows = {uid: self._row(uid) for uid in self.compare.uids()}
        self.compare.reread({uid: row for uid, row in rows.items() if row is not None})
        at_work = self.runs.rows(self._listing.running)
        self.machine.watch({run_part(row.name, row.uid): row.pid for row in at_work if row.pid})
        if snapshot.status != self._status_line:
            self._status_line = snapshot.status
            self.statusLineChanged.emit()
        if snapshot.listing.complete:
            self.queue.listed(snapshot.queue)
            if not self._filled:
                self._filled = True
                collector.keep()
        self.runsChanged.emit()
        if self.active() != active:
            self.activeChanged.emit()
        self._start_waiting()
        if self._read_again or not snapshot.listing.complete:
            self._read_again = False
            self.refresh()

    def _follow(self, row: RunRow, model: RunViewModel) -> None:
        """Watch an open run that was started (again) by somebody else."""
        if row.status != "running" or self._workers.is_watched(row.uid):
            return
        if row.session > self._workers.seen_session(row.uid):
            model.reset()
            self._workers.attach(row.uid, self.device(row.uid))

    def _start_waiting(self) -> None:
        running = self._listing.running
        busy = {self.device(uid) for uid in running if not self._workers.is_watched(uid)}
        self._workers.start_waiting(busy, running)

    def _ended(self, uid: str, status: str, own: bool) -> None:
        model = self._open.get(uid)
        if own or uid in self._listing.running:  # a thread that only read an old log ends, too
            name = model.name if model is not None else uid
            self._ends.one(uid, self._workers.seen_session(uid), name, status)
        if model is not None:
            model.ended(status)
            if own:
                text, hint = model.failure
                level, told, hint = announced(model.name, status, text or model.status_text, hint)
                if told:
                    self.message.emit(level, told, hint)
        self._deletion.ended(uid)
        self._open.tidy(self._workers.is_watched)
        self.refresh()

    def _look_after(self) -> None:
        self._writer.submit(bookkeeping.reconcile_quietly)

    def _describe(self, model: RunViewModel) -> None:
        row = self._row(model.uid)
        if row is not None:
            model.describe(row)
        else:
            self._reader.submit(lambda store: store.run(model.uid), model.describe)

    def _row(self, uid: str) -> RunRow | None:
        entry = self._listing.entries.get(uid)
        return entry.row if entry is not None else None

    def _write(
        self, job: Callable[[Store], object], done: Callable[[object], None] | None = None
    ) -> None:
        def after(answer: object) -> None:
            if done is not None:
                done(answer)
            self.refresh()

        self._writer.submit(job, after)

    def offload(self, job: Callable[[], object], done: Callable[[object], None]) -> None:
        """Run a job off the window's thread, then `done` on it."""
        self._reader.submit(lambda store: job(), done)

    def _failed(self, message: str, hint: str) -> None:
        self._reading = False
        for starting in (self.new_run, self.sweep, self.check):
            starting.start_answered()
        self.message.emit("error", message, hint)
