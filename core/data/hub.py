"""Datasets from the Hugging Face hub, by id and revision.

`datasets` runs no scripts of a repository: data files only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetNotFoundError, DatasetsError

from core.data.columnar import split_of
from core.data.rows import Row, rows_of
from core.errors import UserError
from core.recipe.sources import DatasetSource

_COMMIT = re.compile(r"[0-9a-f]{40}")
INFO = "dataset_info.json"
COMMIT_CHARACTERS = 7


def cached(source: DatasetSource) -> tuple[Any, str]:
    """The split of a hub dataset that was fetched before, and where it comes from; nothing is downloaded.

    The cache does not tell which branch or tag a copy is of: a revision that is a commit has to be the copy's,
    of any other the newest copy is taken, and its commit told.

    Raises:
        UserError: there is no such copy, or of several parts or splits none was chosen.
    """
    name = str(source.hub)
    root = Path(datasets.config.HF_DATASETS_CACHE) / name.replace("/", "___")
    copies = sorted((it.parent for it in root.glob(f"*/*/*/{INFO}")), key=_fetched, reverse=True)
    if _COMMIT.fullmatch(source.revision):
        copies = [it for it in copies if it.name == source.revision]
    if source.config:
        copies = [it for it in copies if it.parent.parent.name == source.config]
    if not copies:
        raise UserError(
            f"{name} has not been fetched to this machine yet, so it cannot be looked at.",
            "A run fetches it; or fetch it once with datasets.load_dataset, or give a downloaded file.",
        )
    configs = sorted({it.parent.parent.name for it in copies})
    if len(configs) > 1:
        raise UserError(
            f"{name} has several configurations: {', '.join(configs)}.", "Set config to one."
        )
    info = datasets.DatasetInfo.from_directory(str(copies[0]))
    splits = list(info.splits or ())
    split = source.split or (splits[0] if len(splits) == 1 else "")
    if split not in splits:
        what = f"has no split {split}" if split else "has several splits"
        raise UserError(f"{name} {what}: {', '.join(splits)}.", "Set split to one of them.")
    label = f"{name}@{copies[0].name[:COMMIT_CHARACTERS]}, {split}"
    try:
        return split_of(_read(copies[0], info, split), name, None), label
    except (OSError, ValueError, DatasetsError) as error:
        raise UserError(
            f"The copy of {name} on this machine cannot be read: {error}",
            "Delete it and fetch it again.",
        ) from error


def hub_rows(source: DatasetSource) -> Iterator[Row]:
    """The rows of a hub dataset's split.

    Raises:
        UserError: the dataset, revision, configuration or split does not exist, or cannot be fetched.
    """
    datasets.disable_progress_bars()
    name = str(source.hub)
    try:
        found = datasets.load_dataset(
            name, source.config, split=source.split, revision=source.revision
        )
    except DatasetNotFoundError as error:
        raise UserError(
            f"The hub has no dataset {name} at revision {source.revision}, or it is private.",
            "Check the id, owner/name; for a private dataset log in once with: hf auth login",
        ) from error
    except (DatasetsError, ValueError, RuntimeError, OSError) as error:
        # ValueError names the configurations or splits there are; RuntimeError refuses scripts.
        raise UserError(
            f"Dataset {name} cannot be loaded: {error}",
            "Check config and split, and the network connection; or give a downloaded file.",
        ) from error
    yield from rows_of(
        found, name, source.split if isinstance(found, datasets.DatasetDict) else None
    )


def _fetched(copy: Path) -> int:
    return (copy / INFO).stat().st_mtime_ns


def _read(copy: Path, info: datasets.DatasetInfo, split: str) -> Any:
    files = sorted(copy.glob(f"*-{split}.arrow")) or sorted(copy.glob(f"*-{split}-*-of-*.arrow"))
    if not files:
        raise FileNotFoundError(f"no file of split {split} in {copy}")
    return datasets.concatenate_datasets(
        [datasets.Dataset.from_file(str(it), info) for it in files]
    )
