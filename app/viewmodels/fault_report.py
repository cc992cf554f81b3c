"""What a person may send when Rekindle itself goes wrong: the message, versions, the last lines of its log.

Redacted as the report of a failed run is; nothing is sent anywhere.
"""

from __future__ import annotations

import logging
import platform
from collections import deque
from importlib.metadata import PackageNotFoundError, version

from app.viewmodels.diagnostics import cleaned

KEPT_LINES = 100
PACKAGES = ("rekindle", "PySide6", "pyqtgraph", "torch", "transformers")


class RecentLog(logging.Handler):
    """Keeps the last lines of the program's log, tracebacks in full."""

    def __init__(self, kept: int = KEPT_LINES) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self._lines.append(self.format(record))

    def text(self) -> str:
        """What is kept, the oldest first."""
        return "\n".join(self._lines)


def fault_report(message: str, hint: str, log: str) -> str:
    """The text for the clipboard."""
    versions = [f"Python {platform.python_version()}", platform.platform()]
    versions += [f"{name} {_version(name)}" for name in PACKAGES]
    parts = (
        ("What happened", "\n".join(part for part in (message, hint) if part)),
        ("Versions and machine", "\n".join(versions)),
        ("Last lines of the log", log),
    )
    return cleaned("\n\n".join(f"{title}\n{body}" for title, body in parts if body) + "\n")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # started from its folder, or without the engine's libraries
        return "not installed"
