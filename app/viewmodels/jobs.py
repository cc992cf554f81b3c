"""Jobs on models (look up, fetch, inspect, convert, export): each a child process, watched here.

Nothing waits. Two work at a time, the others wait their turn. A job goes on while another page is shown;
when the window closes all are ended: half-written folders are removed, the bytes of a download are kept.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from app.viewmodels import words
from core.engine import jobs, spawn
from core.engine.jobs import Advance, Job, Outcome, Rate
from core.store.home import Home

AT_ONCE = 2
GRACE_MS = 3000
"""From the request to end to the end by force."""
KEPT_LINES = 20
"""Of what a process wrote beside its answer."""
RUNNING, WAITING, DONE, FAILED, CANCELLED = "running", "queued", "done", "failed", "stopped"
TITLES = {
    "inspect": "Look at",
    "look_up": "Look at",
    "download": "Download",
    "convert": "Convert",
    "export": "Export",
}
_QUIET = frozenset({"inspect", "look_up"})
"""Kinds whose answer is shown where it was asked for."""


@dataclass(frozen=True)
class JobView:
    """A job as a line of the list.

    Attributes:
        state: "queued", "running", "done", "failed" or "stopped".
        progress: 0-1, None while nothing can be said.
        note: how far, how fast, how long; or what came of it.
        hint: what to do about a failure.
        quiet: its answer is shown elsewhere, the list may leave it out once it is done.
        folder: what it wrote, "" for nothing.
        leaving: it was cancelled, and is still cleaning up.
    """

    key: int
    kind: str
    title: str
    state: str
    status_text: str
    progress: float | None
    note: str
    hint: str
    quiet: bool
    folder: str
    leaving: bool


@dataclass
class _Task:
    key: int
    job: Job
    title: str
    state: str = WAITING
    process: QProcess | None = None
    pid: int = 0
    said: bytes = b""
    rate: Rate = field(default_factory=Rate)
    advance: Advance | None = None
    outcome: Outcome | None = None
    leaving: bool = False
    """It was asked to end, and its process is still there."""
    dropped: bool = False
    """Nobody wants to hear of it any more."""


class JobsViewModel(QObject):
    """The jobs of this window, oldest first.

    Args:
        home: where database, checkpoints and caches lie.
        offload: runs a function away from the window's thread, then calls back.
    """

    changed = Signal()
    ended = Signal(int, str)  # key, state

    def __init__(
        self,
        home: Home,
        offload: Callable[[Callable[[], object], Callable[[object], None]], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._home = home
        self._offload = offload
        self._tasks: dict[int, _Task] = {}
        self._keys = count(1)
        self._closed = False

    # what goes in

    def start(self, job: Job, title: str = "") -> int:
        """Begin a job, or let it wait for its turn; the answer is its key. The same is not done twice at once."""
        for task in self._tasks.values():
            if task.job == job and task.state in (RUNNING, WAITING) and not task.leaving:
                return task.key
        key = next(self._keys)
        whole = job.kind in ("download", "look_up")
        source = job.source if whole else words_of_source(job.source)
        named = title or f"{TITLES[job.kind]} {source}"
        self._tasks[key] = _Task(key, job, named)
        self._begin_next()
        self.changed.emit()
        return key

    def look_at(self, source: str, origin: str, revision: str = "main") -> int:
        """Inspect a folder or a file, or look a hub id up."""
        kind = "look_up" if origin == "hub" else "inspect"
        return self.start(Job(kind, source, options={"revision": revision}))

    def download(self, repository: str, revision: str = "main") -> int:
        """Fetch a model from the hub."""
        return self.start(Job("download", repository, options={"revision": revision}))

    def convert(self, file: str, target: str = "") -> int:
        """Convert a GGUF file, into the cache or into a folder."""
        return self.start(Job("convert", file, target))

    def export(self, identity: str, target: str, form: str, name: str, dtype: str = "auto") -> int:
        """Write a checkpoint into a folder."""
        options = {"form": form, "dtype": dtype}
        what = form if dtype == "auto" else f"{form}, {dtype}"
        return self.start(Job("export", identity, target, options), f"Export {name}, {what}")

    def again(self, key: int) -> int:
        """Do a job that failed or was cancelled once more; a download goes on where it ended."""
        task = self._tasks[key]
        if task.process is None and task.state in (FAILED, CANCELLED):
            del self._tasks[key]
        return self.start(task.job, task.title)

    def cancel(self, key: int) -> None:
        """End a job: asked first, by force after three seconds."""
        task = self._tasks.get(key)
        if task is None or task.state not in (RUNNING, WAITING) or task.leaving:
            return
        if task.process is None:
            self._end(task, CANCELLED)
            return
        task.leaving = True
        process = task.process
        process.terminate()
        grace = QTimer(process, singleShot=True, interval=GRACE_MS)  # goes with the process
        grace.timeout.connect(process.kill)
        grace.start()
        self.changed.emit()

    def drop(self, key: int) -> None:
        """End a job whose answer nobody waits for any more, and take it off the list."""
        task = self._tasks.get(key)
        if task is not None:
            task.dropped = True
            self.cancel(key)
            self.forget(key)

    def forget(self, key: int) -> None:
        """Take a finished job off the list."""
        task = self._tasks.get(key)
        if task is not None and task.process is None and task.state not in (RUNNING, WAITING):
            del self._tasks[key]
            self.changed.emit()

    def close(self) -> None:
        """The window closes: end all and wait until they are gone."""
        self._closed = True
        working = [task for task in self._tasks.values() if task.process is not None]
        for task in working:
            assert task.process is not None
            task.process.blockSignals(True)
            task.process.terminate()
        for task in working:
            assert task.process is not None
            if not task.process.waitForFinished(GRACE_MS):
                task.process.kill()
                task.process.waitForFinished(GRACE_MS)
            _remove(jobs.leftovers(task.job, self._home, task.pid))
            task.process = None
        self._tasks.clear()

    # what comes out

    def jobs(self) -> tuple[JobView, ...]:
        """All jobs, oldest first."""
        return tuple(_view(task) for task in self._tasks.values())

    def job(self, key: int) -> JobView | None:
        """One job by its key."""
        task = self._tasks.get(key)
        return None if task is None else _view(task)

    def result(self, key: int) -> Mapping[str, Any]:
        """What came of a job that is done."""
        task = self._tasks.get(key)
        return {} if task is None or task.outcome is None else task.outcome.result

    @property
    def exporting(self) -> frozenset[str]:
        """Identities of the checkpoints whose files are being read, or soon will be."""
        return frozenset(
            task.job.source
            for task in self._tasks.values()
            if task.job.kind == "export" and task.state in (RUNNING, WAITING)
        )

    @property
    def loss(self) -> str:
        """What closing the window ends, and what becomes of it; "" when nothing is at work."""
        return "\n".join(
            f"{task.title}: {_left(task)}"
            for task in self._tasks.values()
            if task.state in (RUNNING, WAITING) and task.job.kind not in _QUIET
        )

    @property
    def working(self) -> int:
        """How many jobs work or wait."""
        return sum(task.state in (RUNNING, WAITING) for task in self._tasks.values())

    # inside

    def _begin_next(self) -> None:
        for task in self._tasks.values():
            if sum(it.process is not None for it in self._tasks.values()) >= AT_ONCE:
                return
            if task.state == WAITING:
                self._begin(task)

    def _begin(self, task: _Task) -> None:
        task.state = RUNNING
        process = task.process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in spawn.environment().items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(lambda: self._read(task))
        process.finished.connect(lambda: self._finished(task))
        process.errorOccurred.connect(lambda error: self._failed(task, error))
        program, *arguments = jobs.command(task.job, self._home)
        process.start(program, arguments)
        task.pid = process.processId()
        process.write(jobs.question(task.job).encode())
        process.closeWriteChannel()

    def _read(self, task: _Task) -> None:
        if task.process is None:
            return
        task.said += task.process.readAllStandardOutput().data()
        *lines, task.said = task.said.split(b"\n")
        for line in lines:
            said = jobs.read(line.decode("utf-8", "replace"))
            if isinstance(said, Advance):
                task.advance = said
                task.rate.take(time.monotonic(), said)
            elif said is not None:
                task.outcome = said
        self.changed.emit()

    def _failed(self, task: _Task, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # else `finished` comes as well
            self._finished(task)

    def _finished(self, task: _Task) -> None:
        process = task.process
        if process is None:
            return
        self._read(task)
        if task.outcome is None:
            written = bytes(process.readAllStandardError().data()).decode("utf-8", "replace")
            lines = written.strip().splitlines()[-KEPT_LINES:]
            task.outcome = jobs.unanswered(process.exitCode(), lines)
        task.process = None
        process.deleteLater()
        cancelled = task.leaving and task.outcome.error
        self._end(task, CANCELLED if cancelled else FAILED if task.outcome.error else DONE)
        if task.state != DONE:
            self._offload(
                lambda: _remove(jobs.leftovers(task.job, self._home, task.pid)), lambda _: None
            )

    def _end(self, task: _Task, state: str) -> None:
        task.state = state
        if task.dropped:
            self._tasks.pop(task.key, None)
        self._begin_next()
        self.changed.emit()
        self.ended.emit(task.key, state)


def words_of_source(source: str) -> str:
    """The last part of a path or id."""
    return source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _view(task: _Task) -> JobView:
    advance = task.advance
    whole = advance is not None and advance.total > 0
    progress = advance.done / advance.total if advance is not None and whole else None
    texts = {RUNNING: "working", WAITING: "waits", CANCELLED: "cancelled"}
    leaving = task.leaving and task.state == RUNNING
    note, hint = "", ""
    if task.state == RUNNING:
        note = _progress_note(task)
    elif task.state == CANCELLED:
        note = (
            "What has arrived is kept; Again goes on from there."
            if task.job.kind == "download"
            else "Half-written files are removed."
        )
    elif task.outcome is not None:
        folder = str(task.outcome.result.get("folder", ""))
        note, hint = task.outcome.error or folder, task.outcome.hint
    return JobView(
        key=task.key,
        kind=task.job.kind,
        title=task.title,
        state=task.state,
        status_text="ending" if leaving else texts.get(task.state, task.state),
        leaving=leaving,
        progress=1.0 if task.state == DONE else progress,
        note=note,
        hint=hint,
        quiet=task.job.kind in _QUIET,
        folder=str(task.outcome.result.get("folder", "")) if task.outcome is not None else "",
    )


def _left(task: _Task) -> str:
    """What is left of a job that is ended."""
    if task.job.kind == "download":
        return "what has arrived is kept, and the next attempt goes on from there."
    return "half-written files are removed."


def _progress_note(task: _Task) -> str:
    if task.advance is None:
        return "starting"
    advance, rate = task.advance, task.rate.per_second
    in_bytes = advance.unit == "B"
    parts = [
        words.of(advance.done, advance.total) if in_bytes else f"{advance.done} {advance.unit}",
        f"{words.size(rate)}/s" if rate is not None and in_bytes else "",
        f"{words.duration(task.rate.seconds_left)} left" if rate is not None else "",
    ]
    return " · ".join(part for part in parts if part)
