"""A person who says where pictures are saved, and yes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtWidgets import QWidget

from app.views.dialogs import Dialogs


class Files(Dialogs):
    """Says where to save, and yes."""

    def __init__(self, folder: Path, name: str = "picture.png") -> None:
        self.folder = folder
        self.name = name
        self.suggested: list[str] = []

    def save_file(
        self, parent: QWidget, title: str, suggested: str, kinds: Sequence[tuple[str, str]]
    ) -> Path | None:
        self.suggested.append(suggested)
        return self.folder / self.name if self.name else None

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        return True
