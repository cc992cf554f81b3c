"""Undo and redo of a recipe: the states it has had, each the whole text and what stood beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST_STATES = 200
"""States kept; a recipe is a few kilobytes."""


@dataclass(frozen=True)
class State:
    """A recipe as it stood.

    Attributes:
        text: its YAML.
        selected: key of the card that was shown.
        folder: to which its relative paths belong.
        origin: the file it began with and that file's data, or None.
    """

    text: str
    selected: str
    folder: str
    origin: tuple[str, Any] | None = None


class History:
    """The states before the present one, and those that were undone."""

    def __init__(self, present: State) -> None:
        self._present = present
        self._past: list[State] = []
        self._future: list[State] = []

    @property
    def can_undo(self) -> bool:
        """There is an earlier state."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Something was undone and nothing changed since."""
        return bool(self._future)

    def record(self, state: State) -> None:
        """Take a changed state; one of the same text only replaces what stood beside it."""
        if state.text != self._present.text or state.folder != self._present.folder:
            self._past = [*self._past, self._present][-MOST_STATES:]
            self._future = []
        self._present = state

    def undo(self) -> State:
        """The state before; the present one where there is none."""
        if self._past:
            self._future.append(self._present)
            self._present = self._past.pop()
        return self._present

    def redo(self) -> State:
        """The state that was undone last; the present one where there is none."""
        if self._future:
            self._past.append(self._present)
            self._present = self._future.pop()
        return self._present
