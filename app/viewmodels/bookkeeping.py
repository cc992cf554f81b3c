"""Jobs of the writer that keep the states of runs true; a store that is read-only is left as it is."""

from __future__ import annotations

from core.engine import liveness
from core.store.store import Store


def open_books(store: Store) -> tuple[str, ...]:
    """First job of the writer: dead workers' runs are marked. Answers with what the store has to say."""
    reconcile_quietly(store)
    return tuple(store.notices)


def reconcile_quietly(store: Store) -> None:
    """Mark the runs whose worker is gone."""
    if not store.read_only:
        liveness.reconcile(store)


def set_stopped(store: Store, uid: str) -> None:
    """Stop a run that only waits."""
    if store.run(uid).status == "queued":
        store.set_status(uid, "stopped")
