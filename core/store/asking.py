"""A person's own question to the database, in SQL: read-only by three locks, so that no statement can harm it.

The connection is opened for reading, the statement may only select, and no other file can be attached.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.store.migrations import MIGRATIONS
from core.store.opening import explaining, open_for_reading
from core.store.sqlite import explained

_ALLOWED = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
_PAGE = 500
_ONLY_READ = "Only questions are answered: SELECT …, or WITH … SELECT …; nothing is changed."


@dataclass(frozen=True)
class Answer:
    """Names of the columns, and the rows as they are read."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


def ask(path: Path, sql: str, parameters: Sequence[object] = ()) -> Iterator[Answer]:
    """The answer to one statement, as the only element; the database is closed behind it.

    Raises:
        UserError: there is no database, or the statement is not one that can be answered.
    """
    with explaining(path), closing(open_for_reading(path, MIGRATIONS).db) as db:
        db.conn.set_authorizer(_allow)
        try:
            cursor = db.conn.execute(sql, parameters)
            if cursor.description is None:
                raise UserError("This is no question.", _ONLY_READ)
            columns = tuple(str(it[0]) for it in cursor.description)
            yield Answer(columns, _rows(cursor))
        except sqlite3.Error as error:
            if explained(error, path) is not None:
                raise
            raise UserError(
                f"The question cannot be answered: {str(error).rstrip('.')}.", _hint(error)
            ) from error


def tables(path: Path) -> list[tuple[str, str]]:
    """Name and columns of every table that a person may ask."""
    sql = (
        "SELECT m.name, group_concat(c.name, ', ') FROM sqlite_schema m, pragma_table_info(m.name) c"
        " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' GROUP BY m.name ORDER BY m.name"
    )
    with explaining(path), closing(open_for_reading(path, MIGRATIONS).db) as db:
        return [(str(name), str(columns)) for name, columns in db.execute(sql)]


def _allow(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _rows(cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
    while page := cursor.fetchmany(_PAGE):
        yield from page


def _hint(error: sqlite3.Error) -> str:
    denied = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_AUTH
    return _ONLY_READ if denied else "Without a question, `sql` lists the tables and their columns."
