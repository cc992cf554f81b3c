"""Whether the process that runs a run still lives.

A worker is its process id and its start time together (ids are reused). A silent run is never called dead:
only the process table decides. No torch here: the window imports this module.
"""

from __future__ import annotations

import psutil

from core.store.rows import RunRow
from core.store.store import Store

START_TOLERANCE = 5.0
"""Seconds by which two readings of one start time may differ (the clock may have been set meanwhile)."""


def me() -> tuple[int, float]:
    """Id and start time of this process, as `Store.claim` takes them."""
    process = psutil.Process()
    return process.pid, process.create_time()


def alive(pid: int | None, pid_started: float | None) -> bool:
    """Whether the process of that id and start time exists and is no zombie."""
    if pid is None or pid_started is None:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - pid_started) < START_TOLERANCE
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_live(run: RunRow) -> bool:
    """Whether a run has a living worker."""
    return run.status == "running" and alive(run.pid, run.pid_started)


def reconcile(store: Store) -> list[str]:
    """Mark runs whose worker died as interrupted, and return their ids.

    To be called when the window starts, and by a watcher whose worker is gone.
    """
    dead = [run.uid for run in store.running() if not is_live(run)]
    for uid in dead:
        if not is_live(store.run(uid)):  # read again: it may have been resumed meanwhile
            store.set_status(uid, "interrupted")
    return dead
