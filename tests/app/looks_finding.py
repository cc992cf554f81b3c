"""What the looks checks report, and the widgets that they look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from PySide6.QtWidgets import QWidget

SLACK = 1
"""Pixels of rounding between two measures of one text."""


@dataclass(frozen=True)
class Finding:
    """One defect: its kind (clipped, overlap, outside, nameless, unreachable, trap, faint), where, and what."""

    kind: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.what}"


def shown(window: QWidget) -> Iterator[QWidget]:
    """The widgets a person can see, the window itself left out."""
    for widget in window.findChildren(QWidget):
        if widget.isVisibleTo(window) and not widget.visibleRegion().isEmpty():
            yield widget


def place(widget: QWidget) -> str:
    """Where a widget is, from the outside in: class names, with the names a person would hear."""
    parts: list[str] = []
    at: QWidget | None = widget
    while at is not None and not at.isWindow():
        said = at.accessibleName() or at.objectName()
        parts.append(f"{type(at).__name__}({said})" if said else type(at).__name__)
        at = at.parentWidget()
    return " > ".join(reversed(parts[:4]))
