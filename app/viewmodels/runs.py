"""The run list: a table model that is filled and kept up to date from a background reader.

The reader compares and words the rows; the window's thread only takes over what differs, row by row, so
that a list of thousands stays untouched by a run that makes progress.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from app.viewmodels.run_cells import COLUMNS, cell, header
from app.viewmodels.run_entry import RunEntry
from app.viewmodels.run_lister import RunListing
from app.viewmodels.run_vocabulary import Vocabulary, vocabulary
from core.store.rows import RunRow

RESET_ABOVE = 100
"""More new or vanished rows than this are taken over at once."""

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class RunsModel(QAbstractTableModel):
    """The run list: every run, newest first."""

    taken = Signal(object)
    """The ids of runs that look different now; the list may have got others, too."""
    loadedChanged = Signal()
    longestChanged = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._order: list[str] = []
        self._entries: Mapping[str, RunEntry] = {}
        self._listed = RunListing()
        self._known: Vocabulary | None = None
        self.loaded = False
        self.longest: Mapping[str, str] = {}

    def take(self, listing: RunListing) -> None:
        """Take over a listing, touching only the rows that differ."""
        if listing.order != self._listed.order:
            self._reorder(listing)
        before, self._listed = self._listed, listing
        if listing.order != before.order or listing.changed:
            self._known = listing.known
        self._update(listing.changed)
        if listing.longest != before.longest:
            self.longest = listing.longest
            self.longestChanged.emit()
        if listing.order != before.order or listing.changed:
            self.taken.emit(listing.changed)
        if not self.loaded:
            self.loaded = True
            self.loadedChanged.emit()

    def _reorder(self, listing: RunListing) -> None:
        order = list(listing.order)
        before, now = set(self._order), set(order)
        if len(before ^ now) > RESET_ABOVE or [it for it in self._order if it in now] != [
            it for it in order if it in before
        ]:
            self.beginResetModel()
            self._order, self._entries = order, listing.entries
            self.endResetModel()
        else:
            self._remove(before - now)
            self._entries = {**self._entries, **listing.entries}
            self._insert(order)

    def _remove(self, gone: set[str]) -> None:
        for row in reversed(range(len(self._order))):
            if self._order[row] in gone:
                self.beginRemoveRows(_ROOT, row, row)
                del self._order[row]
                self.endRemoveRows()

    def _insert(self, order: Sequence[str]) -> None:
        for row, uid in enumerate(order):
            if row >= len(self._order) or self._order[row] != uid:
                self.beginInsertRows(_ROOT, row, row)
                self._order.insert(row, uid)
                self.endInsertRows()

    def _update(self, changed: frozenset[str] | set[str]) -> None:
        self._entries = self._listed.entries
        last = len(COLUMNS) - 1
        for first, end in spans(self._order, changed):
            self.dataChanged.emit(self.index(first, 0), self.index(end, last))

    def row_of(self, uid: str) -> int:
        """The row of a run; -1 when it is not listed."""
        return self._order.index(uid) if uid in self._entries else -1

    def uid_at(self, row: int) -> str:
        """The run of a row."""
        return self._order[row]

    def name_of(self, uid: str) -> str:
        """A run's name; its id while it is not listed."""
        entry = self._entries.get(uid)
        return entry.row.name if entry is not None else uid

    def entry(self, uid: str) -> RunEntry | None:
        """A run that is listed."""
        return self._entries.get(uid)

    def usual_seconds(self, uid: str) -> float | None:
        """What the newest finished run of the same recipe took; None where there is none."""
        entry = self._entries.get(uid)
        return None if entry is None else self._listed.lengths.get(entry.alike)

    def rows(self, uids: Iterable[str]) -> list[RunRow]:
        """The rows of those of the runs that are listed."""
        return [entry.row for uid in uids if (entry := self._entries.get(uid)) is not None]

    def vocabulary(self) -> Vocabulary:
        """What can be typed and chosen of these runs; learnt again only when they have changed."""
        if self._known is None:
            self._known = vocabulary(self._listed.order, self._listed.entries)
        return self._known

    def contents(self) -> tuple[Sequence[str], Mapping[str, RunEntry]]:
        """All runs, newest first, and what they look like; neither changes later."""
        return self._listed.order, self._listed.entries

    # Qt's interface

    def rowCount(self, parent: Index = _ROOT) -> int:
        """Number of runs."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: Index = _ROOT) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Titles, and what the numbers are as tool tips."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        return header(COLUMNS[section], role)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Texts and raw values; see the roles at the top."""
        if not index.isValid():
            return None
        return cell(self._entries[self._order[index.row()]], COLUMNS[index.column()], role)


def spans(lines: Sequence[str], among: Collection[str]) -> list[tuple[int, int]]:
    """The first and last place of each stretch of lines that are among these."""
    places = [place for place, line in enumerate(lines) if line in among] if among else []
    firsts = [it for at, it in enumerate(places) if not at or places[at - 1] < it - 1]
    ends = [it for at, it in enumerate(places) if it + 1 not in places[at + 1 : at + 2]]
    return list(zip(firsts, ends, strict=True))
