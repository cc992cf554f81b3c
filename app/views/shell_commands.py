"""What the window itself can do, as data: for the palette, for the drawer, and for its own shortcuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from app.settings import Settings
from app.viewmodels.palette import Entry
from app.viewmodels.types import Preset
from app.views.page import Page
from app.views.pages import PAGES, Place, is_developer, keys_of
from app.views.settings_words import SETTINGS_ENTRIES
from app.widgets.actions import PageAction


@dataclass(frozen=True)
class Acts:
    """What the window does when a command is chosen."""

    show_page: Callable[[str], None]
    load_preset: Callable[[str], None]
    show_setting: Callable[[str], None]


def page_places(settings: Settings) -> list[Place]:
    """The pages that can be reached: the hidden ones by developers only."""
    return [place for place in PAGES if not place.hidden or is_developer(settings)]


def entries(
    *,
    here: tuple[str, Page],
    everywhere: Iterable[PageAction],
    presets: Iterable[Preset],
    settings: Settings,
    acts: Acts,
) -> list[Entry]:
    """Everything the palette offers besides runs.

    Args:
        here: title of the page that is shown, and the page.
        everywhere: what the window can do on every page.
    """
    title, page = here
    made = [_entry(action, title) for action in page.page_actions()]
    made += [
        Entry(
            place.title,
            "Page",
            partial(acts.show_page, place.key),
            keys_of(place),
            icon=place.icon,
        )
        for place in page_places(settings)
    ]
    made += [_entry(action, "Window") for action in everywhere]
    made += [
        Entry(
            preset.name,
            "Preset",
            partial(acts.load_preset, preset.path),
            icon="flask",
            also=preset.description,
        )
        for preset in presets
    ]
    made += [
        Entry(
            text,
            "Setting",
            partial(acts.show_setting, key),
            icon="gear",
            also=also,
        )
        for key, text, also in SETTINGS_ENTRIES
    ]
    return made


def _entry(action: PageAction, group: str) -> Entry:
    return Entry(action.title, group, action.act, action.keys, action.enabled(), action.icon)
