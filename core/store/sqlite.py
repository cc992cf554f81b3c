"""Connections to the database file, the pragmas each carries, and what SQLite's errors mean to a person.

sqlite-utils imports pandas when it is installed (it comes with other dependencies) only to map one
column type that we do not use. That import takes seconds, and the window loads this package before it is
shown, so pandas is hidden from that one import.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from core.errors import UserError

_PANDAS_IS_NEW = "pandas" not in sys.modules
if _PANDAS_IS_NEW:
    sys.modules["pandas"] = None  # type: ignore[assignment]
import sqlite_utils  # noqa: E402

if _PANDAS_IS_NEW:
    del sys.modules["pandas"]

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process's transaction (engine-room.md, Store)."""

Database = sqlite_utils.Database
SqliteError = sqlite3.Error
DamagedError = sqlite3.DatabaseError

_PRIMARY_CODE = 0xFF  # SQLite's extended result codes carry the primary one in the low byte
_MEANINGS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: (
        "The disk is full, so the database {path} could not be written.",
        "Free some space and resume the run.",
    ),
    sqlite3.SQLITE_BUSY: (
        f"Another program has held the database {{path}} for more than {BUSY_TIMEOUT:.0f} seconds.",
        "Close the program that has it open and try again.",
    ),
    sqlite3.SQLITE_IOERR: (
        "The disk reported an error while the database {path} was used.",
        "Check the disk and that its folder is still there, then try again.",
    ),
    sqlite3.SQLITE_READONLY: (
        "The database {path} may only be read.",
        "Check the permissions of the file and its folder.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "The database {path} cannot be opened.",
        "Check that its folder exists and may be read and written.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The database {path} is damaged.",
        "Close Rekindle and start it again: it keeps the damaged file and recovers what can be read.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "The file {path} is not a database.",
        "Close Rekindle and start it again: it sets the file aside and begins a new one.",
    ),
}


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code of an error, None when Python raised it by itself."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY_CODE


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken."""
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def explained(error: sqlite3.Error, path: Path) -> UserError | None:
    """The error as a sentence, or None when it is a defect of ours."""
    meaning = _MEANINGS.get(primary_code(error) or 0)
    return UserError(meaning[0].format(path=path), meaning[1]) if meaning else None


def connect(path: Path, *, read_only: bool) -> Database:
    """Open a connection with the pragmas of engine-room.md; transactions are ours to begin.

    Usable from any thread: the caller serialises.
    """
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Plugins installed for the sqlite-utils command line have no business here.
        db = Database(connection, execute_plugins=False)
        for pragma in ("trusted_schema=OFF", "foreign_keys=ON", "synchronous=NORMAL"):
            db.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return db


def scalar(db: Database, sql: str, *parameters: object) -> int:
    """The one integer that a query answers with."""
    value: int = db.execute(sql, parameters).fetchone()[0]
    return value
