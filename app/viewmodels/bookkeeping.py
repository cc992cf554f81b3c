"""Jobs of the writer that keep the states of runs true; a store that is read-only is left as it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.viewmodels.run_edits import KEPT_DAYS
from core.engine import liveness
from core.errors import UserError
from core.store.store import Store

SECONDS_PER_DAY = 86400


@dataclass(frozen=True)
class Books:
    """What the store has to say, and the runs that waited when a window was closed, in order."""

    notices: tuple[str, ...]
    queue: tuple[str, ...]


def open_books(store: Store) -> Books:
    """First job of the writer: dead workers' runs are marked, and what was deleted long ago is purged.

    Where another program does not let us write just now, both wait for another start.
    """
    notices = list(store.notices)
    try:
        reconcile_quietly(store)
        if not store.read_only:
            store.purge_deleted(time.time() - KEPT_DAYS * SECONDS_PER_DAY)
    except UserError as error:
        notices.append(str(error))
    return Books(tuple(notices), tuple(store.queue()))


def reconcile_quietly(store: Store) -> None:
    """Mark the runs whose worker is gone."""
    if not store.read_only:
        liveness.reconcile(store)


def set_stopped(store: Store, uid: str) -> None:
    """Stop a run that only waits."""
    if store.run(uid).status == "queued":
        store.set_status(uid, "stopped")
