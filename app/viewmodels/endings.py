"""The end of a run: told once, and in words for a desktop message; "" where there is nothing to tell."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from app.viewmodels.run_lister import RunListing

_TITLES = {
    "done": "Done: {name}",
    "failed": "Failed: {name}",
    "interrupted": "Needs attention: {name}",
    "stopped": "Stopped: {name}",
}
_TEXTS = {
    "done": "Base, degraded and recovered stand side by side on its page.",
    "failed": "Its page says what went wrong and what to do.",
    "interrupted": "Its worker has vanished. Resume goes on from what it saved last.",
    "stopped": "Its training state is saved. Resume goes on from there.",
}
BAD = frozenset({"failed", "interrupted"})


class RunEnds(QObject):
    """Tells of each session's end once, whoever notices it first: a thread that follows it, or the list."""

    ended = Signal(str, str, str)  # uid, name, status

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._told: set[tuple[str, int]] = set()

    def one(self, uid: str, session: int, name: str, status: str) -> None:
        """A run has ended."""
        if (uid, session) not in self._told:
            self._told.add((uid, session))
            self.ended.emit(uid, name, status)

    def listed(
        self, before: RunListing, now: RunListing, is_watched: Callable[[str], bool]
    ) -> None:
        """Find the ends that only the list shows: of runs that no thread follows."""
        for uid in before.running:
            entry = now.entries.get(uid)
            if entry is not None and entry.row.status in _TITLES and not is_watched(uid):
                self.one(uid, entry.row.session, entry.row.name, entry.row.status)


def told(name: str, status: str) -> tuple[str, str]:
    """Title and text; both "" for a state that is no end."""
    return _TITLES.get(status, "").format(name=name), _TEXTS.get(status, "")


def announced(name: str, status: str, text: str, hint: str) -> tuple[str, str, str]:
    """Level, text and hint of what the window says itself; a text of "" says nothing.

    Args:
        name: the run's.
        status: how it ended.
        text, hint: of its failure.
    """
    match status:
        case "failed":
            return "error", f"{name}: {text}", hint
        case "interrupted":
            return "warning", f"{name} was interrupted.", "Resume goes on from what it saved last."
    return "info", "", ""
