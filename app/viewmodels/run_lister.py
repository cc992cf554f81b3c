"""Reads the run list in the reader's thread: only runs that changed are read and worded again.

The first look hands out the newest runs at once and the others with the next look, so that a list of
thousands can be used while the rest of it is still being read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from app.viewmodels.run_cells import COLUMNS
from app.viewmodels.run_entry import RunEntry, entry_of
from app.viewmodels.run_vocabulary import Vocabulary, vocabulary
from core.store.rows import RunMark
from core.store.store import Store

MOST_COMPARED = 400
"""The newest runs among which one of the same recipe is looked for."""
FIRST_PART = 400
"""Runs of the first look: more than a screen holds, and read in a twentieth of a second."""


@dataclass(frozen=True)
class RunListing:
    """All runs, and how they differ from the listing before.

    Attributes:
        order: ids, newest first.
        entries: by id.
        changed: ids that were there before and look different now.
        longest: the longest text of each column, for its width.
        running: ids of the runs that are running.
        known: what can be typed and chosen of these runs; None to be learnt when asked for.
        lengths: by `RunEntry.alike`, seconds that the newest finished run of a recipe took.
        complete: False while older runs are still to come.
    """

    order: tuple[str, ...] = ()
    entries: Mapping[str, RunEntry] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    longest: Mapping[str, str] = field(default_factory=dict)
    running: tuple[str, ...] = ()
    known: Vocabulary | None = None
    lengths: Mapping[str, float] = field(default_factory=dict)
    complete: bool = True

    def newest(self, status: str, tag: str = "") -> str:
        """The newest run in a state, with a tag where one is named; "" for none."""
        rows = (self.entries[uid].row for uid in self.order)
        fitting = (it.uid for it in rows if it.status == status and (not tag or tag in it.tags))
        return next(fitting, "")


class RunLister:
    """Its state belongs to the reader's thread."""

    def __init__(self) -> None:
        self._marks: dict[str, RunMark] = {}
        self._last = RunListing()

    def __call__(self, store: Store) -> RunListing:
        """The list as it is now."""
        marks = store.run_marks()
        if not self._marks and len(marks) > FIRST_PART:
            marks = dict(list(marks.items())[:FIRST_PART])
            self._last = self._listed(store, marks, complete=False)
        elif marks != self._marks or not self._last.complete:
            self._last = self._listed(store, marks, complete=True)
        elif self._last.changed:
            last = self._last
            self._last = replace(last, changed=frozenset())
        return self._last

    def _listed(self, store: Store, marks: dict[str, RunMark], *, complete: bool) -> RunListing:
        old, before = self._marks, self._last.entries
        stale = [uid for uid, mark in marks.items() if old.get(uid) != mark]
        most = complete and 2 * len(stale) >= len(marks)
        rows = store.runs(None if most else stale)
        wanted = frozenset(stale)
        fresh = {row.uid: entry_of(row) for row in rows if row.uid in wanted}
        # A run that came or went between the two queries is seen by the next look.
        order = tuple(uid for uid in marks if uid in fresh or uid in before)
        entries = {uid: fresh.get(uid) or before[uid] for uid in order}
        changed = {
            uid for uid, entry in fresh.items() if uid in before and entry.row != before[uid].row
        }
        self._marks = marks
        running = tuple(uid for uid in order if entries[uid].row.status == "running")
        longest = self._longest(fresh)
        known = vocabulary(order, entries)
        lengths = _lengths(entries[uid] for uid in order[:MOST_COMPARED])
        return RunListing(
            order, entries, frozenset(changed), longest, running, known, lengths, complete
        )

    def _longest(self, fresh: Mapping[str, RunEntry]) -> dict[str, str]:
        """Widths only grow: a column does not jump when a run goes."""
        longest = {}
        for column in COLUMNS:
            texts = [entry.texts[column] for entry in fresh.values()]
            longest[column] = max((self._last.longest.get(column, ""), *texts), key=len)
        return longest


def _lengths(newest: Iterable[RunEntry]) -> dict[str, float]:
    lengths: dict[str, float] = {}
    for entry in newest:
        alike, seconds = entry.alike, entry.seconds  # both are kept, and the window asks for them
        if entry.row.status == "done" and seconds is not None:
            lengths.setdefault(alike, seconds)
    return lengths
