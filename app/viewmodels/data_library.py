"""The list of datasets: a table model, filled from the recipe, the store, the imports and the disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from app.settings import Settings
from app.viewmodels import data_words, words
from app.viewmodels.data_entries import (
    IMPORTED,
    Entry,
    Known,
    Source,
    Used,
    cleaned,
    gathered,
    key_of,
)
from core.store.store import Store

IMPORTS = "data.imported"
"""Where the settings keep the imported files."""
STATES = "data.states"
"""And what those looked like from outside when they were imported, by key."""
COLUMNS = ("name", "format", "items", "size", "origin", "runs", "problems")
NUMERIC = ("items", "size", "runs")
KEY_ROLE = int(Qt.ItemDataRole.UserRole)
SORT_ROLE = KEY_ROLE + 1

Index = QModelIndex | QPersistentModelIndex
Submit = Callable[[Callable[[Store], Any], Callable[[Any], None]], None]


class LibraryModel(QAbstractTableModel):
    """Datasets as rows."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: list[Entry] = []

    def take(self, entries: Sequence[Entry]) -> None:
        """Show these; rows that stay are only told to have changed."""
        if [it.key for it in entries] != [it.key for it in self._entries]:
            self.beginResetModel()
            self._entries = list(entries)
            self.endResetModel()
            return
        for row, entry in enumerate(entries):
            if entry != self._entries[row]:
                self._entries[row] = entry
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def entries(self) -> tuple[Entry, ...]:
        """All of them, in order."""
        return tuple(self._entries)

    def row_of(self, key: str) -> int:
        """The row of a dataset, -1 for none."""
        return next((row for row, it in enumerate(self._entries) if it.key == key), -1)

    def rowCount(self, parent: Index | None = None) -> int:
        """One row a dataset."""
        return 0 if parent is not None and parent.isValid() else len(self._entries)

    def columnCount(self, parent: Index | None = None) -> int:
        """See `COLUMNS`."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Titles."""
        if orientation == Qt.Orientation.Horizontal and 0 <= section < len(COLUMNS):
            name = COLUMNS[section]
            if role == Qt.ItemDataRole.DisplayRole:
                return data_words.COLUMN[name]
            if role == Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(name)
        return None

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Texts, alignment, what to sort by, and the key."""
        if not index.isValid() or index.row() >= len(self._entries):
            return None
        entry, name = self._entries[index.row()], COLUMNS[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(entry, name)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(name)
        if role == Qt.ItemDataRole.ToolTipRole:
            return data_words.tip(entry)
        if role == KEY_ROLE:
            return entry.key
        if role == SORT_ROLE:
            return _sorted_by(entry, name)
        return None


class DataLibrary(QObject):
    """Keeps the list up to date.

    Args:
        submit: runs a job on the store, off the window's thread.
        recipe: the sources of the recipe being edited, by name, and the folder of their relative paths.
        settings: remembers the imported files.
    """

    changed = Signal()

    def __init__(
        self,
        submit: Submit,
        recipe: Callable[[], tuple[Mapping[str, Any], Path]],
        settings: Settings,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.model = LibraryModel(self)
        self._submit = submit
        self._recipe = recipe
        self._settings = settings
        self._used = Used()
        self._known: dict[str, Known] = {}
        self._reading = self._again = False

    def refresh(self) -> None:
        """Gather anew; calls that come meanwhile count as one."""
        if self._reading:
            self._again = True
            return
        self._reading = True
        sources, folder = self._recipe()
        recipe = {
            name: cleaned(source, folder)
            for name, source in sources.items()
            if isinstance(source, Mapping)
        }
        imported = self.imported()
        self._submit(
            lambda store: gathered(recipe, imported, self._used.of(store.runs())), self._take
        )

    def entry(self, key: str) -> Entry | None:
        """A dataset by its key."""
        return next((it for it in self.model.entries() if it.key == key), None)

    def options(self) -> list[tuple[str, str]]:
        """Key and name of each; where a name stands for several, also where they are known from."""
        entries = self.model.entries()
        count = Counter(it.name for it in entries)
        return [
            (it.key, f"{it.name} · {data_words.origins(it)}" if count[it.name] > 1 else it.name)
            for it in entries
        ]

    def imported(self) -> list[Source]:
        """What was imported, the newest first."""
        try:
            found = json.loads(self._settings.views.get(IMPORTS, "[]"))
        except ValueError:
            return []
        return [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []

    def remember(self, source: Source, instead: str = "") -> None:
        """Keep an import, in the place of another one (`instead`, its key) where given."""
        key = key_of(source)
        kept = [it for it in self.imported() if key_of(it) not in (key, instead)]
        self._settings.views[IMPORTS] = json.dumps([source, *kept])
        self._settings.save()
        self.refresh()

    def forget(self, key: str) -> None:
        """Take an import off the list; its file stays where it is."""
        kept = [it for it in self.imported() if key_of(it) != key]
        self._settings.views[IMPORTS] = json.dumps(kept)
        self._settings.save()
        self.refresh()

    def accept(self, key: str) -> None:
        """The file of an import is taken as it is now."""
        entry = self.entry(key)
        if entry is not None:
            self._keep_states({**self._states(), key: entry.state})
            self._show(list(self.model.entries()))

    def can_forget(self, key: str) -> bool:
        """Only imports can be taken off: the others stand where they are used."""
        entry = self.entry(key)
        return entry is not None and IMPORTED in entry.origins

    def know(self, key: str, known: Known) -> None:
        """Take what a look at the rows has found."""
        self._known[key] = known
        self._show(list(self.model.entries()))

    def _take(self, entries: list[Entry]) -> None:
        self._reading = False
        kept, states = self._states(), {}
        for entry in entries:
            if IMPORTED in entry.origins and (state := kept.get(entry.key) or entry.state):
                states[entry.key] = state
        self._keep_states(states)
        self._show(entries)
        if self._again:
            self._again = False
            self.refresh()

    def _show(self, entries: list[Entry]) -> None:
        states = self._states()
        self.model.take([self._seen(it, states.get(it.key, "")) for it in entries])
        self.changed.emit()

    def _seen(self, entry: Entry, imported: str) -> Entry:
        """An entry with what is known of its file as it is now."""
        known = self._known.get(entry.key)
        if known is not None and known.state != entry.state:
            known = None
        changed = bool(imported and entry.state and imported != entry.state)
        return replace(entry, known=known, changed=changed)

    def _states(self) -> dict[str, str]:
        try:
            found = json.loads(self._settings.views.get(STATES, "{}"))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _keep_states(self, states: Mapping[str, str]) -> None:
        written = json.dumps(states, sort_keys=True)
        if written != self._settings.views.get(STATES, "{}"):
            self._settings.views[STATES] = written
            self._settings.save()


def _text(entry: Entry, name: str) -> str:
    if name == "name":
        return entry.name
    if name == "format":
        return data_words.format_of(entry)
    if name == "items":
        return f"{entry.rows:,}" if entry.rows is not None else words.NONE
    if name == "size":
        return words.size(entry.size) if entry.size is not None else words.NONE
    if name == "origin":
        return data_words.origins(entry)
    if name == "runs":
        return f"{entry.runs:,}" if entry.runs else words.NONE
    return data_words.problems(entry)


def _sorted_by(entry: Entry, name: str) -> str | int:
    if name == "items":
        return entry.rows if entry.rows is not None else -1
    if name == "size":
        return entry.size if entry.size is not None else -1
    if name == "runs":
        return entry.runs
    return _text(entry, name).lower()


def _alignment(name: str) -> int:
    side = Qt.AlignmentFlag.AlignRight if name in NUMERIC else Qt.AlignmentFlag.AlignLeft
    return int(side | Qt.AlignmentFlag.AlignVCenter)
