"""An item of a dataset, for looking at: read without torch, and no more of the file than it takes.

Not the loader of a run (`core.data.load`): what needs `datasets` or pyarrow is not read here, but by the process
that has them (`core.engine.data_desk`).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from core.data.example import Example
from core.data.formats import EXPECTED, Misfit, example_of, recognise
from core.demo import datasets as demo
from core.demo.draw import Split
from core.errors import UserError
from core.recipe.sources import DatasetSource

MOST_BYTES = 2**20
"""An item that does not end within so much of its file is not looked at."""
DEEPEST_BYTES = 2**25
"""Nor is one that lies deeper in its file than this."""
Row = Mapping[str, Any]


class NoSuchItem(UserError):
    """The dataset ends before the item."""


class Elsewhere(UserError):
    """Another process has what it takes to read the dataset."""


def first_item(source: DatasetSource, folder: Path, number: int = 0) -> Example:
    """The first example of a dataset, or a later one.

    Args:
        source: where it comes from.
        folder: to which relative paths belong.
        number: how many items come before it.

    Raises:
        Elsewhere: the dataset is not read here.
        NoSuchItem: the dataset has fewer items, as far as it is looked into.
        UserError: it cannot be looked at, or is none; the message says why.
    """
    name = "The first item" if not number else f"Item {number + 1}"
    row = _row(source, folder, number)
    format = source.format
    if format == "columns" or (format == "auto" and source.columns):
        known = "columns"
    else:
        known = (recognise(row) or "") if format == "auto" else format
    if not known:
        raise UserError(f"{name} fits no known format; it has {', '.join(row)}.")
    missing = [it for it in source.columns.values() if it not in row]
    if known == "columns" and ("prompt" not in source.columns or missing):
        lacks = f"no column {missing[0]}" if missing else "no column named for the prompt"
        raise UserError(f"{name} has {lacks}; it has {', '.join(row)}.")
    try:
        return example_of(known, row, number, source.columns)
    except Misfit as error:
        told = "First item" if not number else name
        raise UserError(f"{told}: {error}.", f"Expected {EXPECTED[known]}.") from error


def _row(source: DatasetSource, folder: Path, number: int) -> Row:
    if source.limit is not None and number >= source.limit:
        raise NoSuchItem(f"The dataset is limited to {source.limit} items.")
    if source.hub:
        raise Elsewhere(f"{source.hub} is not read here.")
    if source.demo:
        split = cast(Split, source.split)
        rows = demo.rows(source.demo, str(source.config), split, number + 1)
        return _at(iter(rows), number, source.demo)
    path = folder / Path(source.file or "").expanduser()
    try:
        return _of_file(path, number)
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise UserError(
            f"The first item of {path.name} cannot be read: {error}."
            if not number
            else f"Item {number + 1} of {path.name} cannot be read: {error}."
        ) from error


def _of_file(path: Path, number: int) -> Row:
    if path.is_dir():
        files = sorted(it for it in path.iterdir() if it.suffix.lower() in _READERS)
        if not files or (path / "state.json").exists():
            raise Elsewhere(f"The folder {path.name} is not read here.")
        path = files[0]
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise Elsewhere(f"{path.name} is not read here.")
    size, window = path.stat().st_size, MOST_BYTES
    while True:
        try:
            return _at(reader(path, window), number, path.name)
        except (ValueError, csv.Error, NoSuchItem):
            # The item may only lie behind what was read; the first one has to end within it.
            if not number or window >= min(size, DEEPEST_BYTES):
                raise
        window = min(window * 4, DEEPEST_BYTES)


def _at(rows: Iterator[Row], number: int, name: str) -> Row:
    row = next(itertools.islice(rows, number, None), None)
    if row is None and number:
        raise NoSuchItem(f"{name} has no item {number + 1}.")
    if row is None:
        raise UserError(f"{name} holds no items.")
    return row


def _json(path: Path, most: int) -> Iterator[Row]:
    """The objects of JSON Lines, or of a JSON array."""
    with path.open("rb") as stream:
        text = stream.read(most).decode("utf-8-sig", errors="replace").lstrip()
    text = text.removeprefix("[")
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace() or text[at] == ",":
            at += 1
            continue
        if text[at] == "]":
            return
        value, at = decoder.raw_decode(text, at)
        if isinstance(value, dict):
            yield value
        else:
            raise json.JSONDecodeError("it is no object", text, at)


def _csv(path: Path, most: int) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        begun = io.StringIO(stream.read(most))
    for row in csv.DictReader(begun):
        yield {str(key): value for key, value in row.items()}


_READERS: dict[str, Callable[[Path, int], Iterator[Row]]] = {
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".csv": _csv,
}
