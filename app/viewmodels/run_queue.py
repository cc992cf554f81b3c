"""The queue as a person sees and orders it: what is at work, then what waits, with its expected end.

The order is kept in the database, so that a window that is opened later finds it: it offers those runs
and starts none of them by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QByteArray,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from app.queue import Waiting, finish_times
from app.viewmodels import words
from app.viewmodels.run_cells import STATUS_ROLE, UID_ROLE
from app.viewmodels.run_edits import Job, Write
from app.viewmodels.runs import RunsModel
from app.viewmodels.types import RunSummary
from app.viewmodels.workers import Workers

COLUMNS = ("status", "name", "device", "note", "expected")
TITLES = {
    "status": "Status",
    "name": "Run",
    "device": "Device",
    "note": "Progress",
    "expected": "Expected end",
}
MIME = "application/x-rekindle-queue"
PROGRESS_ROLE = UID_ROLE + 20
"""Finished share of a run at work, 0-1 or None."""
TELLING_SHARE = 0.1
"""Less of a run than this says nothing on how long the whole takes."""
RECKONED = (
    "By the time that the newest finished run of the same recipe took; where there is none, by the share that "
    "is done."
)
NOT_KNOWN = (
    "No finished run of the same recipe says how long this one takes, nor what is done of it."
)

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


@dataclass(frozen=True)
class QueueLine:
    """A run at work or waiting; `place` is its place among those that wait, -1 for one at work."""

    run: RunSummary
    device: str
    expected: str
    place: int


class RunQueue(QAbstractTableModel):
    """Lines: runs at work, then those that wait.

    Args:
        workers: start and order them.
        runs: the run list.
        active: running runs, then those that wait, in order.
        write: runs a job on the writing store.
        start: starts what may start now.
    """

    changed = Signal()
    found = Signal(int)
    """So many runs wait from the last time; the queue is paused until a person continues it."""

    def __init__(
        self,
        workers: Workers,
        runs: RunsModel,
        active: Callable[[], Sequence[RunSummary]],
        write: Write,
        start: Callable[[], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._workers = workers
        self._runs = runs
        self._active = active
        self._write = write
        self._start = start
        self._lines: tuple[QueueLine, ...] = ()
        self._saved: tuple[str, ...] = ()
        self._asked = self._answered = 0
        self._restored: tuple[str, ...] = ()
        workers.changed.connect(self._keep)

    # what a person does

    @property
    def paused(self) -> bool:
        """Nothing that waits is started."""
        return self._workers.paused

    def pause(self, on: bool) -> None:
        """Pause, or go on."""
        self._workers.pause(on)
        self.refresh()
        if not on:
            self._start()

    def move(self, uid: str, by: int) -> None:
        """Move a waiting run up (negative) or down."""
        waiting = self._workers.waiting
        if uid in waiting:
            self._workers.move(uid, waiting.index(uid) + by)

    def run_next(self, uid: str) -> None:
        """Put a waiting run at the front."""
        self._workers.move(uid, 0)

    # what is there

    @property
    def lines(self) -> tuple[QueueLine, ...]:
        """From top to bottom."""
        return self._lines

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._workers.waiting)

    def row_of(self, uid: str) -> int:
        """The line of a run; -1 when it is not in the queue."""
        return next((row for row, it in enumerate(self._lines) if it.run.uid == uid), -1)

    def landing(self, row: int) -> int:
        """The line above which a run lands that is dropped above `row`: never among those at work."""
        return min(max(row, self._at_work()), len(self._lines))

    def restore(self, uids: Sequence[str]) -> None:
        """Remember what waited when a window was closed, until the list knows these runs."""
        self._saved = self._restored = tuple(uids)

    def listed(self, present: Sequence[str]) -> None:
        """The run list is complete: what waited before waits again, and the queue is paused.

        Args:
            present: the queue of the database, as it was when the list was read.
        """
        if self._restored:
            back = [uid for uid in self._restored if self._waits_again(uid)]
            if back:
                self._workers.pause(True)
                self._workers.enqueue([Waiting(uid, self._device(uid)) for uid in back])
            self._restored = ()
            self._keep()
            if back:
                self.found.emit(len(back))
        rows = self._runs.rows(self._workers.waiting)
        elsewhere = [it.uid for it in rows if it.status == "done"]
        self._workers.leave_queue(elsewhere)  # another window has run them
        common = [uid for uid in present if uid in self._saved]
        if self._asked == self._answered and common != list(self._saved):
            self._ask(lambda store: store.queue(), self._saved)  # the reader may be behind

    def refresh(self) -> None:
        """Look again at what is at work and what waits."""
        lines = tuple(self._look())
        if [it.run.uid for it in lines] != [it.run.uid for it in self._lines]:
            self.beginResetModel()
            self._lines = lines
            self.endResetModel()
        elif lines != self._lines:
            self._lines = lines
            last = self.index(len(lines) - 1, len(COLUMNS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)
        self.changed.emit()

    # inside

    def _at_work(self) -> int:
        return sum(it.place < 0 for it in self._lines)

    def _waits_again(self, uid: str) -> bool:
        entry = self._runs.entry(uid)
        if entry is None or entry.row.status in ("running", "done"):
            return False
        return uid not in self._workers.waiting and not self._workers.is_watched(uid)

    def _device(self, uid: str) -> str:
        entry = self._runs.entry(uid)
        return entry.device if entry is not None else "auto"

    def _keep(self) -> None:
        """Write the order down when it has changed; what another window did to it is kept."""
        waiting, known = self._workers.waiting, self._saved
        if waiting != known and not self._restored:
            self._saved = waiting
            self._ask(lambda store: store.set_queue(waiting, known), known)
        self.refresh()

    def _ask(self, job: Job, known: Sequence[str]) -> None:
        """Do it in the writer, in turn; its newest answer is the order in which runs wait."""
        self._asked += 1
        asked = self._asked

        def follow(answer: object) -> None:
            self._answered = asked
            if asked != self._asked or not isinstance(answer, list):
                return  # the person went on meanwhile
            waiting = self._workers.waiting
            gone = set(known).difference(answer)  # started, stopped or deleted in another window
            place = {uid: at for at, uid in enumerate(answer)}
            left = [uid for uid in waiting if uid not in gone]
            left.sort(key=lambda uid: place.get(uid, len(place)))
            self._saved = tuple(uid for uid in left if uid in place)
            self._workers.follow_order(left)

        self._write(job, follow)

    def _look(self) -> list[QueueLine]:
        waiting = self._workers.queue
        places = {it.uid: place for place, it in enumerate(waiting)}
        summaries = self._active()
        left = {it.uid: self._left(it) for it in summaries if it.uid not in places}
        running = [(self._device(uid), seconds) for uid, seconds in left.items()]
        lengths = {it.uid: self._runs.usual_seconds(it.uid) for it in waiting}
        ends = left if self.paused else {**left, **finish_times(running, waiting, lengths)}
        now = time.time()
        return [
            QueueLine(
                it, self._device(it.uid), _moment(ends.get(it.uid), now), places.get(it.uid, -1)
            )
            for it in summaries
        ]

    def _left(self, run: RunSummary) -> float | None:
        """Seconds that a running run still takes: by an earlier one, else by the share that is done."""
        entry, length = self._runs.entry(run.uid), self._runs.usual_seconds(run.uid)
        if entry is None or entry.row.started is None:
            return None
        passed = time.time() - entry.row.started
        if length is None and run.progress is not None and run.progress >= TELLING_SHARE:
            length = passed / run.progress
        left = length - passed if length is not None else 0.0
        if left > 0 and run.stage_left is not None:
            left = max(left, run.stage_left)  # the whole never ends before the stage at work
        return left if left > 0 else None  # it takes longer than the earlier one: nobody knows

    # Qt's interface

    def rowCount(self, parent: Index = _ROOT) -> int:
        """Number of lines."""
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: Index = _ROOT) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Titles."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        return TITLES[COLUMNS[section]] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Texts; the roles of the run list give id and status."""
        if not index.isValid():
            return None
        line, column = self._lines[index.row()], COLUMNS[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return _text(line, column)
            case Qt.ItemDataRole.ToolTipRole if column == "expected":
                return NOT_KNOWN if line.expected == words.NONE else RECKONED
            case Qt.ItemDataRole.ToolTipRole:
                return _text(line, column)
            case _ if role == UID_ROLE:
                return line.run.uid
            case _ if role == STATUS_ROLE:
                return line.run.status
            case _ if role == PROGRESS_ROLE:
                return line.run.progress
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """What waits can be dragged; it is dropped between lines."""
        if not index.isValid():
            return Qt.ItemFlag.ItemIsDropEnabled
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self._lines[index.row()].place >= 0:
            flags |= Qt.ItemFlag.ItemIsDragEnabled
        return flags

    def supportedDropActions(self) -> Qt.DropAction:
        """Lines are moved."""
        return Qt.DropAction.MoveAction

    def mimeTypes(self) -> list[str]:
        """A line of this queue."""
        return [MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        """The run that is dragged."""
        data = QMimeData()
        uid = next((str(it.data(UID_ROLE)) for it in indexes), "")
        data.setData(MIME, QByteArray(uid.encode("ascii")))
        return data

    def dropMimeData(
        self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: Index
    ) -> bool:
        """Move the run; False, because Qt must not take its line away by itself."""
        if not data.hasFormat(MIME):
            return False
        uid = bytes(data.data(MIME).data()).decode("ascii")
        place = self.landing(row if row >= 0 else len(self._lines)) - self._at_work()
        waiting = self._workers.waiting
        if uid in waiting:
            self._workers.move(uid, place - (1 if waiting.index(uid) < place else 0))
        return False


def _text(line: QueueLine, column: str) -> str:
    match column:
        case "status":
            return line.run.status_text if line.place < 0 else f"{line.place + 1}."
        case "name":
            return line.run.name
        case "device":
            return line.device
        case "note":
            share = "" if line.run.progress is None else f"{line.run.progress:.0%}"
            return " · ".join(filter(None, (share, line.run.note)))
    return line.expected


def _moment(seconds: float | None, now: float) -> str:
    if seconds is None:
        return words.NONE
    return f"{words.clock(now + seconds)[:5]}, in {words.duration(seconds)}"
