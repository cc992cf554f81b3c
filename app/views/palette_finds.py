"""What the palette finds besides commands: runs, by what was written about them, and checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.palette import Entry, checkpoints_matching, how_found, runs_matching

RECENT = "palette.recent"
"""Ids of the runs opened lately, the last one first, in the settings."""
MOST_RECENT = 8
FIRST_RUNS = 5
"""Runs that are listed before anything is typed."""


class Finds:
    """Looks through what is in memory; nothing is read from the disk while somebody types.

    Args:
        open_run: shows a run.
        show_checkpoint: shows a checkpoint by its key.
    """

    def __init__(
        self,
        application: Application,
        settings: Settings,
        open_run: Callable[[str], None],
        show_checkpoint: Callable[[str], None],
    ) -> None:
        self._application = application
        self._settings = settings
        self._open_run = open_run
        self._show_checkpoint = show_checkpoint
        self.changed = application.models.changed

    def begin(self) -> None:
        """The palette opens: read the checkpoints; `changed` tells when they are there."""
        self._application.models.refresh()

    def opened(self, uid: str) -> None:
        """Remember that a run was opened."""
        lately = dict.fromkeys((uid, *self.lately()))
        self._settings.views[RECENT] = " ".join(list(lately)[:MOST_RECENT])

    def lately(self) -> tuple[str, ...]:
        """The runs opened lately, the last one first."""
        return tuple(self._settings.views.get(RECENT, "").split())

    def runs(self, query: str) -> list[Entry]:
        """The runs that fit, those opened lately first."""
        order, entries = self._application.runs.contents()
        if query.strip():
            uids = runs_matching(query, order, entries, self.lately())
        else:
            uids = runs_matching("", order, entries, self.lately(), FIRST_RUNS)
        return [
            Entry(
                entries[uid].row.name,
                how_found(query, entries[uid]),
                partial(self._open_run, uid),
                icon="chart-line-up",
            )
            for uid in uids
        ]

    def checkpoints(self, query: str) -> list[Entry]:
        """The checkpoints that fit; none before anything is typed."""
        return [
            Entry(
                f"{node.title} · {node.runs}" if node.runs else node.title,
                "Checkpoint",
                partial(self._show_checkpoint, node.key),
                icon="tree-structure",
            )
            for node in checkpoints_matching(query, self._application.models.nodes())
        ]
