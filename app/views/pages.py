"""The pages of the window as data: what they are called, where they are, and what they are made from.

A page is a module of its own, imported and made when it is first needed; those that draw charts cost
1.5 s to import and come in a background thread once the window has been painted. Adding a page is a line.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QThread

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.dialogs import Dialogs
from app.views.page import Page
from app.widgets.theme import Theme

DEVELOPER_VARIABLE = "REKINDLE_DEVELOPER"


@dataclass(frozen=True)
class Parts:
    """What pages are made from."""

    application: Application
    settings: Settings
    theme: Theme
    dialogs: Dialogs


def _all(parts: Parts) -> tuple[object, ...]:
    return parts.application, parts.settings, parts.theme, parts.dialogs


@dataclass(frozen=True)
class Place:
    """One page.

    Attributes:
        key: what the window calls it.
        title: what the person calls it.
        icon: name of a Phosphor icon.
        module, name: where its class is.
        given: the arguments of the class.
        early: made with the window, when it is the one to begin with; others wait for the first paint.
        hidden: for developers only; not in the rail.
    """

    key: str
    title: str
    icon: str
    module: str
    name: str
    given: Callable[[Parts], tuple[object, ...]] = _all
    early: bool = False
    hidden: bool = False

    def make(self, parts: Parts) -> Page:
        """Import the module and make the page."""
        kind: Any = getattr(importlib.import_module(self.module), self.name)
        page: Page = kind(*self.given(parts))
        return page


PAGES = (
    Place("runs", "Runs", "rows", "app.views.runs_page", "RunsPage", early=True),
    Place("new", "New run", "plus-circle", "app.views.new_run_page", "NewRunPage", early=True),
    Place("run", "Run", "chart-line-up", "app.views.run_page", "RunPage"),
    Place("compare", "Compare", "git-diff", "app.views.compare_page", "ComparePage"),
    Place("models", "Models and data", "tree-structure", "app.views.models_page", "ModelsPage"),
    Place("settings", "Settings", "gear", "app.views.settings_page", "SettingsPage", early=True),
    Place(
        "gallery",
        "Components",
        "swatches",
        "app.views.gallery_page",
        "GalleryPage",
        lambda it: (it.theme,),
        hidden=True,
    ),
)
LISTED = tuple(place for place in PAGES if not place.hidden)
BY_KEY = {place.key: place for place in PAGES}


def keys_of(place: Place) -> str:
    """The keys that show a page; "" for a hidden one."""
    return f"Ctrl+{LISTED.index(place) + 1}" if place in LISTED else ""


def is_developer(settings: Settings) -> bool:
    """Whether pages for developers are offered: by the environment, or by the switch in Settings."""
    return bool(os.environ.get(DEVELOPER_VARIABLE)) or settings.developer


class PageImports(QThread):
    """Imports the pages' modules beside the event loop; the window stays alive meanwhile."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._then: Callable[[], None] | None = None
        self.finished.connect(self._go_on)

    def run(self) -> None:
        """Import; the modules stay in `sys.modules`."""
        for place in LISTED:
            importlib.import_module(place.module)

    def has(self, key: str, then: Callable[[], None]) -> bool:
        """Whether a page can be made without waiting for its module; else `then` is called when it can be.

        Of several wishes the newest counts.
        """
        place = BY_KEY[key]
        imported = hasattr(sys.modules.get(place.module), place.name)
        if place.early or place.hidden or imported or self.isFinished():
            self._then = None
            return True
        self._then = then
        if not self.isRunning():
            self.start(QThread.Priority.LowPriority)
        return False

    def close(self) -> None:
        """The window closes: forget what was wished for, and wait for the end."""
        self._then = None
        self.wait()

    def _go_on(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()
