"""Preferences of the window: typed, versioned, one JSON file in the home folder.

Science belongs in the recipe, not here. A file that cannot be read is set aside, never a reason not to
start; unknown values fall back to the defaults. Saving changes in the file only what was changed here: a second
window on the same folder, and what a newer Rekindle keeps there, lose nothing.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

logger = logging.getLogger(__name__)

VERSION = 1
UNREADABLE = (OSError, ValueError, RecursionError)
"""What reading a damaged file ends in; the last one from a file that is nothing but brackets."""
DEFAULTS = "This window begins with the defaults. Runs and recipes are not touched."
UNSAVED = "This window goes on with them. Free some space, or allow writing in that folder."
NEWER = (
    "A newer Rekindle wrote the preferences.",
    "What this one does not know stays in the file as it is.",
)
Theme = Literal["system", "light", "dark"]
Density = Literal["compact", "normal", "roomy"]
Closing = Literal["ask", "keep", "stop"]
_NOT_KEPT = {"kept": False}


@dataclass
class Settings:
    """What the window remembers.

    Attributes:
        path: the JSON file; None keeps the settings in memory only.
        theme: follows the system, or is fixed.
        density: height of the rows of tables.
        closing: what becomes of runs when the window closes: ask, keep training, or stop and save.
        notifications: tell by a desktop message when a run has ended.
        developer: offer the pages that are for developers.
        geometry: the main window's `saveGeometry()`, base64.
        page: the page shown last.
        splitters: sizes by splitter name.
        columns: state by table name: shown columns, order, widths (`QHeaderView.saveState()`, base64).
        smoothing: of curves, 0 (none) to 1.
        recipe_folder: where a recipe was opened or saved last.
        projects: folders of projects opened lately, the last one first.
        views: how a page was left, by "page.what" ("run.x_axis"): axes, tabs, filters.
        notices: (what happened, what to know), found when the file was read.
        on_trouble: told once when the file cannot be written, with what to do.
    """

    path: Path | None = field(default=None, metadata=_NOT_KEPT)
    notices: tuple[tuple[str, str], ...] = field(default=(), metadata=_NOT_KEPT, compare=False)
    on_trouble: Callable[[str, str], None] | None = field(
        default=None, metadata=_NOT_KEPT, compare=False
    )
    theme: Theme = "system"
    density: Density = "normal"
    closing: Closing = "ask"
    notifications: bool = True
    developer: bool = False
    geometry: str = ""
    page: str = "runs"
    splitters: dict[str, list[int]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    smoothing: float = 0.6
    recipe_folder: str = ""
    projects: list[str] = field(default_factory=list)
    views: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._saved: dict[str, Any] = {}  # as it stands in the file, as far as is known
        self._told = False

    @classmethod
    def load(cls, path: Path) -> Settings:
        """The settings in `path`, or the defaults where there is no (readable) file."""
        settings = cls(path=path)
        try:
            stored = _read(path)
        except FileNotFoundError:
            return settings
        except UNREADABLE as error:
            logger.warning(
                "Preferences in %s cannot be read (%s); using the defaults.", path, error
            )
            settings.notices = (_set_aside(path),)
            return settings
        settings._take(stored)
        settings._saved = settings._record()
        if _version(stored) > VERSION:
            settings.notices = (NEWER,)
        return settings

    def save(self) -> None:
        """Write what was changed here, in one move, so that a crash leaves the old or the new file."""
        if self.path is None:
            return
        now = self._record()
        temporary = self.path.with_suffix(f".json.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            record = _merged(_stored(self.path), self._saved, now)
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            os.replace(temporary, self.path)
        except OSError as error:
            logger.warning("Preferences were not saved in %s: %s", self.path, error)
            _forget(temporary)
            if self.on_trouble is not None and not self._told:
                self._told = True
                why = error.strerror or str(error)
                self.on_trouble(f"Preferences cannot be saved in {self.path}: {why}.", UNSAVED)
            return
        self._saved, self._told = now, False

    def reset(self) -> None:
        """Take the defaults for everything, also for how pages were left; `save` makes it last."""
        fresh = Settings()
        for name in _kept():
            setattr(self, name, getattr(fresh, name))

    def _record(self) -> dict[str, Any]:
        return {name: deepcopy(getattr(self, name)) for name in _kept()}

    def _take(self, stored: dict[str, Any]) -> None:
        for name in _kept():
            if name not in stored:
                continue
            if _fits(name, stored[name]):
                setattr(self, name, stored[name])
            else:
                logger.warning("The preference %s has a value that is not known here.", name)


def _kept() -> list[str]:
    return [it.name for it in fields(Settings) if it.metadata.get("kept", True)]


def _read(path: Path) -> dict[str, Any]:
    stored = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(stored, dict):
        return stored
    raise ValueError("not an object with names and values")


def _stored(path: Path) -> dict[str, Any]:
    """What is in the file now; another window may have written it."""
    try:
        return _read(path)
    except UNREADABLE:  # set aside when it was loaded; what is written now is whole
        return {}


def _version(stored: dict[str, Any]) -> int:
    version = stored.get("version")
    return version if isinstance(version, int) else VERSION


def _merged(stored: dict[str, Any], before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """`stored` with what differs between `before` and `now`; of dictionaries key by key."""
    record = {**stored, "version": max(VERSION, _version(stored))}
    for name, value in now.items():
        kept, old = record.get(name), before.get(name)
        if isinstance(value, dict) and isinstance(kept, dict) and isinstance(old, dict):
            changed = {key: it for key, it in value.items() if key not in old or old[key] != it}
            gone = old.keys() - value.keys()
            record[name] = {key: it for key, it in kept.items() if key not in gone} | changed
        elif name not in record or value != old:
            record[name] = value
    return record


def _fits(name: str, value: object) -> bool:
    if name == "theme":
        return value in get_args(Theme)
    if name == "density":
        return value in get_args(Density)
    if name == "closing":
        return value in get_args(Closing)
    if name in ("notifications", "developer"):
        return isinstance(value, bool)
    if name == "smoothing":
        return isinstance(value, int | float) and 0 <= value <= 1
    if name == "splitters":
        return isinstance(value, dict) and all(
            isinstance(sizes, list) and all(isinstance(size, int) for size in sizes)
            for sizes in value.values()
        )
    if name == "projects":
        return isinstance(value, list) and all(isinstance(path, str) for path in value)
    if name in ("columns", "views"):
        return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    return isinstance(value, str)


def _set_aside(path: Path) -> tuple[str, str]:
    """Keep the file under another name; what a person is told of it."""
    aside = path.with_suffix(".json.unreadable")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_suffix(f".json.unreadable-{count}")
    try:
        path.replace(aside)
    except OSError as error:
        logger.warning("The unreadable file %s stays where it is: %s", path, error)
        return f"The preferences in {path} cannot be read.", DEFAULTS
    return f"The preferences could not be read; the file is kept as {aside}.", DEFAULTS


def _forget(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s stays: %s", temporary, error)
