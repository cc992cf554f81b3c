"""The status bar: what runs and when it ends, the machine, the database."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout

from app.viewmodels.types import RunSummary
from app.widgets.controls import Elided

HEIGHT = 24


class StatusBar(QFrame):
    """Three texts that give way to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("surface", "status")
        self.setFixedHeight(HEIGHT)
        self.setAccessibleName("Status")
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 0, 16, 0)
        row.setSpacing(16)
        self.doing = Elided("", "small")
        self.host = Elided("", "small")
        self.store = Elided("", "small")
        self.store.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.doing)
        row.addWidget(self.host)
        row.addStretch(1)
        row.addWidget(self.store)

    def show_running(self, running: list[RunSummary], pace: str) -> None:
        """What runs; `pace` says how far and how fast the first of them is."""
        self.doing.set_text(_doing(running, pace) if running else "Nothing is running")


def _doing(running: list[RunSummary], pace: str) -> str:
    first = running[0]
    more = f" · and {len(running) - 1} more" if len(running) > 1 else ""
    if pace:
        return f"● running: {pace}{more}"
    share = "" if first.progress is None else f" · {first.progress:.0%}"
    note = f" · {first.note}" if first.note else ""
    return f"● {first.label}: {first.status_text}{share}{note}{more}"


def window_title(running: list[RunSummary]) -> str:
    """The window's title: how far the first run is, its name, the program."""
    if not running:
        return "Rekindle"
    share = "" if running[0].progress is None else f"{running[0].progress:.0%} · "
    return f"{share}{running[0].label} · Rekindle"
