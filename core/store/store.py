"""The store: one SQLite file, the event log of every run, and what is folded from it.

One object per process and purpose: a worker writes its run, the window reads. A `Store` may be shared by
threads. Every error that a person can mend arrives as a `UserError`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from threading import RLock
from types import TracebackType

from core.errors import UserError
from core.events import EvaluatedItem, Event, RunStatus
from core.store import edits, folding, lineage, log, reading
from core.store.edits import RunEdit
from core.store.migrations import MIGRATIONS, Migration, version_of
from core.store.opening import Opened, explaining, open_for_reading, open_for_writing
from core.store.rows import (
    CheckpointRow,
    LineageRows,
    LoggedEvent,
    Points,
    RunMark,
    RunRow,
    ScoreRow,
)
from core.store.sqlite import Database, scalar

_UID_BYTES = 6
_ENDED: frozenset[RunStatus] = frozenset({"done", "stopped", "failed", "interrupted"})


class Store:
    """The one door to the database. Get one by `Store.open`.

    Attributes:
        path: the file.
        read_only: True when asked for, and for a database that a newer Rekindle wrote.
        notices: sentences for the person about what opening found: a newer file, a recovery, a backup.
    """

    def __init__(self, path: Path, opened: Opened) -> None:
        self.path = path
        self.read_only = opened.read_only
        self.notices = opened.notices
        self._db = opened.db
        self._lock = RLock()
        self._reported: log.Reported = set()

    @staticmethod
    def open(
        path: Path, *, read_only: bool = False, migrations: Sequence[Migration] = MIGRATIONS
    ) -> Store:
        """Open the database, for writing by default: then it is made, checked and upgraded as needed.

        Raises:
            UserError: it cannot be opened, or `read_only` was asked for a missing or older database.
        """
        with explaining(path):
            opener = open_for_reading if read_only else open_for_writing
            return Store(path, opener(path, migrations))

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the store is of no further use."""
        with self._lock:
            self._db.close()

    @property
    def schema_version(self) -> int:
        """The version of the schema in the file."""
        with self._reading() as db:
            return version_of(db)

    def data_version(self) -> int:
        """A number that changes when another connection has committed to the file."""
        with self._reading() as db:
            return scalar(db, "PRAGMA data_version")

    # Runs

    def queue_run(
        self, recipe_json: str, *, name: str, seed: int, base: str, created: float | None = None
    ) -> str:
        """Add a run that waits to be started.

        Args:
            recipe_json: the whole recipe.
            name: what a person calls it.
            seed: its seed.
            base: label of the base model.
            created: seconds since the epoch; now by default.

        Returns:
            its id, 12 hexadecimal digits.
        """
        json.loads(recipe_json)
        uid = secrets.token_hex(_UID_BYTES)
        with self._writing(durable=True) as db:
            db.execute("INSERT INTO model(label) VALUES (?) ON CONFLICT DO NOTHING", (base,))
            db.execute(
                "INSERT INTO run(uid, project, model, name, status, recipe_json, seed, created)"
                " VALUES (?, 1, (SELECT id FROM model WHERE label = ?), ?, 'queued', ?, ?, ?)",
                (uid, base, name, recipe_json, seed, time.time() if created is None else created),
            )
        return uid

    def claim(
        self, uid: str, pid: int, pid_started: float, *, expected_session: int | None = None
    ) -> int:
        """Make a process the writer of a run, and the run running. Whether its last owner lives is for
        the caller to find out; `expected_session` then makes look and claim one step.

        Returns:
            the number of the session, from 1.

        Raises:
            UserError: no such run, or another process claimed it since the caller read that session.
        """
        with self._writing(durable=True) as db:
            session = reading.session_of(db, uid)
            if reading.is_deleted(db, uid):
                raise reading.unknown_run(uid)
            if expected_session not in (None, session):
                raise UserError(
                    f"The run {uid} was just started by another process.", "Open it to watch it."
                )
            now = time.time()
            db.execute(
                "UPDATE run SET session = ?, pid = ?, pid_started = ?, status = 'running',"
                " started = COALESCE(started, ?), heartbeat = ?, ended = NULL, queue_position = NULL,"
                " failure = '', failure_message = '' WHERE uid = ?",
                (session + 1, pid, pid_started, now, now, uid),
            )
        return session + 1

    def set_status(self, uid: str, status: RunStatus, failure: str = "", message: str = "") -> None:
        """Set a run's status from outside its worker.

        Only a running run can become `interrupted`: one whose worker reported its end just before it
        vanished keeps what it reported.
        """
        with self._writing(durable=True) as db:
            reading.session_of(db, uid)
            db.execute(
                "UPDATE run SET status = ?, failure = ?, failure_message = ?, ended = ?"
                " WHERE uid = ? AND (? <> 'interrupted' OR status = 'running')",
                (
                    status,
                    failure,
                    message,
                    time.time() if status in _ENDED else None,
                    uid,
                    status,
                ),
            )

    def edit(self, changes: Mapping[str, RunEdit]) -> None:
        """Change what people may change about runs, by run, all or nothing."""
        with self._writing() as db:
            edits.apply(db, changes, time.time())

    def rename(self, uid: str, name: str) -> None:
        """Give a run another name."""
        self.edit({uid: RunEdit(name=name)})

    def set_star(self, uid: str, star: int) -> None:
        """Mark a run: 1 star, -1 cross, 0 neither."""
        self.edit({uid: RunEdit(star=star)})

    def set_tags(self, uid: str, tags: Sequence[str]) -> None:
        """Replace a run's tags."""
        self.edit({uid: RunEdit(tags=tuple(tags))})

    def set_notes(self, uid: str, notes: str) -> None:
        """Replace a run's notes."""
        self.edit({uid: RunEdit(notes=notes)})

    def delete_run(self, uid: str) -> None:
        """Delete a run for good, with its log; rows of checkpoints that nobody else has stay.

        `edit` with `RunEdit(deleted=True)` only hides it.
        """
        with self._writing() as db:
            reading.session_of(db, uid)
            edits.delete(db, uid)

    def purge_deleted(self, before: float) -> int:
        """Delete for good the runs hidden before that time (seconds since the epoch); returns how many."""
        with self._writing() as db:
            return edits.purge(db, before)

    def queue(self) -> list[str]:
        """The runs that wait for a window to start them, in order."""
        with self._reading() as db:
            return edits.queue(db)

    def set_queue(self, uids: Sequence[str], known: Sequence[str] | None = None) -> list[str]:
        """Make these, in this order, the runs that wait; others wait no longer.

        With `known`, the queue as the caller last saw it, what others did to it since is kept.

        Returns:
            the queue as it is now.
        """
        with self._writing() as db:
            present = edits.queue(db)
            order = uids if known is None else edits.merged(known, uids, present)
            edits.set_queue(db, order)
            return edits.queue(db)

    def runs(self, uids: Collection[str] | None = None) -> list[RunRow]:
        """All runs, or those of these ids, newest first; deleted ones are left out."""
        with self._snapshot() as db:
            return reading.run_rows(db, uids)

    def run_marks(self) -> dict[str, RunMark]:
        """By id, newest first, what differs between two looks exactly when `runs` does."""
        with self._reading() as db:
            return reading.run_marks(db)

    def running(self) -> list[RunRow]:
        """The runs whose row says that a worker executes them: few, whatever else the file holds."""
        with self._snapshot() as db:
            return [reading.run_row(db, uid) for uid in reading.running(db)]

    def run(self, uid: str) -> RunRow:
        """One run. Raises UserError when there is none with that id."""
        with self._snapshot() as db:
            return reading.run_row(db, uid)

    def find(self, prefix_or_name: str) -> RunRow:
        """The run a person means by an id, its beginning, or a name. Raises UserError naming candidates."""
        with self._snapshot() as db:
            return reading.run_row(db, reading.find_uid(db, prefix_or_name))

    # The log

    def record(self, uid: str, events: Sequence[Event], t: float | None = None) -> None:
        """Append events to a run's log and fold them, all or nothing.

        Args:
            uid: the run.
            events: in order; of the kinds in `REPLACED_KINDS` only the newest per stage is kept.
            t: seconds since the epoch; now by default.
        """
        if not events:
            return
        durable = any(isinstance(event, folding.DURABLE_EVENTS) for event in events)
        with self._writing(durable=durable) as db:
            log.append(db, uid, events, time.time() if t is None else t)

    def events(
        self,
        uid: str,
        after: int = 0,
        limit: int = log.PAGE,
        *,
        kinds: Collection[str] = (),
        stage: str | None = None,
    ) -> list[LoggedEvent]:
        """The log past a cursor, in order; an empty list means its end.

        An event that this version cannot read is reported to the program's log once, and left out.

        Args:
            uid: the run.
            after: the `seq` of the last event already known; 0 for none.
            limit: most events to return.
            kinds: only these kinds; all by default.
            stage: only what this stage reported; all by default.
        """
        found: list[LoggedEvent] = []
        cursor: int | None = after
        with self._reading() as db:
            while not found and cursor is not None:
                found, cursor = log.page(
                    db, uid, cursor, self._reported, limit=limit, kinds=kinds, stage=stage
                )
        return found

    def rebuild(self, uid: str) -> None:
        """Fold a run's index tables again from its log; its own row keeps its state."""
        with self._writing() as db:
            log.refold(db, uid, self._reported)

    def purge_after(self, uid: str, stage: str, step: int) -> None:
        """Forget what a stage reported past a step, as if it never had: for resuming from that step.

        Sequence numbers are not used again, so the cursors of readers stay valid; what they have already
        read of the forgotten events is for them to drop when the next `run_started` arrives.
        """
        with self._writing() as db:
            log.forget(db, uid, stage, step, self._reported)

    def purge_stage(self, uid: str, stage: str) -> None:
        """Forget everything a stage reported, as if it had never begun."""
        with self._writing() as db:
            log.forget(db, uid, stage, None, self._reported)

    # Indexes

    def points(self, uid: str, stage: str, key: str) -> Points:
        """One series in full, by step; empty when there is none."""
        with self._reading() as db:
            return reading.points(db, uid, stage, key)

    def series(self, uid: str) -> list[tuple[str, str, int, int, float]]:
        """The series of a run in the order they began: stage, key, n, last step, last value."""
        with self._reading() as db:
            return reading.series(db, uid)

    def scores(self, uid: str) -> list[ScoreRow]:
        """The finished evaluations of a run, in the order they were finished."""
        with self._reading() as db:
            return reading.scores(db, uid)

    def checkpoints(self, uid: str) -> list[CheckpointRow]:
        """The checkpoints a run saved, in the order they were last saved."""
        with self._reading() as db:
            return reading.checkpoints(db, uid)

    def checkpoint(self, identity: str) -> CheckpointRow | None:
        """The checkpoint of that identity, of whichever run, a finished one first; None when unknown."""
        with self._reading() as db:
            return reading.checkpoint(db, identity)

    def lineage(self) -> LineageRows:
        """Everything known about the checkpoints of all runs."""
        with self._snapshot() as db:
            return lineage.read(db)

    def mark_files(self, relpath: str, size: int, state: str) -> None:
        """Say what became of a checkpoint's files: "trash" or "deleted", or "" that they are back."""
        with self._writing(durable=True) as db:
            if state:
                lineage.mark(db, relpath, size, state)
            else:
                lineage.unmark(db, relpath)

    def item_results(self, uid: str, subject: str, task: str) -> list[EvaluatedItem]:
        """The items of a task as answered by the finished checkpoint of a stage."""
        with self._reading() as db:
            return reading.item_results(db, uid, subject, task)

    # Inside

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Database]:
        with self._lock, explaining(self.path):
            yield self._db

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[Database]:
        """Several queries that see one state of the database."""
        with self._reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.rollback()

    @contextlib.contextmanager
    def _writing(self, *, durable: bool = False) -> Iterator[Database]:
        """One transaction; a durable one is on the disk before this returns."""
        if self.read_only:
            raise UserError("This database is open for reading only.", " ".join(self.notices))
        with self._reading() as db:
            if durable:
                db.execute("PRAGMA synchronous=FULL")
            try:
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.commit()
                except BaseException:
                    db.rollback()
                    raise
            finally:
                if durable:
                    db.execute("PRAGMA synchronous=NORMAL")
