"""What a test must not leave behind: threads, visible windows, running timers that nobody owns, child processes.

The conftests of the window's tests and of the flows import `nothing_leaks`, which then guards each of them.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtWidgets import QApplication
from shiboken6 import isValid

GRACE_SECONDS = 2.0
"""What was told to end may take so long."""
LEAVING_SECONDS = 20.0
"""A worker that has said that its run is done still has torch to put away, on a busy machine for seconds."""
_SERVANTS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
_FOR_GOOD = ("Dummy", "tqdm_monitor")
"""Threads that live as long as the process: the entry of a QThread that ran Python code, and tqdm's only one."""


@dataclass(frozen=True)
class Before:
    """What was there when a test began."""

    threads: frozenset[threading.Thread]
    children: frozenset[int]
    timers: tuple[QTimer, ...]

    @staticmethod
    def now() -> Before:
        """What is there now."""
        return Before(
            frozenset(threading.enumerate()),
            frozenset(it.pid for it in psutil.Process().children()),
            tuple(_timers()),
        )


def left_behind(
    before: Before, grace: float = GRACE_SECONDS, leaving: float = GRACE_SECONDS
) -> list[str]:
    """What is there now and was not before, in words."""
    return [
        *_windows(),
        *_ownerless_timers(before),
        *_threads(before, grace),
        *_children(before, leaving),
    ]


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """No test leaves anything behind."""
    before = Before.now()
    yield
    left = left_behind(before, leaving=LEAVING_SECONDS)
    assert not left, f"left behind: {left}"


def _windows() -> list[str]:
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        return []
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return [f"visible {it}" for it in application.topLevelWidgets() if it.isVisible()]


def _timers() -> list[QTimer]:
    found = [it for it in gc.get_objects() if type(it) is QTimer]
    return [it for it in found if isValid(it) and it.isActive() and it.parent() is None]


def _ownerless_timers(before: Before) -> list[str]:
    left = [it for it in _timers() if not any(it is known for known in before.timers)]
    if left:
        del left
        gc.collect()  # it may be held by a cycle of garbage only
        left = [it for it in _timers() if not any(it is known for known in before.timers)]
    return [f"running timer of {it.interval()} ms" for it in left]


def _threads(before: Before, grace: float) -> list[str]:
    running = [it for it in threading.enumerate() if it not in before.threads]
    running = [it for it in running if not it.name.startswith(_FOR_GOOD)]
    for it in running:
        it.join(timeout=grace)  # rich tells its refresh thread to end and does not wait for it
    return [f"thread {it.name}" for it in running if it.is_alive()]


def _children(before: Before, grace: float) -> list[str]:
    new = [it for it in psutil.Process().children() if it.pid not in before.children]
    commands = {it.pid: " ".join(_command(it)) for it in new}
    new = [it for it in new if not any(name in commands[it.pid] for name in _SERVANTS)]
    _, alive = psutil.wait_procs(new, timeout=grace if any(map(_lives, new)) else 0)
    return [f"child process {it.pid}: {commands[it.pid]}" for it in alive if _lives(it)]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
