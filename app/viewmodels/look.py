"""One look at the database, taken in the reader's thread."""

from __future__ import annotations

from dataclasses import dataclass

from app.viewmodels.run_lister import RunLister, RunListing
from core.store.home import Home
from core.store.store import Store


@dataclass(frozen=True)
class Snapshot:
    """What one look gives.

    Attributes:
        status: what the status bar says of the database.
        queue: the runs that wait, in order, in whichever window.
    """

    listing: RunListing
    status: str
    queue: tuple[str, ...]


class Look:
    """Looks; what it remembers of the look before belongs to the reader's thread."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lister = RunLister()

    def __call__(self, store: Store) -> Snapshot:
        """The list as it is now."""
        listing = self._lister(store)
        count = len(listing.order)
        return Snapshot(
            listing,
            f"{self._home.database.name} · {count:,} {'run' if count == 1 else 'runs'}"
            f" · schema {store.schema_version}",
            tuple(store.queue()),
        )
