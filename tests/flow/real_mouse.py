"""A window on a display of its own, with a mouse that is moved as a hand moves it: what offscreen cannot hold.

Needs Xvfb and xdotool; `missing` says what is not there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TOOLS = ("Xvfb", "xdotool")
WAIT_S = 60
SHORT_S, LONG_S = 0.05, 0.3
STEPS = 8
"""Moves of a drag: one jump would be taken for a click."""


def missing() -> str:
    """The tools that are not installed, with commas; "" when all are there."""
    return ", ".join(it for it in TOOLS if shutil.which(it) is None)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it; fail when it does not come."""
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(SHORT_S)


@contextmanager
def display() -> Iterator[str]:
    """An X server without a screen; gives its name."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=(write,), stderr=subprocess.DEVNULL) as server:
        os.close(write)
        try:
            with os.fdopen(read) as told:
                yield f":{told.readline().strip()}"
        finally:
            server.terminate()


@contextmanager
def window(screen: str, script: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A script that opens a window over a home folder there, and says on its output where things are."""
    environment = {**os.environ, "DISPLAY": screen, "QT_QPA_PLATFORM": "xcb"}
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), str(home)]
    with subprocess.Popen(
        command,
        env={**environment, "PYTHONPATH": str(root)},
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


class Mouse:
    """Moves the pointer of a display."""

    def __init__(self, screen: str) -> None:
        self._environment = {**os.environ, "DISPLAY": screen}

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Press, pull in small moves, hold, let go."""
        self._do("mousemove", *map(str, start))
        time.sleep(LONG_S)
        self._do("mousedown", "1")
        for step in range(1, STEPS + 1):
            at = [a + (b - a) * step // STEPS for a, b in zip(start, end, strict=True)]
            self._do("mousemove", *map(str, at))
            time.sleep(SHORT_S)
        self._do("mousemove", str(end[0] + 1), str(end[1]))
        time.sleep(LONG_S)
        self._do("mouseup", "1")
        time.sleep(LONG_S)

    def _do(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self._environment, check=True)
