"""One look at the database and the disk, taken in the reader's thread."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import psutil

from app.viewmodels import words
from app.viewmodels.runs import RunLister, RunListing
from core.store.home import Home
from core.store.store import Store


@dataclass(frozen=True)
class Snapshot:
    """What one look gives; `status` is what the status bar says of the machine, and of the database."""

    listing: RunListing
    status: tuple[str, str]


class Look:
    """Looks; what it remembers of the look before belongs to the reader's thread."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lister = RunLister()

    def __call__(self, store: Store) -> Snapshot:
        """The list as it is now, and the machine."""
        listing = self._lister(store)
        memory = psutil.virtual_memory()
        free = shutil.disk_usage(self._home.path).free
        host = f"host {words.of(memory.total - memory.available, memory.total)}"
        count = len(listing.order)
        return Snapshot(
            listing,
            (
                f"{host} · disk {words.size(free)} free",
                f"{self._home.database.name} · {count:,} {'run' if count == 1 else 'runs'}"
                f" · schema {store.schema_version}",
            ),
        )
