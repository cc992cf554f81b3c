"""What the run table shows: the run list filtered, sorted, grouped, with the columns a person chose.

A few runs that come or go are inserted and removed line by line; more than that is one reset. Lists of
thousands are arranged in the reader's thread, short ones at once.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from app.viewmodels.answers import Offload
from app.viewmodels.run_arrange import Arrangement, Group, Wish, arrange
from app.viewmodels.run_cells import ASKED, COLUMNS, GROUP_ROLE, SEARCH_ROLE, UID_ROLE, cell, header
from app.viewmodels.run_entry import RunEntry
from app.viewmodels.run_filter import Query
from app.viewmodels.runs import RunsModel, spans

AT_ONCE = 1500
"""Up to so many runs are arranged on the window's thread: about 5 ms."""
LINE_BY_LINE = 60
"""More lines than this that come or go, and any that move, are one reset; the table keeps its selection."""

RUN_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class ArrangedRuns(QAbstractTableModel):
    """Lines are runs, or headings of groups.

    Args:
        source: the run list.
        offload: runs a job off the window's thread.
    """

    arranged = Signal()
    """Lines or their number have changed, or might have."""

    def __init__(self, source: RunsModel, offload: Offload, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._source = source
        self._offload = offload
        self._wish = Wish()
        self._shown = Arrangement()
        self._extras: list[str] = []
        self._asked = 0
        source.taken.connect(self._taken)
        self._arrange(frozenset())

    # what a person wants

    @property
    def wish(self) -> Wish:
        """How the list is shown."""
        return self._wish

    @property
    def passing(self) -> int:
        """How many runs pass the filter, folded ones included."""
        return self._shown.passing

    def set_query(self, query: Query) -> None:
        """Show the runs that pass."""
        self._change(replace(self._wish, query=query))

    def set_status(self, status: str) -> None:
        """Show one status; "" shows all."""
        self._change(replace(self._wish, status=status))

    def set_group(self, group: str) -> None:
        """Group by a key; "" takes the groups away."""
        self._change(replace(self._wish, group=group, folded=frozenset()))

    def fold(self, keys: Iterable[str], on: bool) -> None:
        """Hide or show the runs of groups."""
        folded = self._wish.folded | set(keys) if on else self._wish.folded - set(keys)
        self._change(replace(self._wish, folded=frozenset(folded)))

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; Qt's header calls this."""
        keys = self.columns
        if 0 <= column < len(keys):
            down = order == Qt.SortOrder.DescendingOrder
            self._change(replace(self._wish, column=keys[column], descending=down))

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys of all columns, built-in ones first."""
        return (*COLUMNS, *self._extras)

    @property
    def extras(self) -> tuple[str, ...]:
        """The columns that a person added."""
        return tuple(self._extras)

    def add_column(self, key: str) -> None:
        """Add a column at the end."""
        if key not in self.columns:
            place = len(self.columns)
            self.beginInsertColumns(_ROOT, place, place)
            self._extras.append(key)
            self.endInsertColumns()

    def remove_column(self, key: str) -> None:
        """Take a column away that was added."""
        if key in self._extras:
            place = self.columns.index(key)
            self.beginRemoveColumns(_ROOT, place, place)
            self._extras.remove(key)
            self.endRemoveColumns()

    # what is shown

    def group_at(self, row: int) -> Group | None:
        """The group whose heading a line is."""
        return self._shown.groups.get(self._shown.lines[row])

    def row_of(self, line: str) -> int:
        """The place of a run or a heading; -1 when it is not shown."""
        lines = self._shown.lines
        return lines.index(line) if line in lines else -1

    def line_at(self, row: int) -> str:
        """The run or heading of a line."""
        return self._shown.lines[row]

    def runs_at(self, rows: Iterable[int]) -> list[str]:
        """The runs of lines; headings are left out."""
        lines, groups = self._shown.lines, self._shown.groups
        return [lines[row] for row in rows if lines[row] not in groups]

    def rows_of(self, uids: Collection[str]) -> list[int]:
        """The places of those of the runs that are shown, from top to bottom."""
        return [row for row, line in enumerate(self._shown.lines) if line in uids]

    def groups(self) -> tuple[Group, ...]:
        """All groups, from top to bottom."""
        return tuple(self._shown.groups.values())

    def entries(self) -> tuple[RunEntry, ...]:
        """The runs shown, from top to bottom."""
        found = (self._source.entry(line) for line in self._shown.lines)
        return tuple(it for it in found if it is not None)

    # inside

    def _change(self, wish: Wish) -> None:
        if wish != self._wish:
            self._wish = wish
            self._arrange(frozenset())

    def _taken(self, changed: frozenset[str]) -> None:
        self._arrange(changed)

    def _arrange(self, changed: frozenset[str]) -> None:
        order, entries = self._source.contents()
        wish, now = self._wish, time.time()
        self._asked += 1
        asked = self._asked
        if len(order) <= AT_ONCE:
            self._show(arrange(order, entries, wish, now), changed)
            return
        # What vanished must not be asked for while the answer is on its way.
        gone = [line for line in self._shown.lines if line not in self._shown.groups]
        if any(line not in entries for line in gone):
            lines = tuple(
                it for it in self._shown.lines if it in entries or it in self._shown.groups
            )
            self._show(replace(self._shown, lines=lines), frozenset())

        def take(answer: object) -> None:
            if asked == self._asked and isinstance(answer, Arrangement):
                self._show(answer, frozenset())

        self._tell_changed(changed)
        self._offload(lambda: arrange(order, entries, wish, now), take)

    def _show(self, new: Arrangement, changed: frozenset[str]) -> None:
        old = self._shown
        first, before, after = _difference(old.lines, new.lines)
        moves = not set(before).isdisjoint(after)
        if moves or len(before) + len(after) > LINE_BY_LINE:
            self.beginResetModel()
            self._shown = new
            self.endResetModel()
        else:
            self._replace(first, before, after, new)
            heads = {key for key in new.groups if new.groups[key] != old.groups.get(key)}
            self._tell_changed(changed | heads)
        self.arranged.emit()

    def _replace(
        self, first: int, before: Sequence[str], after: Sequence[str], new: Arrangement
    ) -> None:
        groups = {**self._shown.groups, **new.groups}
        if before:
            self.beginRemoveRows(_ROOT, first, first + len(before) - 1)
            lines = self._shown.lines
            kept = (*lines[:first], *lines[first + len(before) :])
            self._shown = Arrangement(kept, groups, new.passing)
            self.endRemoveRows()
        if after:
            self.beginInsertRows(_ROOT, first, first + len(after) - 1)
            self._shown = new
            self.endInsertRows()
        self._shown = new

    def _tell_changed(self, changed: frozenset[str] | set[str]) -> None:
        last = len(self.columns) - 1
        if changed:
            for first, end in spans(self._shown.lines, changed):
                self.dataChanged.emit(self.index(first, 0), self.index(end, last))

    # Qt's interface

    def rowCount(self, parent: Index = _ROOT) -> int:
        """Number of lines."""
        return 0 if parent.isValid() else len(self._shown.lines)

    def columnCount(self, parent: Index = _ROOT) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(COLUMNS) + len(self._extras)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Headings can be walked over by keys, and are not selected with the runs."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        heading = self._shown.lines[index.row()] in self._shown.groups
        return Qt.ItemFlag.ItemIsEnabled if heading else RUN_FLAGS

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Titles, and what the numbers are as tool tips."""
        columns = self.columns
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(columns):
            return None
        return header(columns[section], role)

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """A cell of a run; a heading's words stand in its row's first column, for those who listen."""
        if role not in ASKED or not index.isValid():
            return None
        line = self._shown.lines[index.row()]
        group = self._shown.groups.get(line)
        if group is not None:
            if role == GROUP_ROLE:
                return group
            if role == Qt.ItemDataRole.AccessibleTextRole:
                return f"{group.title}, {group.caption}"
            return {UID_ROLE: "", SEARCH_ROLE: ""}.get(role)
        entry = self._source.entry(line)
        return None if entry is None else cell(entry, self.columns[index.column()], role)


def _difference(old: Sequence[str], new: Sequence[str]) -> tuple[int, Sequence[str], Sequence[str]]:
    """Where two lists begin to differ, and what stands there in each, up to their common end."""
    if old == new:
        return 0, (), ()
    most = min(len(old), len(new))
    first = next((at for at in range(most) if old[at] != new[at]), most)
    last = next((at for at in range(most - first) if old[-1 - at] != new[-1 - at]), most - first)
    return first, old[first : len(old) - last], new[first : len(new) - last]
