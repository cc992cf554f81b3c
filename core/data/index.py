"""Any item of a dataset by its number, without keeping the data in memory.

Of text files only the places where rows begin are kept (eight bytes each); a Parquet file is read a few rows at
a time, an Arrow file and a folder of `datasets` are mapped. A JSON array can only be read as a whole.

Not the loader of a run (`core.data.load`), which stops at the first row that does not fit: who looks at data
wants to see all that is wrong with them, so here a row is read when it is asked for, and fails alone.
"""

from __future__ import annotations

import csv
import io
import json
from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

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
from core.data.demo import demo_rows
from core.data.hub import cached
from core.data.rows import CSV_FIELD_LIMIT, READABLE, Row, item_of, object_of
from core.errors import UserError
from core.recipe.sources import DatasetSource

Heard = Callable[[int, int], None]
"""Is told how many bytes have been looked through, of how many."""
TELL_EVERY = 5_000
"""Rows between two reports."""
_MARK = b"\xef\xbb\xbf"


def unheard(*_: int) -> None:
    """For those who do not want to know how far it is."""


class Rows(Protocol):
    """Rows by number, from 0."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row(self, number: int) -> Row:
        """One row.

        Raises:
            UserError: it cannot be read; says where it stands.
        """


def rows_in(source: DatasetSource, folder: Path, heard: Heard = unheard) -> Rows:
    """The rows that a recipe's dataset names, as many as its `limit` takes.

    Args:
        source: as in a recipe; nothing is downloaded.
        folder: to which a relative path belongs.
        heard: is told how far it is, now and then.

    Raises:
        UserError: there is no such data, or of no kind that can be read.
    """
    if source.hub:
        return _Saved(*cached(source))
    if source.demo:
        return _Held(list(demo_rows(source)))
    path = folder / Path(source.file or "").expanduser()
    with readable(path.name):
        found = _of_path(path, source.split, heard)
    return found if source.limit is None else _First(found, source.limit)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Says in words that the disk refuses.

    Raises:
        UserError: it does: a file was moved meanwhile, may not be read, or lies on a drive that is gone.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{name} cannot be read: {error.strerror or error}.",
            "Check that it is still in its place, and its permissions.",
        ) from error


def _of_path(path: Path, split: str | None, heard: Heard) -> Rows:
    if path.is_dir():
        if (path / STATE).is_file() or (path / SPLITS).is_file():
            return _Saved(split_of(opened(path), path.name, split), path.name)
        files = sorted(it for it in path.iterdir() if it.suffix.lower() in _KINDS)
        kinds = {it.suffix.lower() for it in files}
        if len(kinds) != 1:
            found = f"files of several kinds ({', '.join(sorted(kinds))})" if kinds else "no data"
            raise UserError(
                f"The folder {path} has {found}.",
                f"Give {READABLE}, or a folder with files of one kind.",
            )
        return _Joined([_KINDS[it.suffix.lower()](it, heard) for it in files])
    if not path.is_file():
        raise UserError(f"There is no file {path}.", "Check the path of the dataset.")
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path.name} is of no kind that can be read.", f"Give {READABLE}.")
    return kind(path, heard)


class _Held(Rows):
    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Row:
        return self._rows[number]


class _First(Rows):
    def __init__(self, rows: Rows, limit: int) -> None:
        self._rows = rows
        self._count = min(limit, len(rows))

    def __len__(self) -> int:
        return self._count

    def row(self, number: int) -> Row:
        return self._rows.row(number)


class _Joined(Rows):
    """Files behind each other."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        self._starts = [0, *accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self._starts[-1]

    def row(self, number: int) -> Row:
        part = bisect_right(self._starts, number) - 1
        return self._parts[part].row(number - self._starts[part])


class _Lines(Rows):
    """JSON Lines: where each line that holds something begins, and its number."""

    def __init__(self, path: Path, heard: Heard) -> None:
        self._path = path
        self._places, self._numbers = array("Q"), array("Q")
        place, size = 0, path.stat().st_size
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    self._places.append(place)
                    self._numbers.append(number)
                    if len(self._places) % TELL_EVERY == 0:
                        heard(place, size)
                place += len(line)

    def __len__(self) -> int:
        return len(self._places)

    def row(self, number: int) -> Row:
        where = f"{self._path.name}, line {self._numbers[number]}"
        with self._path.open("rb") as stream:
            stream.seek(self._places[number])
            raw = stream.readline()
        try:
            text = (raw.removeprefix(_MARK) if self._numbers[number] == 1 else raw).decode().strip()
        except UnicodeDecodeError as error:
            raise UserError(f"{where} is not UTF-8 text.", "Save the file as UTF-8.") from error
        return Row(where, object_of(text, where))


