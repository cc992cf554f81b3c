"""Checks of the machine that need no torch: database, disk, memory, the bundled model.

Run by `core.engine.examination`, or by hand: `python -m core.engine.machine --home PATH`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psutil

from core.engine.examination import Check, Verdict, serve
from core.errors import UserError
from core.lm import named
from core.store.home import HOME_VARIABLE, Home
from core.store.sqlite import SqliteError, connect, explained, scalar

GB = 10**9

DISK_NEEDED = 3 * GB
"""The quickstart writes the converted model (0.5 GB), three checkpoints and their training states."""
DISK_TYPICAL = 60 * GB
"""A 3B model: 6 GB, as much for each pruned or fully tuned checkpoint, 36 GB for a full training state."""
MEMORY_NEEDED = 3 * GB
"""The quickstart: libraries 0.8 GB, student and teacher in float32 1.1 GB, activations."""
MEMORY_TYPICAL = 16 * GB
"""A 3B model passes through host memory when it is loaded, merged or quantized: 6 to 12 GB."""
SQLITE_NEEDED = (3, 37)  # the first with STRICT tables


def database(home: Home) -> Verdict:
    """SQLite's version, and whether write-ahead logging works on the disk of the home folder."""
    home.create()
    try:
        with tempfile.TemporaryDirectory(dir=home.path, prefix="doctor-") as folder:
            return _database(Path(folder) / "check.sqlite3")
    except OSError as error:
        raise UserError(
            f"The folder {home.path} cannot be written ({error.strerror}).",
            f"Change its permissions, or name another folder in {HOME_VARIABLE}.",
        ) from error


def _database(path: Path) -> Verdict:
    try:
        with closing(connect(path, read_only=False)) as db:
            version = str(db.execute("SELECT sqlite_version()").fetchone()[0])
            if tuple(int(part) for part in version.split(".")[:2]) < SQLITE_NEEDED:
                return Verdict(
                    False,
                    f"SQLite {version} is too old.",
                    "Use a Python that comes with SQLite 3.37 or newer.",
                )
            mode = str(db.execute("PRAGMA journal_mode=WAL").fetchone()[0])
            if mode != "wal":
                return Verdict(
                    False,
                    f"SQLite {version} cannot write ahead on this disk (mode {mode}), so the window "
                    "could not read while a run writes.",
                    f"Name a folder on a local disk in {HOME_VARIABLE}.",
                )
            db.execute("CREATE TABLE seen (x INTEGER) STRICT")
            db.execute("INSERT INTO seen VALUES (1)")
            # A reader beside an open transaction, as the window is beside a worker.
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO seen VALUES (2)")
            with closing(connect(path, read_only=True)) as reader:
                count = scalar(reader, "SELECT count(*) FROM seen")
            db.execute("COMMIT")
    except SqliteError as error:
        raise explained(error, path) or UserError(
            f"SQLite failed on this disk: {error}.",
            f"Name a folder on a local disk in {HOME_VARIABLE}.",
        ) from error
    if count != 1:
        return Verdict(
            False,
            f"SQLite {version} shows a reader {count} rows where 1 was committed.",
            f"Name a folder on a local disk in {HOME_VARIABLE}.",
        )
    return Verdict(
        True, f"SQLite {version}; a reader and a writer work side by side in {path.parent.parent}."
    )


def disk(home: Home) -> Verdict:
    """Free space where checkpoints are kept."""
    place = next(it for it in (home.path, *home.path.parents) if it.exists())
    free = shutil.disk_usage(place).free
    detail = f"{_gb(free)} free in {place}."
    if free < DISK_NEEDED:
        return Verdict(
            False,
            detail,
            f"The quickstart needs {_gb(DISK_NEEDED)}: free some space, or name a folder on a larger "
            f"disk in {HOME_VARIABLE}.",
        )
    if free < DISK_TYPICAL:
        return Verdict(
            True, detail, f"Experiments on a model of 3 billion weights take {_gb(DISK_TYPICAL)}."
        )
    return Verdict(True, detail)


def memory(home: Home) -> Verdict:
    """Memory of the host."""
    seen = psutil.virtual_memory()
    detail = f"{_gb(seen.available)} of {_gb(seen.total)} available."
    if seen.available < MEMORY_NEEDED:
        return Verdict(
            False,
            detail,
            f"The quickstart needs {_gb(MEMORY_NEEDED)}: close other programs.",
        )
    if seen.available < MEMORY_TYPICAL:
        return Verdict(
            True,
            detail,
            f"A model of 3 billion weights takes {_gb(MEMORY_TYPICAL)} while it is loaded or changed.",
        )
    return Verdict(True, detail)


def model(home: Home) -> Verdict:
    """The models that come with an installed package; one that is missing stops nothing else."""
    found: list[str] = []
    for name in named.named_models():
        try:
            path = named.find(name)
        except UserError as error:
            return Verdict(None, error.message, error.hint)
        files = path.iterdir() if path.is_dir() else (path,)
        found.append(f"{name}, {_gb(sum(file.stat().st_size for file in files))}")
    return Verdict(True, f"{'; '.join(found)}.")


def _gb(size: int) -> str:
    return f"{size / GB:.1f} GB"


CHECKS: Mapping[str, Check] = {
    "database": database,
    "disk": disk,
    "memory": memory,
    "model": model,
}

if __name__ == "__main__":
    sys.exit(serve(CHECKS))
