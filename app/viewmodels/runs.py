"""The run list: a table model that is filled and kept up to date from a background reader.

The reader compares and words the rows; the window's thread only takes over what differs, row by row, so
that selection, scroll position and a list of thousands stay untouched by a run that makes progress.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from app.viewmodels import recipe_words, words
from app.viewmodels.provenance import dataset_part, protocol_part, provenance, run_part
from app.viewmodels.run_fraction import RowFraction, fraction_of
from core.analysis import recovery
from core.recipe.field import BASE
from core.store.rows import RunRow
from core.store.store import Store

SORT_ROLE = int(Qt.ItemDataRole.UserRole)
"""The raw value to sort by."""
UID_ROLE = SORT_ROLE + 1
STATUS_ROLE = SORT_ROLE + 2
SPARKLINE_ROLE = SORT_ROLE + 3
"""A tuple of floats, in the loss column."""
STAR_ROLE = SORT_ROLE + 4
"""1 star, -1 cross, 0 neither."""
SEARCH_ROLE = SORT_ROLE + 5
"""Lower-case text to filter by."""
HUE_ROLE = SORT_ROLE + 6
"""The role whose hue the cell has, "muted" for words in place of a number, or ""."""

_TITLES = {
    "star": "",
    "status": "Status",
    "name": "Name",
    "stages": "Stages",
    "model": "Model",
    "base": "Base",
    "degraded": "Degraded",
    "recovered": "Recovered",
    "fraction": "Fraction",
    "loss": "Loss",
    "created": "Created",
    "duration": "Duration",
}
COLUMNS = tuple(_TITLES)
_HELP = {
    "base": "Accuracy of the base model in per cent, one number a task.",
    "degraded": "Accuracy of the last degraded checkpoint in per cent, one number a task.",
    "recovered": "Accuracy of the recovered checkpoint (the last by SDFT) in per cent, one number a task.",
    "fraction": "Recovered fraction: (recovered \u2212 degraded) / (base \u2212 degraded), mean over the tasks whose "
    "loss is beyond noise.",
    "created": "When the run was queued.",
    "duration": "Time of the run so far, or until it ended.",
    "loss": "Loss of the last training stage.",
}
MOST_WITH_DECIMALS = 2
"""With more tasks, whole per cents: four numbers with decimals would push other columns out."""
_RIGHT = frozenset({"base", "degraded", "recovered", "fraction", "duration"})
RESET_ABOVE = 100
"""More new or vanished rows than this are taken over at once."""

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


@dataclass(frozen=True)
class RunEntry:
    """A worded row: for each column the text and the value to sort by.

    `subjects` are the ids of the checkpoints behind the columns base, degraded and recovered.
    """

    row: RunRow
    device: str
    texts: Mapping[str, str]
    keys: Mapping[str, Any]
    search: str
    subjects: Mapping[str, str]
    fraction: RowFraction


@dataclass(frozen=True)
class RunListing:
    """All runs, and how they differ from the listing before.

    Attributes:
        order: ids, newest first.
        entries: by id.
        changed: ids that were there before and look different now.
        longest: the longest text of each column, for its width.
    """

    order: tuple[str, ...] = ()
    entries: Mapping[str, RunEntry] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    longest: Mapping[str, str] = field(default_factory=dict)


class RunLister:
    """Reads the list; its state belongs to the reader's thread."""

    def __init__(self) -> None:
        self._entries: dict[str, RunEntry] = {}

    def __call__(self, store: Store) -> RunListing:
        """The list as it is now."""
        rows = store.runs()
        before, self._entries = self._entries, {}
        changed = set()
        for row in rows:
            known = before.get(row.uid)
            if known is not None and known.row == row:
                self._entries[row.uid] = known
                continue
            self._entries[row.uid] = entry_of(row)
            if known is not None:
                changed.add(row.uid)
        longest = {
            column: max((it.texts[column] for it in self._entries.values()), key=len, default="")
            for column in COLUMNS
        }
        order = tuple(row.uid for row in rows)
        return RunListing(order, dict(self._entries), frozenset(changed), longest)


