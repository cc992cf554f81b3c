"""Models from the Hugging Face hub: safetensors of one revision, pinned to its commit.

What was downloaded before is found again without a network. Tokens are read by huggingface_hub from where
the user put them; they are neither asked for nor kept here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm  # type: ignore[import-untyped]

from core.errors import UserError
from core.lm.pickles import refuse_pickle

FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt")
BYTES = "B"  # unit of huggingface_hub's byte counters; its other bars count files


@dataclass(frozen=True)
class Fetched:
    """A downloaded snapshot and the commit it is of."""

    folder: Path
    commit: str


def download(repository: str, revision: str, progress: Callable[[int, int], None]) -> Fetched:
    """Download a model's safetensors, config and tokenizer, or find them in the hub's cache.

    Args:
        repository: owner/name.
        revision: branch, tag or commit.
        progress: called with (bytes done, bytes in all so far known).

    Raises:
        UserError: the repository or revision does not exist, is closed, holds only pickled weights, or
            the hub cannot be reached and nothing is cached.
    """
    try:
        try:
            names = HfApi().list_repo_files(repository, revision=revision)
        except OfflineModeIsEnabled:
            names = []  # the cache decides
        refuse_pickle(names, repository)
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(FILES),
            tqdm_class=_reporting(progress),
        )
    except GatedRepoError as error:
        raise UserError(
            f"Access to {repository} has to be asked for.",
            "Accept its terms on its page, then log in once with: hf auth login",
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"The hub has no model {repository}, or it is private.",
            "Check the id, owner/name; for a private model log in once with: hf auth login",
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"{repository} has no revision {revision}.", "Give a branch, a tag or a commit."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, HTTPError, OSError) as error:
        raise UserError(
            f"{repository} cannot be downloaded: {error}",
            "Check the network connection, or give a folder with the model instead.",
        ) from error
    path = Path(folder)
    return Fetched(path, path.name)


def _reporting(progress: Callable[[int, int], None]) -> type[Any]:
    """A progress bar class that reports bytes instead of drawing."""

    class Reporting(tqdm):  # type: ignore[misc]
        def display(self, *_: Any, **__: Any) -> None:
            if self.unit == BYTES and self.total:
                progress(int(self.n), int(self.total))

        def close(self) -> None:
            self.display()
            self.disable = True  # nothing was drawn that would have to be cleared

    return Reporting
