"""What can be typed, grouped by and shown as a column: the keys and values that the newest runs have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from app.viewmodels.run_entry import FIELD, METRIC, SCORE, RunEntry
from app.viewmodels.run_filter import ABOUT, FLAGS

MOST_READ = 300
"""Runs whose recipes are read for it: a few milliseconds."""
MOST_VALUES = 200
STATUSES = ("queued", "running", "done", "stopped", "failed", "interrupted")
_BY_ID_OR_KIND = re.compile(r"stages\.([^.]+)\.")
_NOT_FOR_GROUPS = ("name", "notes", "schema", "seed")


@dataclass(frozen=True)
class Vocabulary:
    """Of the runs there are.

    Attributes:
        keys: for the filter, each with what it is ("" for recipe fields).
        values: by key, for keys whose values are few.
        fields: recipe fields, as columns; `varied` are those in which runs differ.
        metrics: series, as columns.
        scores: tasks by checkpoint, as columns.
        tags: all tags.
    """

    keys: Mapping[str, str] = field(default_factory=lambda: dict(ABOUT))
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    varied: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


def vocabulary(order: Sequence[str], entries: Mapping[str, RunEntry]) -> Vocabulary:
    """Learn from the newest runs; tags from all of them."""
    newest = [entries[uid] for uid in islice(order, MOST_READ)]
    found: dict[str, set[str]] = {}
    metrics: set[str] = set()
    scores: set[str] = set()
    kinds: set[str] = set()
    for entry in newest:
        kinds.update(entry.texts["stages"].split(" → "))
        metrics.update(entry.row.last)
        scores.update(entry.row.scores)
        for name, value in entry.facts.items():
            found.setdefault(name, set()).add(str(value))
    fields = sorted(name for name in found if _by_kind(name, kinds))
    varied = [
        name
        for name in fields
        if len(found[name]) > 1 and name not in _NOT_FOR_GROUPS and not name.endswith(".id")
    ]
    tags = sorted({tag for entry in entries.values() for tag in entry.row.tags})
    short = {name.rpartition(".")[2] for name in fields if name.startswith("stages.")}
    keys = {**dict.fromkeys((*sorted(short), *fields), ""), **ABOUT}
    keys |= {
        name.rpartition("/")[2].casefold(): "" for name in metrics | scores if name not in keys
    }
    values = {
        "status": STATUSES,
        "tag": tuple(tags[:MOST_VALUES]),
        "base": tuple(sorted({entry.row.base for entry in newest})[:MOST_VALUES]),
        "stage": tuple(sorted(kinds)),
        "device": tuple(sorted({entry.device for entry in newest})),
    }
    values |= {name: tuple(sorted(found[name])[:MOST_VALUES]) for name in varied}
    return Vocabulary(
        keys,
        values,
        tuple(f"{FIELD}{name}" for name in fields),
        tuple(varied),
        tuple(f"{METRIC}{name}" for name in sorted(metrics)),
        tuple(f"{SCORE}{name}" for name in sorted(scores)),
        tuple(tags),
    )


def _by_kind(name: str, kinds: Iterable[str]) -> bool:
    """Whether a field is one that runs of other recipes have, too: not named after a stage's id."""
    stage = _BY_ID_OR_KIND.match(name)
    return stage is None or stage[1] in kinds


@dataclass(frozen=True)
class Completion:
    """What could stand from `start` to the cursor: (text, what it is)."""

    start: int
    candidates: tuple[tuple[str, str], ...]


def complete(text: str, cursor: int, known: Vocabulary) -> Completion:
    """What a person may be about to type: a key, or a value of the key before the cursor."""
    before = text[:cursor]
    if before.count('"') % 2:
        return Completion(cursor, ())
    word = re.search(r"[^\s()]*$", before)
    start = word.start() if word else cursor
    typed = before[start:].removeprefix("-")
    start = cursor - len(typed)
    pair = re.match(r"([\w./-]+)(:|!=|=)(.*)$", typed)
    if pair:
        begun = pair[3].casefold()
        values = known.values.get(pair[1].casefold(), ())
        fitting = [it for it in values if begun in it.casefold() and it.casefold() != begun]
        fitting.sort(key=lambda it: not it.casefold().startswith(begun))
        return Completion(cursor - len(pair[3]), tuple((_quoted(it), "") for it in fitting))
    begun = typed.casefold()
    if not begun or not re.fullmatch(r"[\w./-]+", begun):
        return Completion(cursor, ())
    flags = [(flag, f"runs with a {flag}") for flag in FLAGS if flag.startswith(begun)]
    first = [(f"{key}:", about) for key, about in known.keys.items() if key.startswith(begun)]
    inside = [
        (f"{key}:", about)
        for key, about in known.keys.items()
        if begun in key and not key.startswith(begun)
    ]
    first.sort(
        key=lambda it: (not it[1], len(it[0]))
    )  # those with an explanation are the common ones
    return Completion(start, (*flags, *first, *inside))


def _quoted(value: str) -> str:
    return f'"{value}"' if re.search(r"[\s()]", value) else value
