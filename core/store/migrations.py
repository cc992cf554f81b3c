"""Steps from one schema version to the next: append-only functions, counted by SQLite's `user_version`.

All pending steps and their records happen in one transaction, checked before it commits; a file that
already holds data is copied first. Never change or remove a step that was released.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.errors import BugError
from core.store import schema
from core.store.sqlite import Database, connect, scalar

_RECORD_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    release TEXT NOT NULL,
    applied REAL NOT NULL
) STRICT
"""


@dataclass(frozen=True)
class Migration:
    """One step.

    Attributes:
        name: what it does, in a few words; kept in the database.
        release: the first release of Rekindle that knows it; an older one tells its user to install this.
        apply: changes the schema; runs inside a transaction with foreign keys not enforced.
    """

    name: str
    release: str
    apply: Callable[[Database], None]


def _first_schema(db: Database) -> None:
    db.executescript(schema.VERSION_1)


def _deletion_and_queue(db: Database) -> None:
    db.execute("ALTER TABLE run ADD COLUMN deleted REAL")  # when a person hid it; NULL: never
    db.execute("ALTER TABLE run ADD COLUMN queue_position INTEGER")  # NULL: waits for nobody


MIGRATIONS: tuple[Migration, ...] = (
    Migration("first schema", "0.1.0", _first_schema),
    Migration("deletion that can be undone, and the queue's order", "0.1.0", _deletion_and_queue),
)


def version_of(db: Database) -> int:
    """The schema version of an open database; 0 for an empty file."""
    return scalar(db, "PRAGMA user_version")


def sentence_for_newer(db: Database, path: Path, known: int) -> str:
    """What a person is told when a newer Rekindle wrote the file: which version to install."""
    row = None
    if scalar(db, "SELECT count(*) FROM sqlite_master WHERE name = 'migration'"):
        row = db.execute("SELECT release FROM migration ORDER BY version DESC LIMIT 1").fetchone()
    release = f"Rekindle {row[0]}" if row else "the newest Rekindle"
    return (
        f"The database {path} was written by a newer Rekindle (schema {version_of(db)}, this one"
        f" knows {known}), so it is open for reading only."
        f" Install {release} or later to start or change runs."
    )


def upgrade(db: Database, path: Path, migrations: Sequence[Migration]) -> Path | None:
    """Bring the database to the newest schema. Several processes may try at once: one does it.

    Returns:
        The copy made before the change, None when nothing was pending or the file was empty.

    Raises:
        BugError: the result violates its own constraints; the database is as it was before.
    """
    if version_of(db) >= len(migrations):
        return None
    backup = None
    # Rebuilding a table under enforced keys would cascade into its children; both this pragma and
    # its end have no effect inside a transaction.
    db.execute("PRAGMA foreign_keys=OFF")
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            before = version_of(db)
            if before > 0 and before < len(migrations):
                backup = _back_up(path, before)
            _apply(db, migrations, before)
        except BaseException:
            db.rollback()
            raise
        db.commit()
    finally:
        db.execute("PRAGMA foreign_keys=ON")
    return backup


def _apply(db: Database, migrations: Sequence[Migration], before: int) -> None:
    db.execute(_RECORD_TABLE)
    for version, migration in enumerate(migrations[before:], start=before + 1):
        migration.apply(db)
        db.table("migration").insert(
            {
                "version": version,
                "name": migration.name,
                "release": migration.release,
                "applied": time.time(),
            }
        )
        db.execute(f"PRAGMA user_version = {version}")
    dangling = db.execute("PRAGMA foreign_key_check").fetchall()
    if dangling:
        raise BugError(f"after the migration, rows refer to missing ones: {dangling[:5]}")
    (verdict,) = db.execute("PRAGMA integrity_check(5)").fetchone()
    if verdict != "ok":
        raise BugError(f"after the migration, the database is not intact: {verdict}")


def _back_up(path: Path, version: int) -> Path:
    # A second connection: VACUUM cannot run inside the transaction that keeps other upgraders out.
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    target = path.with_name(f"{path.name}.schema{version}-{stamp}.backup")
    source = connect(path, read_only=True)
    try:
        source.execute("VACUUM INTO ?", (str(target),))
    finally:
        source.close()
    return target
