"""Datasets and where they are known from: the recipe being edited, runs in the store, imports, generated ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.disk import state_of
from core.demo.datasets import CONFIGS, TASKS
from core.store.rows import RunRow

RECIPE, IMPORTED, RUNS, DEMO = "recipe", "imported", "runs", "demo"
DEMO_ITEMS = 200
_DEMO_SPLITS = ("train", "eval")
_DEFAULTS: Mapping[str, Any] = {"format": "auto", "revision": "main"}

Source = Mapping[str, Any]
"""A dataset as a recipe has it, without what is empty or a default, its file an absolute path."""


@dataclass(frozen=True)
class Known:
    """What a look at the rows has found: the format ("" for none), their number, and how many are no items.

    `state` is that of the file when it was looked at (`core.data.disk`).
    """

    format: str
    rows: int
    faulty: int
    state: str = ""


@dataclass(frozen=True)
class Entry:
    """One dataset.

    Attributes:
        key: tells it from others: its source as text.
        name: what a recipe calls it, or its file.
        origins: where it is known from, of `RECIPE`, `IMPORTED`, `RUNS`, `DEMO`.
        runs: that have used it.
        size: of the file in bytes, None where there is none; `missing` where it should be one.
        state: of the file on the disk (`core.data.disk`), "" where there is none.
        known: None before anybody looked, or when the file has changed since.
        changed: the file is another than the one that was imported.
    """

    key: str
    name: str
    source: Source
    origins: tuple[str, ...]
    runs: int = 0
    size: int | None = None
    missing: bool = False
    state: str = ""
    known: Known | None = None
    changed: bool = False

    @property
    def place(self) -> str:
        """The path, hub id or generated task."""
        return place_of(self.source)

    @property
    def rows(self) -> int | None:
        """How many there are, where that is known; of generated ones it is in the recipe."""
        if self.known is not None:
            return self.known.rows
        limit = self.source.get("limit")
        return limit if self.source.get("demo") and isinstance(limit, int) else None


def cleaned(source: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A source without what is empty or a default, its file an absolute path."""
    kept = {
        str(name): value
        for name, value in source.items()
        if value not in (None, "", {}, []) and _DEFAULTS.get(str(name)) != value
    }
    if isinstance(kept.get("file"), str):
        kept["file"] = str(folder / Path(kept["file"]).expanduser())
    return kept


def key_of(source: Source) -> str:
    """Equal for equal sources."""
    return json.dumps(source, sort_keys=True, default=str)


def place_of(source: Source) -> str:
    """The path, hub id or generated task."""
    if source.get("demo"):
        parts = (source["demo"], source.get("config"), source.get("split"))
        return "generated: " + ", ".join(str(it) for it in parts if it)
    return str(source.get("file") or source.get("hub") or "")


def place_in(source: Source) -> Source:
    """A source apart from how its rows are read: equal for the same rows."""
    return {name: it for name, it in source.items() if name not in ("columns", "format")}


def name_of(source: Source) -> str:
    """A name for a dataset that nobody has named: a file's with its folder, where that says more."""
    if source.get("demo"):
        return f"{source['demo']} {source.get('split', '')}".strip()
    path = Path(place_of(source))
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def recipe_name(entry: Entry) -> str:
    """What a recipe may call it: letters, digits and underscores."""
    stem = Path(entry.name).stem if not entry.source.get("demo") else entry.name
    plain = "".join(it if it.isalnum() and it.isascii() else "_" for it in stem.lower())
    plain = plain.strip("_")
    return plain if plain[:1].isalpha() else f"data_{plain}".rstrip("_")


def demo_sources() -> Iterable[Source]:
    """The generated tasks, in the first of their configurations."""
    for task in TASKS:
        for split in _DEMO_SPLITS:
            config = CONFIGS[task][0]
            yield {"demo": task, "config": config, "split": split, "limit": DEMO_ITEMS}


class Used:
    """Which sources the runs in the store have used; each recipe is read once."""

    def __init__(self) -> None:
        self._by_run: dict[str, tuple[tuple[str, Source], ...]] = {}

    def of(self, rows: Iterable[RunRow]) -> tuple[dict[str, int], dict[str, tuple[str, Source]]]:
        """By key: the number of runs, and the name and source."""
        counts: Counter[str] = Counter()
        named: dict[str, tuple[str, Source]] = {}
        kept: dict[str, tuple[tuple[str, Source], ...]] = {}
        for row in rows:
            found = self._by_run.get(row.uid)
            if found is None:
                found = _sources(row.recipe_json)
            kept[row.uid] = found
            counts.update({key_of(source) for _, source in found})
            for name, source in found:
                named.setdefault(key_of(source), (name, source))
        self._by_run = kept
        return dict(counts), named


def _sources(recipe_json: str) -> tuple[tuple[str, Source], ...]:
    try:
        datasets = json.loads(recipe_json).get("datasets", {})
    except (ValueError, AttributeError):
        return ()
    if not isinstance(datasets, dict):
        return ()
    return tuple(
        (str(name), cleaned(source, Path.cwd()))
        for name, source in datasets.items()
        if isinstance(source, dict)
    )


def gathered(
    recipe: Mapping[str, Source],
    imported: Iterable[Source],
    used: tuple[Mapping[str, int], Mapping[str, tuple[str, Source]]],
) -> list[Entry]:
    """All datasets, each once: those of the recipe, imports, those of runs, generated ones; with their sizes.

    Looks at the disk.
    """
    counts, named = used
    entries: dict[str, Entry] = {}

    def add(name: str, source: Source, origin: str) -> None:
        key = key_of(source)
        old = entries.get(key)
        if old is None:
            entries[key] = _with_size(Entry(key, name, source, (origin,), counts.get(key, 0)))
        elif origin not in old.origins:
            entries[key] = replace(old, origins=(*old.origins, origin))

    for name, source in recipe.items():
        if place_of(source):
            add(name, source, RECIPE)
    for source in imported:
        add(name_of(source), source, IMPORTED)
    for name, source in named.values():
        add(name, source, RUNS)
    for source in demo_sources():
        add(name_of(source), source, DEMO)
    return list(entries.values())


def _with_size(entry: Entry) -> Entry:
    file = entry.source.get("file")
    if not isinstance(file, str):
        return entry
    path = Path(file)
    try:
        if path.is_dir():
            size = sum(it.stat().st_size for it in path.iterdir() if it.is_file())
        else:
            size = path.stat().st_size
        return replace(entry, size=size, state=state_of(path))
    except OSError:
        return replace(entry, missing=True)
