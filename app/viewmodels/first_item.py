"""The first item of a dataset, for looking at: read without torch, and no more of the file than it takes.

Not the loader of a run (`core.data.load`): what needs `datasets` or pyarrow, and what lies on the hub, is not
looked at; the sentence that says so is shown instead.
"""

from __future__ import annotations

import csv
import io
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
_WHEN_RUN = "The run reads it all the same."

Row = Mapping[str, Any]


def first_item(source: DatasetSource, folder: Path) -> Example:
    """The first example of a dataset.

    Args:
        source: where it comes from.
        folder: to which relative paths belong.

    Raises:
        UserError: it cannot be looked at, or is none; the message says why.
    """
    row = _row(source, folder)
    format = source.format
    if format == "columns" or (format == "auto" and source.columns):
        known = "columns"
    else:
        known = (recognise(row) or "") if format == "auto" else format
    if not known:
        raise UserError(f"The first item fits no known format; it has {', '.join(row)}.")
    missing = [it for it in source.columns.values() if it not in row]
    if known == "columns" and ("prompt" not in source.columns or missing):
        lacks = f"no column {missing[0]}" if missing else "no column named for the prompt"
        raise UserError(f"The first item has {lacks}; it has {', '.join(row)}.")
    try:
        return example_of(known, row, 0, source.columns)
    except Misfit as error:
        raise UserError(f"First item: {error}.", f"Expected {EXPECTED[known]}.") from error


def _row(source: DatasetSource, folder: Path) -> Row:
    if source.hub:
        raise UserError(f"{source.hub} is fetched from the hub when the run starts.")
    if source.demo:
        split = cast(Split, source.split)
        return next(iter(demo.rows(source.demo, str(source.config), split, 1)))
    path = folder / Path(source.file or "").expanduser()
    try:
        return _of_file(path)
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise UserError(f"The first item of {path.name} cannot be read: {error}.") from error


def _of_file(path: Path) -> Row:
    if path.is_dir():
        files = sorted(it for it in path.iterdir() if it.suffix.lower() in _READERS)
        if not files or (path / "state.json").exists():
            raise UserError(f"A folder like {path.name} is not looked into here.", _WHEN_RUN)
        path = files[0]
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path.suffix or path.name} files are not looked into here.", _WHEN_RUN)
    row = next(reader(path), None)
    if row is None:
        raise UserError(f"{path.name} holds no items.")
    return row


def _json(path: Path) -> Iterator[Row]:
    """The first object of JSON Lines, or of a JSON array."""
    with path.open("rb") as stream:
        text = stream.read(MOST_BYTES).decode("utf-8-sig", errors="replace").lstrip()
    text = text.removeprefix("[").lstrip()
    if text and not text.startswith("]"):
        value, _ = json.JSONDecoder().raw_decode(text)
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        yield value


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        begun = io.StringIO(stream.read(MOST_BYTES))
    for row in csv.DictReader(begun):
        yield {str(key): value for key, value in row.items()}


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
    ".csv": _csv,
}
