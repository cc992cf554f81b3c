"""What a person may ask of a running worker, told by files in the run's folder.

`stop` holds "save" or "discard"; `save_now` is empty and is removed when seen. Files work from the window,
the command line and a second machine on the same disk alike, and cost a worker one look every tenth of a
second. No torch here: the window imports this module.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import FrameType

from core.store.home import Home

POLL_SECONDS = 0.1
CLOCK_SLACK = 1.0
"""Seconds by which a file's time may lie before the clock's: file systems round down."""

_STOP, _SAVE_NOW = "stop", "save_now"
_SAVE, _DISCARD = "save", "discard"
_SIGNAL_EXIT = 128  # shells report a death by signal n as 128 + n


def request_stop(home: Home, uid: str, keep: bool) -> None:
    """Ask the worker of `uid` to stop: keep what the current stage has trained so far, or discard it."""
    _write(home.run(uid) / _STOP, _SAVE if keep else _DISCARD)


def request_save(home: Home, uid: str) -> None:
    """Ask the worker of `uid` to save its training state after the current step."""
    _write(home.run(uid) / _SAVE_NOW, "")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


class Control:
    """The worker's side: looks at the files, and takes SIGTERM and SIGINT for "stop and save".

    Args:
        folder: of the run.
        since: when this session was asked for, seconds since the epoch; older files belonged to an
            earlier session and are ignored.
    """

    def __init__(self, folder: Path, since: float) -> None:
        self._stop, self._save = folder / _STOP, folder / _SAVE_NOW
        self._since = since - CLOCK_SLACK
        self._signalled = False
        self._looked = float("-inf")
        self._keep: bool | None = None

    def stop(self) -> bool | None:
        """None, or how a stop was asked for: True to keep, False to discard. The first request counts."""
        if self._keep is None:
            if self._due() and self._given(self._stop):
                self._keep = self._stop.read_text(encoding="utf-8").strip() != _DISCARD
            elif self._signalled:
                self._keep = True
        return self._keep

    def save_now(self) -> bool:
        """True once for each request to save."""
        if not self._given(self._save):
            return False
        self._save.unlink(missing_ok=True)
        return True

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """A signal handler: the first signal asks to stop, the second ends the process at once."""
        if self._signalled:
            os._exit(_SIGNAL_EXIT + number)
        self._signalled = True

    def clear(self) -> None:
        """Remove the requests of this session at its end."""
        self._stop.unlink(missing_ok=True)
        self._save.unlink(missing_ok=True)

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._looked < POLL_SECONDS:
            return False
        self._looked = now
        return True

    def _given(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime >= self._since
        except FileNotFoundError:
            return False
