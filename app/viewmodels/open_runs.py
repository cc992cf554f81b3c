"""The runs whose view models are in memory: made when first asked for, let go of when long unused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from PySide6.QtCore import QObject

from app.viewmodels.answers import Offload
from app.viewmodels.run import RunViewModel

KEPT_OPEN = 12
"""Runs whose data stay in memory."""
MOST_FOLLOWED = 4
"""Running runs that nobody has opened and that are followed all the same: few run at once."""


class OpenRuns:
    """View models by run id, the one opened last at the end.

    Args:
        describe: fills a new model with what the run list knows of it.
        offload: runs a job off the window's thread.
        parent: owns the models.
    """

    def __init__(
        self, describe: Callable[[RunViewModel], None], offload: Offload, parent: QObject
    ) -> None:
        self._describe = describe
        self._offload = offload
        self._parent = parent
        self._models: dict[str, RunViewModel] = {}

    def get(self, uid: str) -> RunViewModel | None:
        """The model of a run that is open."""
        return self._models.get(uid)

    def items(self) -> Iterator[tuple[str, RunViewModel]]:
        """All open ones."""
        yield from list(self._models.items())

    def model(self, uid: str) -> RunViewModel:
        """The model of a run, made where there is none."""
        model = self._models.get(uid)
        if model is None:
            model = self._models[uid] = RunViewModel(uid, self._parent, self._offload)
            self._describe(model)
        return model

    def follow(self, running: Sequence[str]) -> None:
        """Open what runs: title, taskbar and queue show how far it is before anybody looks at its page."""
        for uid in running[:MOST_FOLLOWED]:
            self.model(uid)

    def opened(self, uid: str, is_watched: Callable[[str], bool]) -> None:
        """Count a run as the one opened last, and let go of those opened long ago.

        One that is watched is kept, and a page that still shows one keeps it alive.
        """
        self._models[uid] = self._models.pop(uid)
        self.tidy(is_watched)

    def tidy(self, is_watched: Callable[[str], bool]) -> None:
        """Let go of those opened long ago: runs that were only followed are opened by nobody."""
        idle = [other for other in self._models if not is_watched(other)]
        for other in idle[: max(0, len(self._models) - KEPT_OPEN)]:
            self._models.pop(other).setParent(None)

    def drop(self, uid: str) -> None:
        """Forget a run that is deleted."""
        model = self._models.pop(uid, None)
        if model is not None:
            model.deleteLater()
