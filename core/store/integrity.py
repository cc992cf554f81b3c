"""What happens when the database file is damaged: it is set aside whole, and its rows move to a new one.

Only the tables that cannot be folded again are copied; the indexes are folded from the recovered log.
It does not repair in place, and it cannot tell a changed value from a right one.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.store.log import refold_all
from core.store.migrations import Migration, upgrade, version_of
from core.store.sqlite import Database, connect, is_damage, primary_code, scalar

CHECK_SECONDS = 0.25
"""How long opening may check for damage."""

_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine: a fraction of a millisecond
_COPIED = ("project", "model", "run", "event", "artifact", "checkpoint")
_CONDITIONS = {"checkpoint": "run IS NULL"}  # the others are folded from the log
_MOST_PROBES = 20_000  # queries that may fail on one table before the rest counts as lost
_ROWS_PER_PAGE = 64  # where the highest row cannot be read, a generous bound from the file's size
_UNKNOWN_MODEL = "unknown (recovered)"
_SIDE_FILES = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Recovery:
    """What was saved from a damaged file.

    Attributes:
        set_aside: the damaged file, kept as it was.
        runs: runs in the new file.
        events: events in the new file.
        lost: rows that could not be read, at most; deleted ones in a damaged stretch count too.
    """

    set_aside: Path
    runs: int
    events: int
    lost: int

    def sentence(self) -> str:
        """What a person is told."""
        lost = f"up to {self.lost} rows could not be read" if self.lost else "nothing was lost"
        return (
            f"The database was damaged. {self.runs} runs with {self.events} events were recovered; {lost}."
            f" The damaged file was kept as {self.set_aside}."
        )


def is_intact(db: Database, path: Path) -> bool:
    """Whether SQLite's quick check passes, as far as it gets in `CHECK_SECONDS`.

    A file of some hundred megabytes takes seconds to check, which the window does not have. Where damage
    was met while the database was used, `ask_for_check` has left a mark, and the check runs to its end.
    """
    mark = _mark(path)
    thorough = mark.exists()
    deadline = time.monotonic() + CHECK_SECONDS
    if not thorough:
        db.conn.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        verdicts = db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return False
        if primary_code(error) == sqlite3.SQLITE_INTERRUPT:
            return True
        raise
    finally:
        db.conn.set_progress_handler(None, 0)
    intact: bool = verdicts == [("ok",)]
    if intact and thorough:
        mark.unlink()
    return intact


def ask_for_check(path: Path) -> None:
    """Have the whole file checked when it is opened for writing next."""
    with contextlib.suppress(
        OSError
    ):  # of a folder that may not be written; the error itself is shown
        _mark(path).touch()


def _mark(path: Path) -> Path:
    return path.with_name(path.name + ".check")


def recover(path: Path, migrations: Sequence[Migration]) -> Recovery:
    """Replace a damaged database by a new one with every row that can still be read.

    Args:
        path: the damaged file; nobody of this process has it open.
        migrations: the schema to reach.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    fresh = path.with_name(f"{path.name}.recovered-{stamp}")
    lost = 0
    target = connect(fresh, read_only=False)
    try:
        target.enable_wal()
        lost = _move_rows(path, target, fresh, migrations)
        _adopt_orphans(target)
        upgrade(target, fresh, migrations)
        with target.atomic():
            refold_all(target)
        runs = scalar(target, "SELECT count(*) FROM run")
        events = scalar(target, "SELECT count(*) FROM event")
    finally:
        target.close()
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in _SIDE_FILES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    fresh.rename(path)
    _mark(path).unlink(missing_ok=True)
    return Recovery(aside, runs, events, lost)


def _move_rows(path: Path, target: Database, fresh: Path, migrations: Sequence[Migration]) -> int:
    """Fill the new file, in the damaged one's schema version; returns how many rows were lost."""
    try:
        damaged = connect(path, read_only=True)
    except sqlite3.DatabaseError:  # not a single table can be found in it
        upgrade(target, fresh, migrations)
        return 0
    try:
        damaged.conn.text_factory = lambda data: data.decode(errors="replace")
        version = version_of(damaged)
        upgrade(target, fresh, migrations[: version or len(migrations)])
        return _copy(damaged, target)
    finally:
        damaged.close()


