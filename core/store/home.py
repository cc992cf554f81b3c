"""The folder in which everything of one user lives: database, checkpoints, caches, run folders, settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from core.errors import UserError

HOME_VARIABLE = "REKINDLE_HOME"
_OWNER_ONLY = 0o700


@dataclass(frozen=True)
class Home:
    """Where things lie under one root. Only `create` touches the disk.

    Args:
        path: the root, absolute.
    """

    path: Path

    @staticmethod
    def default() -> Home:
        """The folder named by the environment variable REKINDLE_HOME, else the platform's user data folder."""
        named = os.environ.get(HOME_VARIABLE)
        if named:
            return Home(Path(named).expanduser().absolute())
        return Home(platformdirs.user_data_path("rekindle", appauthor=False))

    @property
    def database(self) -> Path:
        """The SQLite file with every run."""
        return self.path / "rekindle.sqlite3"

    @property
    def checkpoints(self) -> Path:
        """Finished and unfinished checkpoints, one folder each; all are siblings."""
        return self.path / "checkpoints"

    @property
    def trash(self) -> Path:
        """Checkpoints thrown away lately; they can be put back until it is emptied."""
        return self.path / "trash"

    @property
    def cache(self) -> Path:
        """What can be made again: converted models, under `models/<digest>`."""
        return self.path / "cache"

    @property
    def settings(self) -> Path:
        """Preferences of the window."""
        return self.path / "settings.json"

    def run(self, uid: str) -> Path:
        """Folder of one run: its worker's log and the control files. The worker makes it."""
        return self.path / "runs" / uid

    def create(self) -> None:
        """Make the folders where they are missing; a new root is readable by its owner only.

        Raises:
            UserError: the disk does not let us.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=_OWNER_ONLY, exist_ok=True)
            for folder in (self.checkpoints, self.cache, self.path / "runs"):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(
                f"The folder {self.path} cannot be written: {error.strerror or error}.",
                f"Allow writing there, free some space, or name another folder by {HOME_VARIABLE}.",
            ) from error
