"""Tables that lie in columns: Parquet and Arrow files, and what `datasets` saves; read a part at a time.

Pictures and sounds are not decoded: no model here reads them, and a decoded object would have another
description each time, so that the same data would never have the same fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow  # type: ignore[import-untyped]
import pyarrow.ipc  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from core.errors import UserError

BATCH_ROWS = 256
"""Rows that are made into objects together: few enough to reach any of them soon."""
BUFFER_BYTES = 2**20
"""Of a column of a Parquet file; without it a group of rows is read as a whole, and may be all of the file."""
ARROW_ERRORS = (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError)
"""What reading a damaged file ends with: OSError where a page cannot be unpacked."""
STATE, SPLITS = "state.json", "dataset_dict.json"  # what save_to_disk leaves in a folder
_MEDIA = (datasets.Audio, datasets.Image, datasets.Video, datasets.Pdf, datasets.Nifti)


def parquet_file(path: Path) -> Any:
    """A Parquet file, mapped and read by and by.

    Raises:
        UserError: it is none.
    """
    try:
        return pyarrow.parquet.ParquetFile(path, memory_map=True, buffer_size=BUFFER_BYTES)
    except ARROW_ERRORS as error:
        raise UserError(
            f"{path.name} cannot be read as Parquet: {error}", "Copy or write the file again."
        ) from error


def parquet_batches(path: Path, file: Any, groups: list[int]) -> Iterator[list[dict[str, Any]]]:
    """The rows of groups, `BATCH_ROWS` at a time.

    Raises:
        UserError: the file is damaged.
    """
    batches = file.iter_batches(batch_size=BATCH_ROWS, row_groups=groups)
    while True:
        try:
            batch = next(batches, None)
            rows = batch.to_pylist() if batch is not None else None
        except ARROW_ERRORS as error:
            raise UserError(
                f"{path.name} cannot be read as Parquet: {error}", "Copy or write the file again."
            ) from error
        if rows is None:
            return
        yield rows


def arrow_table(path: Path) -> Any:
    """The table in an Arrow file, of either of its two forms; mapped, not read into memory.

    Raises:
        UserError: it is none.
    """
    try:
        mapped = pyarrow.memory_map(str(path))
        try:
            return pyarrow.ipc.open_file(mapped).read_all()
        except pyarrow.ArrowInvalid:  # `datasets` writes its tables as streams
            mapped.seek(0)
            return pyarrow.ipc.open_stream(mapped).read_all()
    except ARROW_ERRORS as error:
        raise UserError(
            f"{path.name} cannot be read as Arrow: {error}", "Copy or write the file again."
        ) from error


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


def split_of(found: Any, name: str, split: str | None) -> Any:
    """A `datasets.Dataset` itself, or one split of a `DatasetDict`; pictures and sounds as they are stored.

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
        return _stored(found[chosen])
    return _stored(found)


def _stored(found: datasets.Dataset) -> datasets.Dataset:
    features = datasets.Features(
        {name: _undecoded(feature) for name, feature in found.features.items()}
    )
    return found if features == found.features else found.cast(features)


def _undecoded(feature: Any) -> Any:
    """A feature whose pictures and sounds, however deep, stay as they are stored."""
    if isinstance(feature, _MEDIA):
        return type(feature)(decode=False)
    if isinstance(feature, Mapping):
        return {name: _undecoded(it) for name, it in feature.items()}
    if isinstance(feature, datasets.List | datasets.LargeList):
        return type(feature)(_undecoded(feature.feature))
    return [_undecoded(it) for it in feature] if isinstance(feature, list) else feature