def _copy(damaged: Database, target: Database) -> int:
    lost = 0
    target.execute("PRAGMA foreign_keys=OFF")
    target.execute("BEGIN IMMEDIATE")
    for table in _COPIED:
        columns = list(target.table(table).columns_dict)
        insert = (
            f"INSERT OR REPLACE INTO {table}({', '.join(columns)})"
            f" VALUES ({', '.join('?' * len(columns))})"
        )
        rejected = 0

        def take(values: Sequence[object], insert: str = insert) -> None:
            nonlocal rejected
            try:
                target.execute(insert, values)
            except sqlite3.IntegrityError:  # a damaged value that the table's rules refuse
                rejected += 1

        lost += _salvage(damaged, table, columns, take) + rejected
    target.commit()
    target.execute("PRAGMA foreign_keys=ON")
    return lost


def _salvage(
    damaged: Database, table: str, columns: Sequence[str], take: Callable[[Sequence[object]], None]
) -> int:
    """Hand every readable row of a table to `take`; returns how many row ids could not be read.

    A stretch is read up to the damage; what is behind it is halved, widest first.
    """
    query = (
        f"SELECT rowid, {', '.join(columns)} FROM {table} NOT INDEXED"
        f" WHERE rowid BETWEEN ? AND ? AND {_CONDITIONS.get(table, 'TRUE')} ORDER BY rowid"
    )
    lost = probes = 0
    stretches = deque([(1, _highest(damaged, table))])
    while stretches:
        low, high = stretches.popleft()
        if probes >= _MOST_PROBES:
            lost += high - low + 1
            continue
        try:
            for rowid, *values in damaged.execute(query, (low, high)):
                take(values)
                low = rowid + 1
        except sqlite3.DatabaseError:
            probes += 1
            if low >= high:
                lost += high - low + 1
            else:
                middle = (low + high) // 2
                stretches += [(low, middle), (middle + 1, high)]
    return lost


def _highest(damaged: Database, table: str) -> int:
    for question in (f"SELECT COALESCE(max(rowid), 0) FROM {table}", "PRAGMA page_count"):
        try:
            answer = scalar(damaged, question)
        except sqlite3.DatabaseError:
            continue
        return answer if "max" in question else answer * _ROWS_PER_PAGE
    return 0


def _adopt_orphans(target: Database) -> None:
    """Give rows whose parent was lost one that says so, so that no recovered event is dropped."""
    target.execute("BEGIN IMMEDIATE")
    target.execute(
        "INSERT INTO model(label) SELECT ?"
        " WHERE EXISTS (SELECT 1 FROM run WHERE model NOT IN (SELECT id FROM model))"
        " OR EXISTS (SELECT 1 FROM event WHERE run NOT IN (SELECT uid FROM run))"
        " ON CONFLICT DO NOTHING",
        (_UNKNOWN_MODEL,),
    )
    target.execute(
        "UPDATE run SET model = (SELECT id FROM model WHERE label = ?)"
        " WHERE model NOT IN (SELECT id FROM model)",
        (_UNKNOWN_MODEL,),
    )
    target.execute("UPDATE run SET project = 1 WHERE project NOT IN (SELECT id FROM project)")
    target.execute(
        "INSERT INTO run(uid, project, model, name, status, recipe_json, seed, created)"
        " SELECT run, 1, (SELECT id FROM model WHERE label = ?), 'Recovered ' || run, 'interrupted',"
        " '{}', 0, min(t) FROM event WHERE run NOT IN (SELECT uid FROM run) GROUP BY run",
        (_UNKNOWN_MODEL,),
    )
    target.execute(
        "UPDATE run SET last_seq = max(last_seq, COALESCE("
        "(SELECT max(seq) FROM event WHERE event.run = run.uid), 0))"
    )
    target.execute("UPDATE artifact SET run = NULL WHERE run NOT IN (SELECT uid FROM run)")
    target.commit()
