"""What happens between a path and a usable connection: checks, recovery, upgrade, WAL."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.store.integrity import ask_for_check, is_intact, recover
from core.store.migrations import Migration, sentence_for_newer, upgrade, version_of
from core.store.sqlite import (
    BUSY_TIMEOUT,
    Database,
    SqliteError,
    connect,
    explained,
    is_damage,
    primary_code,
)

_RETRY = 0.05  # seconds between attempts to switch a new file to WAL


@dataclass(frozen=True)
class Opened:
    """An open database, whether it may only be read, and what the person should be told."""

    db: Database
    read_only: bool
    notices: tuple[str, ...] = ()


def open_for_reading(path: Path, migrations: Sequence[Migration]) -> Opened:
    """Open an existing database without changing anything.

    Raises:
        UserError: there is none, or its schema is older than this program's.
    """
    if not path.is_file():
        raise UserError(f"There is no database at {path}.", "Start a run, or set REKINDLE_HOME.")
    db = connect(path, read_only=True)
    try:
        version = version_of(db)
        if version < len(migrations):
            raise UserError(
                f"The database {path} has the older schema {version}.",
                "Open it once with the window or start a run: it is upgraded then, after a backup.",
            )
        notices = _notices_of_version(db, path, len(migrations))
    except BaseException:
        db.close()
        raise
    return Opened(db, True, notices)


def open_for_writing(path: Path, migrations: Sequence[Migration]) -> Opened:
    """Open a database to write: made when missing, recovered when damaged, upgraded when older.

    A database that a newer Rekindle wrote is opened for reading only, with a notice.
    """
    notices: tuple[str, ...] = ()
    db = _connect_if_intact(path, len(migrations))
    if db is None:
        notices = (recover(path, migrations).sentence(),)
        db = connect(path, read_only=False)
    try:
        if version_of(db) > len(migrations):
            db.close()
            return open_for_reading(path, migrations)
        _use_wal(db)
        backup = upgrade(db, path, migrations)
    except BaseException:
        db.close()
        raise
    if backup is not None:
        notices += (f"The database was upgraded; it is kept as it was before in {backup}.",)
    return Opened(db, False, notices)


def _notices_of_version(db: Database, path: Path, known: int) -> tuple[str, ...]:
    newer = version_of(db) > known
    return (sentence_for_newer(db, path, known),) if newer else ()


def _connect_if_intact(path: Path, newest: int) -> Database | None:
    """A connection, or None where the file is damaged; one of a newer schema is not ours to judge."""
    db = None
    try:
        db = connect(path, read_only=False)
        if version_of(db) > newest or is_intact(db, path):
            return db
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
    if db is not None:
        db.close()
    return None


def _use_wal(db: Database) -> None:
    """Switch to write-ahead logging; SQLite does not wait for other processes when it does that."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while db.journal_mode != "wal":
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return  # a file system without shared memory keeps its mode and says nothing
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY)


@contextlib.contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences; a damaged file is checked at the next start."""
    try:
        yield
    except SqliteError as error:
        if is_damage(error):
            ask_for_check(path)
        sentence = explained(error, path)
        if sentence is None:
            raise
        raise sentence from error
