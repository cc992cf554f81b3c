"""What people change about runs, with one stack to take it back: star, cross, tags, notes, names, deletion.

Every change, on one run or many, is one transaction. What was there before is read in the same job that
changes it, so that undo brings back exactly that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QObject, Signal

from core.store.edits import RunEdit
from core.store.rows import RunRow
from core.store.store import Store

MOST_KEPT = 100
"""Steps that can be taken back."""
KEPT_DAYS = 7
"""How long deleted runs can still be brought back; after that a start of the window deletes them for good."""

Job = Callable[[Store], object]
Inverse = Mapping[str, RunEdit]


class Write(Protocol):
    """Runs a job on the writing store, then `done` on the window's thread."""

    def __call__(self, job: Job, done: Callable[[object], None] | None = None) -> None: ...


@dataclass(frozen=True)
class Step:
    """Something done: in words ("“nf4” was deleted"), and how to take it back."""

    words: str
    inverse: Inverse

    @property
    def restored(self) -> tuple[str, ...]:
        """Runs that taking it back brings into the list again."""
        return tuple(uid for uid, edit in self.inverse.items() if edit.deleted is False)


class RunEdits(QObject):
    """Changes and their undoing.

    Args:
        write: runs a job on the writing store, off the window's thread.
    """

    done = Signal(str)
    """A change was made that a person may want to take back: what, in words."""
    undone = Signal(str)
    restored = Signal(list)
    """Ids of runs that are no longer deleted."""

    def __init__(self, write: Write, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._write = write
        self._steps: list[Step] = []  # changed by jobs only, in the order in which they are written

    @property
    def next_undo(self) -> str:
        """What would be taken back, in words; "" for nothing."""
        return self._steps[-1].words if self._steps else ""

    def undo(self) -> None:
        """Take the newest change back, also one that is still being written."""

        def job(store: Store) -> Step | None:
            if not self._steps:
                return None
            step = self._steps[-1]
            store.edit(step.inverse)
            self._steps.remove(step)
            return step

        def told(step: object) -> None:
            if isinstance(step, Step):
                self.undone.emit(step.words)
                if step.restored:
                    self.restored.emit(list(step.restored))

        self._write(job, told)

    def mark(self, runs: Collection[RunRow], star: int) -> None:
        """Star (1) or cross (-1) runs; when all have that mark already, take it away."""
        new = 0 if all(row.star == star for row in runs) else star
        what = {1: "starred", -1: "crossed", 0: "no longer marked"}[new]
        self._do({row.uid: RunEdit(star=new) for row in runs}, f"{named(runs)} {_is(runs)} {what}.")

    def rename(self, row: RunRow, name: str) -> None:
        """Give a run another name; an empty one is ignored."""
        new = name.strip()
        if new and new != row.name:
            self._do({row.uid: RunEdit(name=new)}, f"“{row.name}” is now “{new}”.")

    def tag(self, runs: Collection[RunRow], add: Iterable[str], remove: Iterable[str]) -> None:
        """Add tags to runs and take others away."""
        added, removed = tuple(dict.fromkeys(add)), frozenset(remove)
        edits = {}
        for row in runs:
            kept = [it for it in row.tags if it not in removed]
            tags = (*kept, *(it for it in added if it not in kept))
            if tags != row.tags:
                edits[row.uid] = RunEdit(tags=tags)
        if edits:
            self._do(edits, f"{named(runs)} {_has(runs)} other tags.")

    def note(self, row: RunRow, notes: str) -> None:
        """Replace a run's notes."""
        if notes != row.notes:
            self._do({row.uid: RunEdit(notes=notes)}, f"The notes of “{row.name}” were changed.")

    def delete(self, runs: Collection[RunRow]) -> None:
        """Hide runs from every list; nothing of them is lost yet."""
        edits = {row.uid: RunEdit(deleted=True) for row in runs}
        was = "was" if len(runs) == 1 else "were"
        self._do(edits, f"{named(runs)} {was} deleted.")

    def _do(self, edits: Mapping[str, RunEdit], words: str) -> None:
        def job(store: Store) -> None:
            inverse = {uid: _inverse(store.run(uid), edit) for uid, edit in edits.items()}
            store.edit(edits)
            self._steps.append(Step(words, inverse))
            del self._steps[:-MOST_KEPT]

        self._write(job, lambda _: self.done.emit(words))


def _inverse(row: RunRow, edit: RunEdit) -> RunEdit:
    return RunEdit(
        name=None if edit.name is None else row.name,
        star=None if edit.star is None else row.star,
        tags=None if edit.tags is None else row.tags,
        notes=None if edit.notes is None else row.notes,
        deleted=None if edit.deleted is None else not edit.deleted,
    )


def named(runs: Collection[RunRow]) -> str:
    """ "“nf4 of 3B”", or "3 runs"."""
    names = [row.name for row in runs]
    return f"“{names[0]}”" if len(names) == 1 else f"{len(names)} runs"


def kept(running: Collection[RunRow]) -> str:
    """Why runs are not deleted."""
    return f"{named(running)} {_is(running)} running and cannot be deleted."


def _is(runs: Collection[RunRow]) -> str:
    return "is" if len(runs) == 1 else "are"


def _has(runs: Collection[RunRow]) -> str:
    return "has" if len(runs) == 1 else "have"
