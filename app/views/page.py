"""What every page shares: its ground, its margins, and refreshes gathered into one a moment."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

REFRESH_MS = 50
MARGIN = 16
SPACING = 12


class Page(QWidget):
    """A page of the window. Parts are refreshed at most every 50 ms, and only while the page is visible."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "page")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(MARGIN, 14, MARGIN, MARGIN)
        self.column.setSpacing(SPACING)
        self._parts: list[Callable[[], None]] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._refresh)

    def later(self, *parts: Callable[[], None]) -> None:
        """Refresh these parts soon, each once."""
        self._parts += [part for part in parts if part not in self._parts]
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    def refresh_now(self) -> None:
        """Refresh what waits, at once."""
        self._timer.stop()
        self._refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up on what changed while the page was hidden."""
        super().showEvent(event)
        if self._parts:
            self._timer.start()

    def _refresh(self) -> None:
        parts, self._parts = self._parts, []
        for part in parts:
            part()
