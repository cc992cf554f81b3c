"""Models from the Hugging Face hub: safetensors of one revision, pinned to its commit.

What was downloaded before is found again without a network. Tokens are read by huggingface_hub from where
the user put them; they are neither asked for nor kept here.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, hf_hub_url, snapshot_download
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
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import get_session
from tqdm import tqdm  # type: ignore[import-untyped]

from core.errors import UserError
from core.lm.pickles import refuse_pickle
from core.lm.transfer import fetch

FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt")
HOW_TO_LOG_IN = "log in once with `hf auth login`, or start Rekindle with HF_TOKEN set."
ROOM_TO_SPARE = 64 * 2**20
"""Bytes left free on the disk beyond what is downloaded."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
BYTES = "B"  # unit of huggingface_hub's byte counters; its other bars count files


@dataclass(frozen=True)
class Fetched:
    """A downloaded snapshot and the commit it is of."""

    folder: Path
    commit: str


def download(repository: str, revision: str, progress: Callable[[int, int], None]) -> Fetched:
    """Download a model's safetensors, config and tokenizer, or find them in the hub's cache.

    A download that was cut off is taken up where it ended.

    Args:
        repository: owner/name.
        revision: branch, tag or commit.
        progress: called with (bytes done, bytes in all so far known).

    Raises:
        UserError: the repository or revision does not exist, is closed, holds only pickled weights, or
            the hub cannot be reached and nothing is cached.
    """
    with _explained(repository, revision):
        try:
            listed = HfApi().model_info(repository, revision=revision, files_metadata=True)
        except HfHubHTTPError:
            raise  # the hub answered
        except (OfflineModeIsEnabled, HTTPError) as error:
            return _cached(repository, revision, error)
        siblings = listed.siblings or []
        refuse_pickle((it.rfilename for it in siblings), repository)
        commit = listed.sha or revision
        _fetch_weights(repository, commit, siblings, progress)
        folder = snapshot_download(
            repository,
            revision=revision,  # so that the cache knows the branch without a network
            allow_patterns=list(FILES),
            tqdm_class=_reporting(lambda done, total: None),
        )
    path = Path(folder)
    return Fetched(path, path.name)


@contextmanager
def _explained(repository: str, revision: str) -> Iterator[None]:
    """What the hub refuses, in sentences that say what to do."""
    try:
        yield
    except GatedRepoError as error:
        raise UserError(
            f"Access to {repository} has to be asked for.",
            f"Accept its terms on its page, then {HOW_TO_LOG_IN}",
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(
            f"The hub has no model {repository}, or it is private.",
            f"Check the id, owner/name; for a private model {HOW_TO_LOG_IN}",
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(
            f"{repository} has no revision {revision}.", "Give a branch, a tag or a commit."
        ) from error
    except OfflineModeIsEnabled as error:
        raise UserError(
            f"{repository} cannot be looked at: HF_HUB_OFFLINE is set.",
            "Unset HF_HUB_OFFLINE, or copy the model's folder to this machine and give the folder.",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise UserError(
                f"The disk of {constants.HF_HUB_CACHE} is full.",
                "Free some room, then try again: a download goes on where it ended.",
            ) from error
        raise UserError(
            f"{repository} cannot be downloaded: {error}",
            "Check the network connection, or give a folder with the model instead.",
        ) from error
    except HTTPError as error:
        raise UserError(
            f"The connection to {constants.ENDPOINT} failed ({type(error).__name__}).",
            "Check the network connection and try again: a download goes on where it ended.",
        ) from error


def look_up(repository: str, revision: str) -> dict[str, Any]:
    """What the hub says of a model, without its weights: architecture, size, licence, refusals.

    Raises:
        UserError: the hub cannot be asked, or has no such model.
    """
    with _explained(repository, revision):
        listed = HfApi().model_info(repository, revision=revision, files_metadata=True)
        siblings = listed.siblings or []
        names = [it.rfilename for it in siblings]
        refusal = ""
        try:
            refuse_pickle(names, repository)
        except UserError as error:
            refusal = str(error)
        config: dict[str, Any] = {}
        if "config.json" in names:
            file = hf_hub_download(repository, "config.json", revision=listed.sha or revision)
            config = json.loads(Path(file).read_text(encoding="utf-8"))
        if "auto_map" in config:
            refusal = refusal or "It brings its own code (auto_map), which is never run here."
        if "quantization_config" in config:
            refusal = refusal or "Its weights are quantized already; give the unquantized model."
        wanted = [it for it in siblings if _wanted(it.rfilename)]
        if not any(it.rfilename.endswith(".safetensors") for it in wanted):
            refusal = refusal or "It has no safetensors weights."
        return {
            "origin": "hub",
            "hub": repository,
            "revision": revision,
            "commit": listed.sha or "",
            "architecture": ", ".join(
                config.get("architectures") or [str(config.get("model_type", ""))]
            ),
            "dtype": str(config.get("dtype") or config.get("torch_dtype") or ""),
            "parameters": listed.safetensors.total if listed.safetensors else 0,
            "bytes": sum(it.size or 0 for it in wanted),
            "licence": str(getattr(listed.card_data, "license", None) or ""),
            "refusal": refusal,
        }


def _wanted(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in FILES)


def _cached(repository: str, revision: str, error: Exception) -> Fetched:
    """What was downloaded before, when the hub cannot be asked."""
    try:
        path = Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=list(FILES), local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        off = isinstance(error, OfflineModeIsEnabled)
        why = "HF_HUB_OFFLINE is set" if off else f"{constants.ENDPOINT} cannot be reached"
        raise UserError(
            f"{repository} cannot be downloaded: {why}, and no earlier download of it is here.",
            ("Unset HF_HUB_OFFLINE" if off else "Check the network connection")
            + ", or copy the model's folder to this machine and give the folder instead.",
        ) from error
    return Fetched(path, path.name)


def _fetch_weights(
    repository: str,
    commit: str,
    siblings: Sequence[RepoSibling],
    progress: Callable[[int, int], None],
) -> None:
    """Put the large files among the hub's blobs, where it finds them under the SHA-256 of their content."""
    wanted = [it for it in siblings if it.lfs is not None and _wanted(it.rfilename)]
    blobs = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    total = sum(it.size or 0 for it in wanted)
    before = 0
    missing = [it for it in wanted if it.lfs and not (blobs / "blobs" / it.lfs.sha256).is_file()]
    _refuse_full_disk(repository, sum(it.size or 0 for it in missing))
    for it in wanted:
        assert it.lfs is not None
        if it in missing:
            fetch(
                get_session(),
                hf_hub_url(repository, it.rfilename, revision=commit),
                blobs / "blobs" / it.lfs.sha256,
                size=it.size or 0,
                sha256=it.lfs.sha256,
                headers=build_hf_headers(),
                tell=lambda done, before=before: progress(before + done, total),  # type: ignore[misc]
            )
        before += it.size or 0
        progress(before, total)


def _refuse_full_disk(repository: str, needed: int) -> None:
    place = Path(constants.HF_HUB_CACHE)
    while not place.is_dir():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed + ROOM_TO_SPARE:
        raise UserError(
            f"{repository} needs {needed / 2**30:.1f} GiB and the disk of {place} has "
            f"{free / 2**30:.1f} GiB left.",
            "Free some room, or set HF_HUB_CACHE to a folder on another disk.",
        )


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
