"""A lock between processes, held by an open file and released by the operating system at death.

One guards each run (a second start of a live run is refused), one each checkpoint in the making (two runs
that want the same one make it once).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

POLL_SECONDS = 0.5


@contextmanager
def exclusive(path: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock `path` inside the block; gives False when another holder keeps it.

    Args:
        path: the lock's file; made when missing, and left behind.
        waiting: called again and again until the lock is free; what it raises ends the wait. Without it
            nothing is waited for.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        held = _take(handle)
        while not held and waiting is not None:
            waiting()
            time.sleep(POLL_SECONDS)
            held = _take(handle)
        yield held
    finally:
        os.close(handle)  # gives the lock back


def _take(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
