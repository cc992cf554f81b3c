"""How long each turn of the window's event loop keeps its thread busy, and what Python was doing meanwhile.

A turn is what the Unix dispatcher does between two `awake` signals: posted events, then timers and sockets.
The main figure is the CPU time of the window's thread in one turn, which a busy machine does not disturb; the
wall time beside it includes waiting for the interpreter lock and for a core. Two turns before the loop
may sleep are two turns, however close: between them the window answers.

Set `QT_NO_GLIB=1` before Qt is loaded: GLib's dispatcher does not say where a turn begins.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType

from PySide6.QtCore import QAbstractEventDispatcher

SAMPLE_SECONDS = 0.001
LATE_SECONDS = 0.008
"""A turn older than this is looked at."""
DEPTH = 7


@dataclass
class Act:
    """What was measured while one act had its effects.

    Attributes:
        cpu_ms: the longest turn, CPU time of the window's thread.
        wall_ms: the longest turn from its beginning to the next time the loop could sleep.
        whole_ms: all CPU time of the thread, from the act to its end.
        over: turns above 16 ms.
        stacks: the most frequent stacks in turns that were long.
    """

    name: str
    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    whole_ms: float = 0.0
    over: int = 0
    stacks: Counter[str] = field(default_factory=Counter)


class Turns:
    """Counts for the act in progress; make it on the window's thread, before `exec`."""

    LIMIT_MS = 16.0

    def __init__(self) -> None:
        self._window = threading.get_ident()
        self._act = Act("")
        self._cpu = time.thread_time()
        self._begun = time.perf_counter()
        self._asleep = False
        self._ended = threading.Event()
        self.quiet_since = self._begun
        dispatcher = QAbstractEventDispatcher.instance()
        dispatcher.awake.connect(self._awake)
        dispatcher.aboutToBlock.connect(self._block)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def begin(self, name: str) -> Act:
        """Measure for another act from now on."""
        self._act = Act(name)
        return self._act

    def close(self) -> None:
        """End the watching thread."""
        self._ended.set()
        self._watcher.join()

    def _awake(self) -> None:
        cpu, wall = time.thread_time(), time.perf_counter()
        spent = 1000 * (cpu - self._cpu)
        act = self._act
        act.cpu_ms = max(act.cpu_ms, spent)
        act.whole_ms += spent
        act.over += spent > self.LIMIT_MS
        if spent > 1:
            self.quiet_since = wall
        if not self._asleep:  # it did not sleep in that turn: all of it was work
            act.wall_ms = max(act.wall_ms, 1000 * (wall - self._begun))
        self._cpu, self._begun, self._asleep = cpu, wall, False

    def _block(self) -> None:
        now = time.perf_counter()
        self._act.wall_ms = max(self._act.wall_ms, 1000 * (now - self._begun))
        self._asleep = True

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            if self._asleep or time.perf_counter() - self._begun < LATE_SECONDS:
                continue
            frame = sys._current_frames().get(self._window)
            if frame is not None:
                self._act.stacks[_stack(frame)] += 1


def _stack(frame: FrameType | None) -> str:
    """The innermost frames of the program, the deepest first."""
    found: list[str] = []
    while frame is not None and len(found) < DEPTH:
        code = frame.f_code
        if "/bench/" not in code.co_filename and "runpy" not in code.co_filename:
            file = code.co_filename.rpartition("/")[2].removesuffix(".py")
            found.append(f"{file}.{code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)
