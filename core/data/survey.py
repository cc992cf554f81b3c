"""What a dataset holds, and all that is wrong with it: one pass over its rows.

A run stops at the first row that does not fit; here every row is judged, so that a person can mend a file at
one go. Rows that ask what an earlier one asks are found by their whole question (`core.data.overlap.questions`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from core.data.example import Example
from core.data.numbered import Items
from core.data.overlap import questions
from core.errors import UserError

MOST_FAULTS = 200
"""Faults that are kept; all are counted."""
MOST_REPEATS = 200
"""Repeated items that are kept; all are counted."""
MOST_GROUPS = 200
MIXED = " or "
"""Between the kinds of a column that holds several."""
SHOWN_CHARACTERS = 120
"""Of a column's first value."""
TELL_EVERY = 1_000

Progress = Callable[[int, int], None]
"""Is told how many items are done, of how many."""


@dataclass(frozen=True)
class Fault:
    """A row that is no item: its number from 0, where it stands and what is wrong, and what to do."""

    number: int
    message: str
    hint: str


@dataclass(frozen=True)
class Field:
    """A column of the rows: what kind of values it holds, in how many rows, and the first of them."""

    name: str
    kind: str
    filled: int
    example: str


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        rows: in the file; `readable` counts those that can be read, whatever they mean.
        format: as recognised or asked for; "" where it fits none.
        trouble: why it fits none, and what to do; empty texts where it does.
        fields: the columns of the rows.
        items: rows that are items.
        faults: the first of the rows that are none; `faulty` counts all.
        demonstrated: items with a demonstration.
        keyed: items with an answer key, gold calls or a right option.
        repeated: items that ask what an earlier one asks.
        repeats: number of such an item, and of the first that asks the same.
        groups: subjects or tools with the number of their items, largest first; `grouped` counts the groups.
    """

    rows: int
    readable: int
    format: str
    trouble: tuple[str, str]
    fields: tuple[Field, ...]
    items: int
    faulty: int
    faults: tuple[Fault, ...]
    demonstrated: int
    keyed: int
    repeated: int
    repeats: tuple[tuple[int, int], ...]
    grouped: int
    groups: tuple[tuple[str, int], ...]


@dataclass
class _Column:
    kinds: Counter[str] = field(default_factory=Counter)
    filled: int = 0
    example: str = ""

    @property
    def kind(self) -> str:
        """The kind of its values; of several all, the most frequent first."""
        return MIXED.join(kind for kind, _ in self.kinds.most_common())

    def take(self, value: Any) -> None:
        if value is None or value in ("", [], {}):
            return
        self.filled += 1
        self.kinds[kind_of(value)] += 1
        self.example = self.example or written(value)[:SHOWN_CHARACTERS]


def survey(items: Items, heard: Progress) -> Survey:
    """Look at every row once."""
    columns: dict[str, _Column] = {}
    faults: list[Fault] = []
    groups: Counter[str] = Counter()
    seen: dict[int, int] = {}
    repeats: list[tuple[int, int]] = []
    faulty = readable = demonstrated = keyed = repeated = 0
    for number in range(len(items)):
        if number % TELL_EVERY == 0:
            heard(number, len(items))
        try:
            row = items.row(number)
            readable += 1
            for name, value in row.fields.items():
                columns.setdefault(name, _Column()).take(value)
            if items.trouble is not None:
                continue
            example = items.meant(row, number)
        except UserError as error:
            faulty += 1
            if len(faults) < MOST_FAULTS:
                faults.append(Fault(number, error.message, error.hint))
            continue
        demonstrated += bool(example.demonstration)
        keyed += has_key(example)
        groups[example.group] += 1
        first = _first(example, number, seen)
        if first != number:
            repeated += 1
            if len(repeats) < MOST_REPEATS:
                repeats.append((number, first))
    trouble = items.trouble
    named = Counter({name: count for name, count in groups.items() if name})
    return Survey(
        rows=len(items),
        readable=readable,
        format=items.format,
        trouble=(trouble.message, trouble.hint) if trouble is not None else ("", ""),
        fields=tuple(Field(name, it.kind, it.filled, it.example) for name, it in columns.items()),
        items=0 if trouble is not None else len(items) - faulty,
        faulty=faulty,
        faults=tuple(faults),
        demonstrated=demonstrated,
        keyed=keyed,
        repeated=repeated,
        repeats=tuple(repeats),
        grouped=len(named),
        groups=tuple(named.most_common(MOST_GROUPS)),
    )


def has_key(example: Example) -> bool:
    """Whether an answer to it can be judged."""
    return bool(example.gold or example.calls or example.gold_choice is not None)


def kind_of(value: Any) -> str:
    """The kind of a value, as its file names it: text, number, truth, list, object, time or bytes."""
    return next((kind for types, kind in _KINDS if isinstance(value, types)), "object")


def written(value: Any) -> str:
    """A value as text: itself, or its JSON; of bytes only how many."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_told)


def _told(value: Any) -> str:
    return f"{len(value):,} bytes" if isinstance(value, bytes) else str(value)


_KINDS: Sequence[tuple[Any, str]] = (
    (str, "text"),
    (bool, "truth"),
    (int | float | Decimal, "number"),
    (list | tuple, "list"),
    (dict, "object"),
    (bytes, "bytes"),
    (date | time | timedelta, "time"),
    (type(None), ""),
)
"""Types and what they are called; the first that fits counts, for a truth is a number in Python."""


def _first(example: Example, number: int, seen: dict[int, int]) -> int:
    """The first item that asks the same; questions are kept as their hashes."""
    return min(seen.setdefault(hash(key), number) for key in questions(example))
