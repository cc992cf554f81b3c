"""What every page shares: its ground, its margins, and refreshes gathered and spread out.

A chart's refresh costs little and its repaint much. Parts that are due together are therefore refreshed one
a turn of the event loop, so that Qt paints them one by one and the window stays awake in between.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.widgets.actions import PageAction
from app.widgets.controls import label

REFRESH_MS = 100
SPREAD_MS = 15
"""Between two parts: about one frame."""
MARGIN = 16
SPACING = 12
TITLE_HEIGHT = 28


def page_title(text: str) -> QLabel:
    """The heading of a page, as high as the buttons beside it elsewhere, so that it never jumps."""
    made = label(text, "title")
    made.setMinimumHeight(TITLE_HEIGHT)
    return made


class Page(QWidget):
    """A page of the window. Parts are refreshed at most every 100 ms, and only while the page is visible."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "page")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(MARGIN, 14, MARGIN, MARGIN)
        self.column.setSpacing(SPACING)
        self._parts: list[Callable[[], None]] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._refresh_one)

    def page_actions(self) -> tuple[PageAction, ...]:
        """What can be done here; the command palette and the shortcuts drawer list it."""
        return ()

    def take_focus(self) -> None:
        """The page is shown: its keys work from here on, before anything in it is chosen."""
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def later(self, *parts: Callable[[], None]) -> None:
        """Refresh these parts soon, each once."""
        self._parts += [part for part in parts if part not in self._parts]
        if self.isVisible() and not self._timer.isActive():
            self._timer.start(REFRESH_MS)

    def refresh_now(self) -> None:
        """Refresh what waits, at once."""
        self._timer.stop()
        parts, self._parts = self._parts, []
        for part in parts:
            part()

    def watch(self, on: bool) -> None:
        """Somebody looks at the page, or nobody does any more: what is read for it alone may rest."""

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up on what changed while the page was hidden."""
        super().showEvent(event)
        self.watch(True)
        if self._parts:
            self._timer.start(0)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks."""
        super().hideEvent(event)
        self.watch(False)

    def _refresh_one(self) -> None:
        if self._parts:
            self._parts.pop(0)()
        if self._parts:
            self._timer.start(SPREAD_MS)