def entry_of(row: RunRow) -> RunEntry:
    """Word a row."""
    try:
        recipe = json.loads(row.recipe_json)
    except ValueError:
        recipe = {}
    stages = [it for it in recipe.get("stages", ()) if isinstance(it, dict)]
    kinds = [str(it.get("kind")) for it in stages if it.get("kind") not in ("evaluate", "cka")]
    chain = " → ".join(kinds) or "measure"
    subjects = {"base": BASE, **{recipe_words.role_of(it): str(it.get("id")) for it in stages}}
    recovered = [it for it in stages if recipe_words.role_of(it) == "recovered"]
    subjects["recovered"] = recovery.headline(
        {str(it.get("id")): str(it.get("kind")) for it in recovered}
    )
    texts = {
        "star": {1: "★", -1: "✗"}.get(row.star, ""),
        "status": words.status(row.status, row.failure),
        "name": row.name,
        "stages": chain,
        "model": recipe_words.short_model(row.base),
        "loss": "",
        "created": words.moment(row.created),
        "duration": words.duration(_seconds(row)),
    }
    keys: dict[str, Any] = {
        **{name: text.casefold() for name, text in texts.items()},
        "star": row.star,
        "created": row.created,
        "duration": _seconds(row) or -1.0,
        "loss": row.loss[-1] if row.loss else float("inf"),
    }
    for role in ("base", "degraded", "recovered"):
        values = [
            100 * value
            for name, value in row.scores.items()
            if name.rpartition("/")[0] == subjects.get(role)
        ]
        digits = 1 if len(values) <= MOST_WITH_DECIMALS else 0
        texts[role] = " · ".join(f"{value:.{digits}f}" for value in values)
        keys[role] = fmean(values) if values else -1.0
    fraction = fraction_of(row, stages)
    texts["fraction"], keys["fraction"] = fraction.text, fraction.key
    search = " ".join((row.name, texts["status"], chain, row.base, row.uid, *row.tags, row.notes))
    device = str(recipe.get("device", "auto"))
    return RunEntry(row, device, texts, keys, search.casefold(), subjects, fraction)


def _seconds(row: RunRow) -> float | None:
    end = row.ended or row.heartbeat
    return None if row.started is None or end is None else max(0.0, end - row.started)


def _origin(entry: RunEntry, column: str) -> str:
    """The tooltip of a score or a fraction: what stands behind it and where that comes from."""
    measured = entry.row.measured.values()
    if column == "fraction":
        lines = entry.fraction.lines()
        checkpoint = entry.fraction.judged
        scores = [it for it in measured if it.subject == entry.fraction.stage]
    else:
        checkpoint = entry.subjects.get(column, "")
        scores = [it for it in measured if it.subject == checkpoint]
        lines = [f"{words.plain(it.task)}: {it.correct} of {it.n}" for it in scores]
    if not lines:
        return ""
    origin = provenance(
        run=run_part(entry.row.name, entry.row.uid),
        seed=entry.row.seed,
        checkpoint=checkpoint,
        dataset=", ".join(dataset_part(it.dataset, it.n) for it in scores),
        protocol=", ".join(protocol_part(it.scorer, it.protocol) for it in scores),
    )
    return "\n".join((*lines, origin))


class RunsModel(QAbstractTableModel):
    """The run list.

    Args:
        write: runs a job on the writing store, off the window's thread.
    """

    loadedChanged = Signal()
    longestChanged = Signal()

    def __init__(
        self, write: Callable[[Callable[[Store], None]], None], parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._write = write
        self._order: list[str] = []
        self._entries: Mapping[str, RunEntry] = {}
        self.loaded = False
        self.longest: Mapping[str, str] = {}

    def take(self, listing: RunListing) -> None:
        """Take over a listing, touching only the rows that differ."""
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
            self._entries = listing.entries
            self._update(listing.changed & before)
        if listing.longest != self.longest:
            self.longest = listing.longest
            self.longestChanged.emit()
        if not self.loaded:
            self.loaded = True
            self.loadedChanged.emit()

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
        last = len(COLUMNS) - 1
        for row, uid in enumerate(self._order):
            if uid in changed:
                self.dataChanged.emit(self.index(row, 0), self.index(row, last))

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

    def set_star(self, uid: str, star: int) -> None:
        """Mark a run: 1 star, -1 cross, 0 neither."""
        self._write(lambda store: store.set_star(uid, star))

    def rename(self, uid: str, name: str) -> None:
        """Give a run another name; an empty one is ignored."""
        if name.strip():
            self._write(lambda store: store.rename(uid, name.strip()))

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
        column = COLUMNS[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return _TITLES[column]
            case Qt.ItemDataRole.ToolTipRole:
                return _HELP.get(column)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
        return None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Texts and raw values; see the roles at the top."""
        if not index.isValid():
            return None
        entry = self._entries[self._order[index.row()]]
        column = COLUMNS[index.column()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return entry.texts[column]
            case Qt.ItemDataRole.ToolTipRole:
                return _tip(entry, column)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case _:
                return _own(entry, column, role)


def _tip(entry: RunEntry, column: str) -> str:
    row = entry.row
    match column:
        case "status":
            return row.failure_message
        case "name":
            return run_part(row.name, row.uid)
        case "base" | "degraded" | "recovered" | "fraction":
            return _origin(entry, column)
    return ""


def _alignment(column: str) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column in _RIGHT else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _own(entry: RunEntry, column: str, role: int) -> Any:
    values: dict[int, Any] = {
        SORT_ROLE: entry.keys[column],
        UID_ROLE: entry.row.uid,
        STATUS_ROLE: entry.row.status,
        SPARKLINE_ROLE: entry.row.loss if column == "loss" else None,
        STAR_ROLE: entry.row.star,
        SEARCH_ROLE: entry.search,
        HUE_ROLE: _hue(entry, column),
    }
    return values.get(role)


def _hue(entry: RunEntry, column: str) -> str:
    if column == "fraction" and entry.texts[column] in words.NO_FRACTION:
        return "muted"
    return column if column in ("base", "degraded", "recovered") else ""
