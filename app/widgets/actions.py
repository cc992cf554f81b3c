"""What a page can do at the moment, as data: the command palette and the shortcuts drawer list it.

A page hands out its actions by `Page.page_actions`; where one has keys, the page itself listens to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def always() -> bool:
    """For actions that are possible at any time."""
    return True


@dataclass(frozen=True)
class PageAction:
    """One act.

    Attributes:
        title: in the imperative, as on the button ("Stop and save").
        act: does it.
        keys: the keys that do the same, in portable text ("Ctrl+Return"), "" for none.
        enabled: whether it is possible now; asked when the list is shown.
        icon: name of a Phosphor icon, "" for none.
    """

    title: str
    act: Callable[[], None]
    keys: str = ""
    enabled: Callable[[], bool] = always
    icon: str = ""
