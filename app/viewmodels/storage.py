"""How much room the home folder takes, by its parts; measured off the window's thread."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.viewmodels import words
from core.errors import UserError
from core.store.home import HOME_VARIABLE, Home


@dataclass(frozen=True)
class Storage:
    """Bytes by part; `free` and `total` are the disk's."""

    place: str
    parts: tuple[tuple[str, int], ...]
    free: int
    total: int

    def lines(self) -> tuple[tuple[str, str], ...]:
        """Name and size of each part, then what is left."""
        left = f"{words.size(self.free)} of {words.size(self.total)}"
        return (*((name, words.size(size)) for name, size in self.parts), ("Disk left", left))


def measure(home: Home) -> Storage:
    """Add up what lies in the home folder; files that vanish meanwhile count nothing.

    Raises:
        UserError: the folder is not there.
    """
    database = sum(_size(path) for path in home.path.glob(f"{home.database.name}*"))
    parts = (
        ("Database", database),
        ("Checkpoints", _tree(home.checkpoints)),
        ("Trash, can be put back", _tree(home.trash)),
        ("Cache", _tree(home.cache)),
        ("Logs of runs", _tree(home.path / "runs")),
    )
    try:
        disk = shutil.disk_usage(home.path)
    except OSError as error:
        raise UserError(
            f"The folder {home.path} cannot be looked at: {error.strerror or error}.",
            "Check that its disk is connected.",
        ) from error
    return Storage(str(home.path), parts, disk.free, disk.total)


def moving(home: Home) -> str:
    """How the home folder is moved, in words."""
    named = os.environ.get(HOME_VARIABLE)
    now = f"It is set by {HOME_VARIABLE} now. " if named else ""
    return (
        f"{now}To move everything: close Rekindle, move this folder, and start with the environment "
        f"variable {HOME_VARIABLE} set to its new place."
    )


def _tree(folder: Path) -> int:
    """Links are not followed, and a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except OSError:
                continue
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
