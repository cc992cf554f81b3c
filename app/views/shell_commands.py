"""What the window itself can do, as data: for the palette, for the drawer, and for its own shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from PySide6.QtGui import QKeySequence

from app.settings import Settings
from app.viewmodels.palette import Entry
from app.viewmodels.presets import shipped
from app.viewmodels.recipe_types import Preset
from app.views.header import PALETTE_KEYS
from app.views.page import Page
from app.views.pages import LISTED, PAGES, Place, is_developer, keys_of
from app.views.settings_words import SETTINGS_ENTRIES
from app.widgets.actions import PageAction

SHORTCUTS_KEYS = "F1"
QUESTION_MARK = "?"
"""Opens the drawer, too, where it is not typed into a field."""


@dataclass(frozen=True)
class Acts:
    """What the window does when a command is chosen."""

    show_page: Callable[[str], None]
    load_preset: Callable[[str], None]
    show_setting: Callable[[str], None]
    open_palette: Callable[[], None]
    toggle_shortcuts: Callable[[], None]
    switch_project: Callable[[], None]
    show_first_steps: Callable[[], None]
    next_theme: Callable[[], None]
    leave: Callable[[], None]


def overlay_keys() -> tuple[str, ...]:
    """The window's keys that work while something lies over its pages."""
    return PALETTE_KEYS, SHORTCUTS_KEYS, QUESTION_MARK, quit_keys()


class ShellCommands:
    """Commands of the window and of the page it shows.

    Args:
        shown: the page that is shown.
        acts: what the window does.
    """

    def __init__(
        self, settings: Settings, shown: Callable[[], tuple[Place, Page]], acts: Acts
    ) -> None:
        self._settings = settings
        self._shown = shown
        self._acts = acts

    @cached_property
    def _presets(self) -> Sequence[Preset]:
        """Read once: they ship with the program."""
        return shipped()

    def everywhere(self) -> tuple[PageAction, ...]:
        """What the window can do on every page."""
        acts = self._acts
        return (
            PageAction(
                "Search runs, commands, settings",
                acts.open_palette,
                PALETTE_KEYS,
                icon="magnifying-glass",
            ),
            PageAction(
                "Show the keyboard shortcuts",
                acts.toggle_shortcuts,
                SHORTCUTS_KEYS,
                icon="keyboard",
            ),
            PageAction("Switch the project…", acts.switch_project, icon="folders"),
            PageAction("Show the first steps", acts.show_first_steps, icon="flag"),
            PageAction("Next theme", acts.next_theme, icon="circle-half"),
            PageAction("Close the window", acts.leave, quit_keys(), icon="x"),
        )

    def pages(self) -> tuple[PageAction, ...]:
        """The pages that can be reached: the hidden ones by developers only."""
        return tuple(
            PageAction(
                place.title,
                partial(self._acts.show_page, place.key),
                keys_of(place),
                icon=place.icon,
            )
            for place in PAGES
            if not place.hidden or is_developer(self._settings)
        )

    def shortcuts(self) -> list[tuple[str, Callable[[], None]]]:
        """The keys that the window listens to itself."""
        made = [(keys_of(it), partial(self._acts.show_page, it.key)) for it in LISTED]
        own = [(action.keys, action.act) for action in self.everywhere() if action.keys]
        return [*made, *own, (QUESTION_MARK, self._acts.toggle_shortcuts)]

    def sections(self) -> Sequence[tuple[str, Sequence[PageAction]]]:
        """What the drawer lists."""
        place, page = self._shown()
        return (
            (f"On this page: {place.title}", page.page_actions()),
            ("Everywhere", self.everywhere()),
            ("Pages", self.pages()),
        )

    def entries(self) -> list[Entry]:
        """Everything the palette offers besides runs; what can be done here and now comes first."""
        place, page = self._shown()
        here = [_entry(action, place.title) for action in page.page_actions()]
        presets = [
            Entry(
                preset.name,
                "Preset",
                partial(self._acts.load_preset, preset.path),
                icon="flask",
                also=preset.description,
            )
            for preset in self._presets
        ]
        settings = [
            Entry(text, "Setting", partial(self._acts.show_setting, key), icon="gear", also=also)
            for key, text, also in SETTINGS_ENTRIES
        ]
        return [
            *sorted(here, key=lambda it: not it.enabled),
            *(_entry(action, "Page") for action in self.pages()),
            *(_entry(action, "Window") for action in self.everywhere()),
            *presets,
            *settings,
        ]


def quit_keys() -> str:
    """The platform's keys for leaving; Ctrl+Q where it has none."""
    keys = QKeySequence.keyBindings(QKeySequence.StandardKey.Quit)
    portable = QKeySequence.SequenceFormat.PortableText
    return keys[0].toString(portable) if keys else "Ctrl+Q"


def _entry(action: PageAction, group: str) -> Entry:
    return Entry(action.title, group, action.act, action.keys, action.enabled(), action.icon)
