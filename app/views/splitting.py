"""Splitters that look like the gap between two cards and remember where they were left."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter

from app.settings import Settings

GAP = 12


def splitter(settings: Settings, name: str, orientation: Qt.Orientation) -> QSplitter:
    """A splitter whose sizes are kept in the settings under `name`; panes never vanish."""
    made = QSplitter(orientation)
    made.setHandleWidth(GAP)
    made.setChildrenCollapsible(False)
    made.setAccessibleName(name)

    def remember() -> None:
        settings.splitters[name] = made.sizes()

    made.splitterMoved.connect(lambda *_: remember())
    return made


def restore(made: QSplitter, settings: Settings, sizes: list[int]) -> None:
    """Set the sizes remembered for the splitter, or `sizes`."""
    kept = settings.splitters.get(made.accessibleName(), [])
    made.setSizes(kept if len(kept) == made.count() else sizes)
