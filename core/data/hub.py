"""Datasets from the Hugging Face hub, by id and revision.

`datasets` runs no scripts of a repository: data files only.
"""

from __future__ import annotations

from collections.abc import Iterator

import datasets
from datasets.exceptions import DatasetNotFoundError, DatasetsError

from core.data.rows import Row, rows_of
from core.errors import UserError
from core.recipe.sources import DatasetSource


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
