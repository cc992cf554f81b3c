"""Datasets of a recipe: rows from a file or the hub, as examples.

The format is taken from the recipe, or recognised by the first row's fields. A row that does not fit is an
error that says where it stands: nothing is skipped silently.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from core.data.demo import demo_rows
from core.data.example import Dataset, Example
from core.data.formats import COLUMNS, EXPECTED, Misfit, example_of, recognise
from core.data.hub import hub_rows
from core.data.rows import Row, read_rows
from core.errors import UserError
from core.recipe.sources import DatasetSource

SHOWN_FIELDS = 8


def load(name: str, source: DatasetSource, root: Path) -> Dataset:
    """All examples of a dataset, or the first `source.limit`.

    Args:
        name: what the recipe calls it.
        source: file, folder, hub id or generated task, with format, columns and limit.
        root: folder against which a relative path is resolved.

    Raises:
        UserError: the data cannot be found or read, or fits no format; names the first offending line.
    """
    if source.hub:
        rows = hub_rows(source)
        label = f"{source.hub}@{source.revision}"
    elif source.demo:
        rows = demo_rows(source)
        label = f"demo {source.demo}, {source.config}, {source.split}"
    else:
        path = root / Path(source.file or "").expanduser()
        rows = read_rows(path, source.split)
        label = str(path)
    check_columns(source.columns)
    format, examples = _examples(rows, source, label)
    content = json.dumps([asdict(example) for example in examples], ensure_ascii=False)
    fingerprint = hashlib.sha256(content.encode()).hexdigest()
    return Dataset(name, label, format, fingerprint, examples)


def _examples(
    rows: Iterator[Row], source: DatasetSource, label: str
) -> tuple[str, tuple[Example, ...]]:
    first = next(rows, None)
    if first is None:
        raise UserError(f"{label} holds no items.", "Give a file with at least one item.")
    format = format_of(first, source)
    examples = [_example(format, first, 0, source.columns)]
    rest = None if source.limit is None else source.limit - 1
    for number, row in enumerate(islice(rows, rest), start=1):
        examples.append(_example(format, row, number, source.columns))
    return format, tuple(examples)


def _example(format: str, row: Row, number: int, columns: Mapping[str, str]) -> Example:
    try:
        return example_of(format, row.fields, number, columns)
    except Misfit as error:
        raise UserError(
            f"{row.where}: {error}.",
            f"Expected in every row of format {format}: {EXPECTED[format]}.",
        ) from error


def format_of(row: Row, source: DatasetSource) -> str:
    """The format that a source asks for, or that its row has.

    Raises:
        UserError: a column is missing, or the row fits no known format.
    """
    if source.format == "columns" or (source.format == "auto" and source.columns):
        absent = [column for column in source.columns.values() if column not in row.fields]
        if not source.columns or absent:
            what = f"has no column {absent[0]}" if absent else "needs columns to be named"
            raise UserError(f"{row.where} {what}.", f"Its columns are: {_shown(row)}.")
        return "columns"
    if source.format != "auto":
        return source.format
    format = recognise(row.fields)
    if format is None:
        known = "; ".join(f"{name}: {EXPECTED[name]}" for name in EXPECTED if name != "columns")
        raise UserError(
            f"{row.where} fits no known format; its fields are: {_shown(row)}.",
            f"Expected one of {known}. For any other file set format: columns and name its columns,"
            " for example columns: {prompt: question, demonstration: response}.",
        )
    return format


def check_columns(columns: Mapping[str, str]) -> None:
    """Whether what `columns` names can be named.

    Raises:
        UserError: something else is named, or no prompt.
    """
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown or (columns and "prompt" not in columns):
        what = f"columns names {unknown[0]}" if unknown else "columns does not name the prompt"
        raise UserError(f"The dataset's {what}.", f"It may name {', '.join(COLUMNS)}.")


def _shown(row: Row) -> str:
    names = list(row.fields)
    shown = ", ".join(names[:SHOWN_FIELDS])
    return f"{shown} and {len(names) - SHOWN_FIELDS} more" if len(names) > SHOWN_FIELDS else shown
