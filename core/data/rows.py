"""Files of rows, and rows that know where they stand.

JSON Lines, JSON arrays, CSV, Parquet, Arrow, folders written by `datasets`, and folders of such files. What a row
means is `core.data.formats`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from core.data.columnar import (
    BATCH_ROWS,
    SPLITS,
    STATE,
    arrow_table,
    opened,
    parquet_batches,
    parquet_file,
    split_of,
)
from core.errors import UserError

READABLE = "JSON Lines, JSON, CSV, Parquet, Arrow, or a folder written by datasets' save_to_disk"
CSV_FIELD_LIMIT = 2**24  # characters; csv's own limit of 131,072 is less than one long prompt
HALF_CHARACTER = "\\ud"
"""How the escape of a surrogate begins: half of a character beyond the first 65,536."""


@dataclass(frozen=True)
class Row:
    """One row and where it stands, for messages: "train.jsonl, line 17"."""

    where: str
    fields: dict[str, Any]


def read_rows(path: Path, split: str | None = None) -> Iterator[Row]:
    """The rows of a file or folder, in order.

    Args:
        path: the file, or a folder written by `datasets`, or a folder of files of one kind.
        split: which split of a folder of splits.

    Raises:
        UserError: the file is missing, is of an unknown kind, or cannot be read; names the line.
    """
    if path.is_dir():
        yield from _folder(path, split)
    elif not path.is_file():
        raise UserError(f"There is no file {path}.", "Check the path of the dataset.")
    else:
        reader = _READERS.get(path.suffix.lower())
        if reader is None:
            raise UserError(f"{path.name} is of no kind that can be read.", f"Give {READABLE}.")
        yield from reader(path)


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            where = f"{path.name}, line {number}"
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise UserError(f"{where} is not UTF-8 text.", "Save the file as UTF-8.") from error
            if line:
                yield Row(where, object_of(line, where))


def object_of(text: str, where: str) -> dict[str, Any]:
    """The object in one line of JSON Lines.

    Raises:
        UserError: it is none; says where.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{where} is not JSON: {error.msg} at column {error.colno}.",
            "Expected one JSON object in each line.",
        ) from error
    except RecursionError as error:
        raise UserError(
            f"{where} is nested too deeply.", "Flatten its lists and objects."
        ) from error
    if not isinstance(value, dict):
        raise UserError(
            f"{where} holds a {type(value).__name__}, not an object.",
            "Expected one JSON object in each line.",
        )
    return whole(value, where) if HALF_CHARACTER in text.lower() else value


def whole(value: dict[str, Any], where: str) -> dict[str, Any]:
    """An object of JSON, where its texts are Unicode: an escape may hold one half of a character alone.

    Raises:
        UserError: one does; no tokenizer reads that.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{where} holds half a character, \\u{ord(error.object[error.start]):04x} alone.",
            "It comes from a text that was cut within an emoji; write the whole text again.",
        ) from error
    return value


def _json(path: Path) -> Iterator[Row]:
    """A JSON array of objects, or JSON Lines under another name."""
    with path.open("rb") as stream:
        start = stream.read(64).decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if not start.startswith("["):
        yield from _json_lines(path)
        return
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"{path.name} is not JSON: {error}.", "Expected a list of objects."
        ) from error
    for number, value in enumerate(values, start=1):
        yield Row(where := f"{path.name}, item {number}", item_of(value, where))


def item_of(value: Any, where: str) -> dict[str, Any]:
    """An item of a JSON array.

    Raises:
        UserError: it is no object, or holds half a character.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where} is not an object.", "Expected a list of objects.")
    return whole(value, where)


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(CSV_FIELD_LIMIT)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            for fields in reader:
                where = f"{path.name}, line {reader.line_num}"
                if None in fields or None in fields.values():
                    raise UserError(
                        f"{where} does not have the {len(reader.fieldnames or ())} columns of the header.",
                        "Quote values that contain commas or line breaks.",
                    )
                yield Row(where, dict(fields))
        except UnicodeDecodeError as error:
            raise UserError(f"{path.name} is not UTF-8 text.", "Save the file as UTF-8.") from error
        except csv.Error as error:
            raise UserError(
                f"{path.name}, line {reader.line_num} is not CSV: {error}.",
                "Expected a header line and values separated by commas.",
            ) from error


def _parquet(path: Path) -> Iterator[Row]:
    file = parquet_file(path)
    batches = parquet_batches(path, file, list(range(file.num_row_groups)))
    for number, fields in enumerate(chain.from_iterable(batches), start=1):
        yield Row(f"{path.name}, row {number}", fields)


def _arrow(path: Path) -> Iterator[Row]:
    number = 0
    for batch in arrow_table(path).to_batches(BATCH_ROWS):
        for fields in batch.to_pylist():
            number += 1
            yield Row(f"{path.name}, row {number}", fields)


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".arrow": _arrow,
}


def _folder(path: Path, split: str | None) -> Iterator[Row]:
    if (path / STATE).is_file() or (path / SPLITS).is_file():
        yield from _saved(path, split)
        return
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in _READERS)
    kinds = {file.suffix.lower() for file in files}
    if len(kinds) != 1:
        found = f"files of several kinds ({', '.join(sorted(kinds))})" if kinds else "no data"
        raise UserError(
            f"The folder {path} has {found}.",
            f"Give {READABLE}, or a folder with files of one kind.",
        )
    for file in files:
        yield from read_rows(file)


def _saved(path: Path, split: str | None) -> Iterator[Row]:
    yield from rows_of(opened(path), path.name, split)


def rows_of(found: Any, name: str, split: str | None) -> Iterator[Row]:
    """The rows of a `datasets.Dataset`, or of one split of a `DatasetDict`.

    Raises:
        UserError: no split of that name, or several and none was chosen.
    """
    for number, fields in enumerate(split_of(found, name, split), start=1):
        yield Row(f"{name}, row {number}", dict(fields))
