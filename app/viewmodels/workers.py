"""The runs that have a thread of their own, and those that wait for their device.

One `RunThread` per watched run: it starts the worker or attaches to a living one, and feeds the run's view
model. Lives on the window's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from PySide6.QtCore import QObject, Signal, Slot

from app.queue import Waiting, moved, next_to_start
from app.run_thread import Mode, Runner, RunThread, Spawn
from app.viewmodels.run import RunViewModel
from core.store.home import Home

BACKLOG = 2000
"""Events of a run that may wait for the window; more are left in the database meanwhile."""


class _Watched(QObject):
    """A run with a thread of its own; a receiver on the window's thread for the thread's end."""

    ended = Signal(str, str)  # uid, status

    def __init__(self, watcher: RunThread, device: str, parent: QObject) -> None:
        super().__init__(parent)
        self.watcher = watcher
        self.device = device
        watcher.ended.connect(self._on_ended)

    @Slot(str)
    def _on_ended(self, status: str) -> None:
        self.ended.emit(self.watcher.uid, status)


class Workers(QObject):
    """Watches and starts workers.

    Args:
        home: where the runs live.
        model: the view model of a run, which takes its events.
        spawn: starts a worker process.
        in_process: runs workers inside their thread instead.
    """

    ended = Signal(str, str, bool)  # uid, status, whether we had started it
    failed = Signal(str, str)  # message, hint
    changed = Signal()

    def __init__(
        self,
        home: Home,
        model: Callable[[str], RunViewModel],
        spawn: Spawn,
        in_process: Runner | None,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._home = home
        self._model = model
        self._spawn = spawn
        self._in_process = in_process
        self._watched: dict[str, _Watched] = {}
        self._waiting: list[Waiting] = []
        self._seen_session: dict[str, int] = {}
        self._paused = False

    @property
    def paused(self) -> bool:
        """Nothing that waits is started; what runs goes on."""
        return self._paused

    def pause(self, on: bool) -> None:
        """Pause the queue or go on; `start_waiting` then starts what may."""
        if on != self._paused:
            self._paused = on
            self.changed.emit()

    @property
    def queue(self) -> tuple[Waiting, ...]:
        """Runs that wait, with their devices, in order."""
        return tuple(self._waiting)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Runs that wait for their device, in order."""
        return tuple(it.uid for it in self._waiting)

    @property
    def own(self) -> tuple[str, ...]:
        """Runs whose worker we started, oldest first."""
        return tuple(
            uid for uid, watched in self._watched.items() if watched.watcher.mode != "attach"
        )

    def is_watched(self, uid: str) -> bool:
        """Whether a thread follows this run."""
        return uid in self._watched

    def seen_session(self, uid: str) -> int:
        """The last session of a run that was followed to its end; 0 for none."""
        return self._seen_session.get(uid, 0)

    def attach(self, uid: str, device: str) -> None:
        """Follow a run whose worker lives, or read one that has ended."""
        if uid not in self._watched:
            self._watch(uid, "attach", device)

    def enqueue(self, runs: Iterable[Waiting]) -> None:
        """Let runs wait for their devices; `start_waiting` starts them."""
        before = len(self._waiting)
        self._waiting.extend(runs)
        if len(self._waiting) > before:
            self.changed.emit()

    def move(self, uid: str, place: int) -> None:
        """Put a waiting run at another place; 0 is the front."""
        order = moved(self._waiting, uid, place)
        if order != self._waiting:
            self._waiting = order
            self.changed.emit()

    def follow_order(self, order: Sequence[str]) -> None:
        """Let those of these runs that wait wait in this order, and no others."""
        waiting = {it.uid: it for it in self._waiting}
        left = [waiting[uid] for uid in order if uid in waiting]
        if left != self._waiting:
            self._waiting = left
            self.changed.emit()

    def leave_queue(self, uids: Collection[str]) -> tuple[str, ...]:
        """Take runs out of the queue; those of them that waited."""
        wanted = frozenset(uids)
        waited = tuple(it.uid for it in self._waiting if it.uid in wanted)
        if waited:
            self._waiting = [it for it in self._waiting if it.uid not in wanted]
            self.changed.emit()
        return waited

    def start_waiting(self, busy: Collection[str], running: Collection[str]) -> None:
        """Start the runs whose turn it is.

        Args:
            busy: devices that runs outside this queue take.
            running: runs known to be running; a thread that only reads an old log takes no device.
        """
        if self._paused:
            return
        taken = set(busy)
        own = self.own
        for uid, watched in self._watched.items():
            if uid in own or uid in running:
                taken.add(watched.device)
        started = next_to_start(self._waiting, taken)
        for waiting in started:
            self._waiting.remove(waiting)
            self.forget(waiting.uid)  # a thread that read the old log; one thread feeds a model
            self._model(waiting.uid).reset()
            mode: Mode = "spawn" if self._in_process is None else "in_process"
            self._watch(waiting.uid, mode, waiting.device)
        if started:
            self.changed.emit()

    def stop(self, uid: str, keep: bool) -> None:
        """Ask the worker of a watched run to stop."""
        self._watched[uid].watcher.stop(keep)

    def save_now(self, uid: str) -> bool:
        """Ask the worker of a watched run for a checkpoint; False when it is not watched."""
        if uid not in self._watched:
            return False
        self._watched[uid].watcher.save_now()
        return True

    def forget(self, uid: str) -> None:
        """Stop following a run; its worker is left alone."""
        watched = self._watched.pop(uid, None)
        if watched is not None:
            watched.watcher.detach()
            self._put_away(watched)

    def close(self) -> None:
        """End all threads. Workers go on; a run inside this process is asked to save and waited for."""
        for watched in self._watched.values():
            if watched.watcher.mode == "in_process":
                watched.watcher.stop(True)
            watched.watcher.detach()
        for watched in self._watched.values():
            self._put_away(watched)
        self._watched.clear()

    def _watch(self, uid: str, mode: Mode, device: str) -> None:
        model = self._model(uid)
        watcher = RunThread(
            self._home,
            uid,
            mode,
            self._in_process if mode == "in_process" else None,
            self,
            spawn=self._spawn,
            backlog=BACKLOG,
        )
        watcher.events.connect(model.feed)
        watcher.restarted.connect(model.reset)
        watcher.caughtUp.connect(model.caught_up)
        watcher.phase.connect(model.set_phase)
        watcher.failed.connect(self.failed)
        model.consumed.connect(watcher.consumed)
        watched = self._watched[uid] = _Watched(watcher, device, self)
        watched.ended.connect(self._on_ended)
        if mode != "attach":
            model.set_phase("starting")  # at once: a second click must find it so
        watcher.start()

    @Slot(str, str)
    def _on_ended(self, uid: str, status: str) -> None:
        watched = self._watched.pop(uid, None)
        if watched is not None:
            self._put_away(watched)
            self._seen_session[uid] = watched.watcher.seen_session
            self.ended.emit(uid, status, watched.watcher.mode != "attach")
            self.changed.emit()

    def _put_away(self, watched: _Watched) -> None:
        watched.watcher.wait()
        watched.watcher.deleteLater()
        watched.deleteLater()
