"""Files of rows, and rows that know where they stand.

JSON Lines, JSON arrays, CSV, Parquet, folders written by `datasets`, and folders of such files. What a row
means is `core.data.formats`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from core.errors import UserError

READABLE = "JSON Lines, JSON, CSV, Parquet, or a folder written by datasets' save_to_disk"
CSV_FIELD_LIMIT = 2**24  # characters; csv's own limit of 131,072 is less than one long prompt
STATE, SPLITS = "state.json", "dataset_dict.json"  # what save_to_disk leaves in a folder


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
    if not isinstance(value, dict):
        raise UserError(
            f"{where} holds a {type(value).__name__}, not an object.",
            "Expected one JSON object in each line.",
        )
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
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path.name} is not JSON: {error}.", "Expected a list of objects."
        ) from error
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise UserError(
                f"{path.name}, item {number} is not an object.", "Expected a list of objects."
            )
        yield Row(f"{path.name}, item {number}", value)


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
    try:
        table = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in table.iter_batches():
            for fields in batch.to_pylist():
                number += 1
                yield Row(f"{path.name}, row {number}", fields)
    except pyarrow.ArrowInvalid as error:
        raise UserError(
            f"{path.name} cannot be read as Parquet: {error}", "Copy or write the file again."
        ) from error


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
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


def opened(path: Path) -> Any:
    """The `datasets.Dataset` or `DatasetDict` in a folder.

    Raises:
        UserError: it cannot be opened.
    """
    try:
        return datasets.load_from_disk(str(path))
    except (OSError, ValueError, pyarrow.ArrowInvalid) as error:
        raise UserError(
            f"The dataset folder {path} cannot be opened: {error}", "Copy the whole folder again."
        ) from error


def rows_of(found: Any, name: str, split: str | None) -> Iterator[Row]:
    """The rows of a `datasets.Dataset`, or of one split of a `DatasetDict`.

    Raises:
        UserError: no split of that name, or several and none was chosen.
    """
    for number, fields in enumerate(split_of(found, name, split), start=1):
        yield Row(f"{name}, row {number}", dict(fields))


def split_of(found: Any, name: str, split: str | None) -> Any:
    """A `datasets.Dataset` itself, or one split of a `DatasetDict`.

    Raises:
        UserError: no split of that name, or several and none was chosen.
    """
    if isinstance(found, datasets.DatasetDict):
        names = ", ".join(found)
        if split is None and len(found) > 1:
            raise UserError(f"{name} has several splits: {names}.", "Set split to one of them.")
        chosen = split if split is not None else next(iter(found), "")
        if chosen not in found:
            raise UserError(f"{name} has no split {chosen}.", f"Its splits are: {names}.")
        return found[chosen]
    return found
