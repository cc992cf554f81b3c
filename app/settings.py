"""Preferences of the window: typed, versioned, one JSON file in the home folder.

Science belongs in the recipe, not here. A file that cannot be read is set aside, never a reason not to
start; unknown values fall back to the defaults.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

logger = logging.getLogger(__name__)

VERSION = 1
Theme = Literal["system", "light", "dark"]
Density = Literal["compact", "normal", "roomy"]
Closing = Literal["ask", "keep", "stop"]


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
        views: how a page was left, by "page.what" ("run.x_axis"): axes, tabs, filters.
    """

    path: Path | None = None
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
    views: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """The settings in `path`, or the defaults where there is no (readable) file."""
        settings = cls(path=path)
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return settings
        except (OSError, ValueError) as error:
            logger.warning(
                "Preferences in %s cannot be read (%s); using the defaults.", path, error
            )
            _set_aside(path)
            return settings
        if isinstance(stored, dict):
            settings._take(stored)
        return settings

    def save(self) -> None:
        """Write the file in one move, so that a crash leaves the old or the new one."""
        if self.path is None:
            return
        record = {"version": VERSION, **asdict(self)}
        del record["path"]
        temporary = self.path.with_suffix(".json.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            os.replace(temporary, self.path)
        except OSError as error:
            logger.warning("Preferences were not saved in %s: %s", self.path, error)

    def reset(self) -> None:
        """Take the defaults for everything, also for how pages were left; `save` makes it last."""
        fresh = Settings()
        for item in fields(self):
            if item.name != "path":
                setattr(self, item.name, getattr(fresh, item.name))

    def _take(self, stored: dict[str, Any]) -> None:
        for item in fields(self):
            if item.name != "path" and item.name in stored and _fits(item.name, stored[item.name]):
                setattr(self, item.name, stored[item.name])


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
    if name in ("columns", "views"):
        return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    return isinstance(value, str)


def _set_aside(path: Path) -> None:
    try:
        path.replace(path.with_suffix(".json.unreadable"))
    except OSError as error:
        logger.warning("The unreadable file %s stays where it is: %s", path, error)
