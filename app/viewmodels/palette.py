"""What the command palette offers, and how typed letters find it. Pure; the views give the commands their acts.

Commands are few and matched letter by letter ("nr" finds "New run"); runs may be ten thousand and are
matched by whole words first, the newest first, and only until the list is full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)

MOST_RUNS = 20
"""Runs in one answer."""
START, WORD_START, IN_A_ROW, PER_GAP = 12, 8, 8, 1
"""What a letter's place is worth: at the start, at the start of a word, after the one before; less per gap."""
ENOUGH = 4
"""The least that a letter must be worth on average; worse fits are noise."""
ENTRY_ROLE = int(Qt.ItemDataRole.UserRole)

Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


@dataclass(frozen=True)
class Entry:
    """One line of the palette.

    Attributes:
        title: what it is called.
        group: "Page", "Here", "Run", "Preset", "Setting".
        act: does it.
        keys: keys that do the same, "" for none.
        enabled: possible now; others are listed in grey and cannot be chosen.
        icon: name of an icon, "" for none.
        also: further words that find it.
    """

    title: str
    group: str
    act: Callable[[], None]
    keys: str = ""
    enabled: bool = True
    icon: str = ""
    also: str = ""


def rate(query: str, text: str) -> int | None:
    """How well the letters of `query` fit `text`, in their order; None when one is missing.

    Both in lower case; blanks in the query are left out.
    """
    total, at = 0, -1
    for letter in query.replace(" ", ""):
        place = _next(letter, text, at)
        if place < 0:
            return None
        if place == 0:
            total += START
        elif not text[place - 1].isalnum():
            total += WORD_START
        if at >= 0 and place == at + 1:
            total += IN_A_ROW
        total -= PER_GAP * min(place - at - 1, WORD_START)
        at = place
    return total


def _next(letter: str, text: str, at: int) -> int:
    """The next place of a letter: the one that follows at once, else the start of a word, else any."""
    first = text.find(letter, at + 1)
    if first in (-1, at + 1):
        return first
    place = first
    while place >= 0:
        if place == 0 or not text[place - 1].isalnum():
            return place
        place = text.find(letter, place + 1)
    return first


def matching(query: str, entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The commands that fit, the best first; all, in their order, for an empty query."""
    wanted = query.casefold().strip()
    if not wanted:
        return tuple(entries)
    rated = []
    for place, entry in enumerate(entries):
        title = entry.title.casefold()
        found = [rate(wanted, title), rate(wanted, f"{entry.group.casefold()} {title}")]
        least = ENOUGH * len(wanted.replace(" ", ""))
        values = [value for value in found if value is not None and value >= least]
        if wanted in entry.also.casefold():
            values.append(0)
        if values:
            rated.append((-max(values), place, entry))
    return tuple(entry for _, _, entry in sorted(rated, key=lambda it: it[:2]))


def runs_matching(
    query: str, runs: Sequence[tuple[str, str]], most: int = MOST_RUNS
) -> tuple[str, ...]:
    """Ids of the first runs whose name or id holds every word of the query.

    Args:
        runs: id and name in lower case, the newest first.
    """
    wanted = query.casefold().split()
    found = []
    for uid, name in runs:
        if all(word in name or word in uid for word in wanted):
            found.append(uid)
            if len(found) == most:
                break
    return tuple(found)


def arranged(query: str, commands: Iterable[Entry], runs: Iterable[Entry]) -> tuple[Entry, ...]:
    """Commands that hold the query as it is typed, then runs, then commands that fit by their letters.

    Before anything is typed, what is not possible now comes last.
    """
    wanted = query.casefold().strip()
    fitting = matching(query, commands)
    if not wanted:
        return tuple(sorted((*fitting, *runs), key=lambda it: not it.enabled))
    plain = tuple(entry for entry in fitting if wanted in entry.title.casefold())
    return (*plain, *runs, *(entry for entry in fitting if entry not in plain))


class PaletteModel(QAbstractListModel):
    """The lines that fit what was typed."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: tuple[Entry, ...] = ()

    def take(self, entries: Iterable[Entry]) -> None:
        """Show these lines instead of the ones before."""
        self.beginResetModel()
        self._entries = tuple(entries)
        self.endResetModel()

    def entry(self, row: int) -> Entry:
        """The line of a row."""
        return self._entries[row]

    def next_enabled(self, row: int, step: int) -> int:
        """The next row that can be chosen, going round; -1 for none."""
        count = len(self._entries)
        for far in range(1, count + 1):
            place = (row + step * far) % count
            if self._entries[place].enabled:
                return place
        return -1

    # Qt's interface

    def rowCount(self, parent: Index = _ROOT) -> int:
        """Number of lines."""
        return 0 if parent.isValid() else len(self._entries)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """What cannot be done now cannot be chosen."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        if not self._entries[index.row()].enabled:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable

    def data(self, index: Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """The title; the whole line in words for a screen reader; the entry itself."""
        if not index.isValid():
            return None
        entry = self._entries[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return entry.title
            case Qt.ItemDataRole.AccessibleTextRole:
                parts = (entry.group, entry.title, entry.keys, "" if entry.enabled else "not now")
                return ", ".join(part for part in parts if part)
            case _ if role == ENTRY_ROLE:
                return entry
        return None