class _Table(Rows):
    """CSV: where each record begins, and the line it begins in."""

    def __init__(self, path: Path, heard: Heard) -> None:
        csv.field_size_limit(CSV_FIELD_LIMIT)
        self._path = path
        self._places, self._numbers = array("Q"), array("Q")
        self._read, size = 0, path.stat().st_size
        with path.open("rb") as stream:
            records = csv.reader(self._decoded(stream), strict=True)
            try:
                self._names = next(records, [])
                while True:
                    place, line = self._read, records.line_num + 1
                    record = next(records, None)
                    if record is None:
                        break
                    if record:
                        self._places.append(place)
                        self._numbers.append(line)
                        if len(self._places) % TELL_EVERY == 0:
                            heard(self._read, size)
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path.name} is not UTF-8 text.", "Save the file as UTF-8."
                ) from error
            except csv.Error as error:
                raise UserError(
                    f"{path.name}, line {records.line_num} is not CSV: {error}.",
                    "Expected a header line and values separated by commas.",
                ) from error

    def _decoded(self, stream: io.BufferedReader) -> Iterator[str]:
        for raw in stream:
            first = self._read == 0
            self._read += len(raw)
            yield (raw.removeprefix(_MARK) if first else raw).decode("utf-8")

    def __len__(self) -> int:
        return len(self._places)

    def row(self, number: int) -> Row:
        where = f"{self._path.name}, line {self._numbers[number]}"
        with self._path.open("rb") as stream:
            stream.seek(self._places[number])
            values = next(csv.reader((it.decode("utf-8") for it in stream), strict=True))
        if len(values) != len(self._names):
            raise UserError(
                f"{where} has {len(values)} values for the {len(self._names)} columns of the header.",
                "Quote values that contain commas or line breaks.",
            )
        return Row(where, dict(zip(self._names, values, strict=True)))


class _Array(Rows):
    """A JSON array, in memory."""

    def __init__(self, path: Path, values: Sequence[Any]) -> None:
        self._path = path
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def row(self, number: int) -> Row:
        where = f"{self._path.name}, item {number + 1}"
        return Row(where, item_of(self._values[number], where))


def _json(path: Path, heard: Heard) -> Rows:
    """A JSON array of objects, or JSON Lines under another name."""
    with path.open("rb") as stream:
        start = stream.read(64).removeprefix(_MARK).lstrip()
    if not start.startswith(b"["):
        return _Lines(path, heard)
    try:
        return _Array(path, json.loads(path.read_text(encoding="utf-8-sig")))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"{path.name} is not JSON: {error}.", "Expected a list of objects."
        ) from error


class _Parquet(Rows):
    """A Parquet file, read forward from the beginning of a group of rows; a few rows are kept."""

    def __init__(self, path: Path, _: Heard) -> None:
        self._path = path
        self._file = parquet_file(path)
        groups = range(self._file.num_row_groups)
        sizes: list[int] = [self._file.metadata.row_group(group).num_rows for group in groups]
        self._starts = [0, *accumulate(sizes)]
        self._group = -1
        self._batches: Iterator[list[dict[str, Any]]] = iter(())
        self._first, self._held = 0, list[dict[str, Any]]()

    def __len__(self) -> int:
        return self._starts[-1]

    def row(self, number: int) -> Row:
        group = bisect_right(self._starts, number) - 1
        if group != self._group or number < self._first:
            self._group, self._first, self._held = group, self._starts[group], []
            self._batches = parquet_batches(self._path, self._file, [group])
        while number >= self._first + len(self._held):
            self._first += len(self._held)
            self._held = next(self._batches, [])
            if not self._held:
                raise UserError(
                    f"{self._path.name} cannot be read as Parquet: row {number + 1} is not there.",
                    "Copy or write the file again.",
                )
        return Row(f"{self._path.name}, row {number + 1}", self._held[number - self._first])


class _Arrow(Rows):
    """An Arrow file, mapped; a few rows are kept."""

    def __init__(self, path: Path, _: Heard) -> None:
        self._path = path
        self._table = arrow_table(path)
        self._first, self._held = 0, list[dict[str, Any]]()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def row(self, number: int) -> Row:
        if not 0 <= number - self._first < len(self._held):
            self._first = number - number % BATCH_ROWS
            self._held = self._table.slice(self._first, BATCH_ROWS).to_pylist()
        return Row(f"{self._path.name}, row {number + 1}", self._held[number - self._first])


class _Saved(Rows):
    """A dataset of `datasets`, mapped."""

    def __init__(self, found: Any, name: str) -> None:
        self._found, self._name = found, name

    def __len__(self) -> int:
        return int(self._found.num_rows)

    def row(self, number: int) -> Row:
        return Row(f"{self._name}, row {number + 1}", dict(self._found[number]))


_KINDS: dict[str, Callable[[Path, Heard], Rows]] = {
    ".jsonl": _Lines,
    ".ndjson": _Lines,
    ".json": _json,
    ".csv": _Table,
    ".parquet": _Parquet,
    ".arrow": _Arrow,
}
