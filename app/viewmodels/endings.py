"""The end of a run in words for a desktop message; "" where there is nothing to tell."""

from __future__ import annotations

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
