"""What the command palette offers, and how typed letters find it. Pure; the views give the commands their acts.

Commands are few and matched letter by letter ("nr" finds "New run"); runs may be ten thousand and are
matched by whole words in what was written about them: those opened lately first, then by name, then by tags
and notes, the newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)

from app.viewmodels.model_words import NodeView
from app.viewmodels.run_entry import RunEntry

MOST_RUNS = 20
"""Runs in one answer."""
MOST_CHECKPOINTS = 8
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
        group: "Page", "Here", "Run", "Checkpoint", "Preset", "Setting".
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
    query: str,
    order: Iterable[str],
    entries: Mapping[str, RunEntry],
    lately: Sequence[str] = (),
    most: int = MOST_RUNS,
) -> tuple[str, ...]:
    """Ids of the runs in which every word of the query stands: in name, id, tags, notes, model or stages.

    Args:
        order: all runs, the newest first.
        entries: by id.
        lately: ids of runs that were opened lately, the last one first; they come first.
        most: no more than this.
    """
    wanted = query.casefold().split()
    fitting = list(order)
    for word in wanted:
        fitting = [uid for uid in fitting if word in entries[uid].search]
    named = fitting
    for word in wanted:
        named = [uid for uid in named if word in entries[uid].keys["name"]]
    there = frozenset(fitting)
    ranked = (*(uid for uid in lately if uid in there), *named[:most], *fitting)
    return tuple(islice(dict.fromkeys(ranked), most))


def how_found(query: str, entry: RunEntry) -> str:
    """ "Run", and by which tag or that its notes were what fitted where its name does not."""
    wanted = query.casefold().split()
    if _holds(entry.keys["name"], wanted):
        return "Run"
    tags = [tag for tag in entry.row.tags if any(word in tag.casefold() for word in wanted)]
    if tags:
        return f"Run · {', '.join(tags)}"
    notes = entry.row.notes.casefold()
    return "Run · notes" if any(word in notes for word in wanted) else "Run"


def checkpoints_matching(
    query: str, nodes: Iterable[NodeView], most: int = MOST_CHECKPOINTS
) -> tuple[NodeView, ...]:
    """The checkpoints in which every word of the query stands; none for an empty query."""
    wanted = query.casefold().split()
    if not wanted:
        return ()
    found = [it for it in nodes if _holds(it.search, wanted) or it.key.startswith(wanted[0])]
    return tuple(found[:most])


def _holds(text: str, wanted: Sequence[str]) -> bool:
    return all(word in text for word in wanted)


def arranged(
    query: str,
    commands: Iterable[Entry],
    runs: Iterable[Entry],
    checkpoints: Iterable[Entry] = (),
) -> tuple[Entry, ...]:
    """Commands that hold the query as it is typed, runs, checkpoints, then commands that fit by their letters.

    Before anything is typed, what is not possible now comes last.
    """
    wanted = query.casefold().strip()
    fitting = matching(query, commands)
    if not wanted:
        return tuple(sorted((*fitting, *runs), key=lambda it: not it.enabled))
    plain = tuple(entry for entry in fitting if wanted in entry.title.casefold())
    rest = (entry for entry in fitting if entry not in plain)
    return (*plain, *runs, *checkpoints, *rest)


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
