"""One large file over HTTP, taken up again where an earlier attempt ended.

huggingface_hub starts a file anew in every process (since 2.0 each writes to a name of its own), so a model
of 15 GB whose download was cancelled would cost all of its bytes again. Here the bytes lie in `<name>.part`
beside the file until its size and SHA-256 are right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]
from huggingface_hub.utils._fixes import WeakFileLock
from huggingface_hub.utils._http import hf_raise_for_status

from core.errors import UserError

PART = ".part"
ATTEMPTS = 5
"""Broken connections in a row, without a byte in between, before giving up."""
_PARTIAL = 206  # HTTP: the rest of it; any other success is all of it, from the beginning

Tell = Callable[[int], None]


def fetch(
    client: Any,
    url: str,
    file: Path,
    *,
    size: int,
    sha256: str,
    headers: Mapping[str, str],
    tell: Tell,
) -> None:
    """Download `url` into `file`, going on from `<file>.part` where there is one.

    Args:
        client: an HTTP client, that of huggingface_hub.
        url: of the file.
        file: appears by a rename when it is complete.
        size: its bytes.
        sha256: of its content.
        headers: of the request.
        tell: called with the bytes that are here so far.

    Raises:
        UserError: the content is not what was announced.
        HTTPError: the connection broke again and again; what has come is kept.
        HfHubHTTPError: the server refuses.
    """
    part = file.with_name(file.name + PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(part.with_name(part.name + ".lock")):  # a run may want the same model
        if not file.is_file():
            _complete(client, url, part, size=size, headers=headers, tell=tell)
            _settle(url, part, file, size=size, sha256=sha256)
    tell(size)


def _complete(
    client: Any, url: str, part: Path, *, size: int, headers: Mapping[str, str], tell: Tell
) -> None:
    failures = 0
    while (have := _bytes(part)) < size:
        try:
            _receive(client, url, part, have, headers, tell)
        except HfHubHTTPError:
            raise  # an answer, and that is a refusal
        except HTTPError:
            failures = failures + 1 if _bytes(part) == have else 0
            if failures >= ATTEMPTS:
                raise
        else:
            if _bytes(part) <= have:
                raise UserError(
                    f"The server ended {url.rsplit('/', 1)[-1]} too early.", "Download it again."
                )


def _settle(url: str, part: Path, file: Path, *, size: int, sha256: str) -> None:
    with part.open("rb") as stream:
        right = hashlib.file_digest(stream, "sha256").hexdigest() == sha256
    if not right or _bytes(part) != size:
        part.unlink()
        raise UserError(
            f"What came for {url.rsplit('/', 1)[-1]} is not the file that was announced.",
            "Download it again: it begins anew.",
        )
    part.replace(file)


def _receive(
    client: Any, url: str, part: Path, have: int, headers: Mapping[str, str], tell: Tell
) -> None:
    wanted = {**headers, "Range": f"bytes={have}-"} if have else dict(headers)
    with client.stream("GET", url, headers=wanted, follow_redirects=True) as response:
        hf_raise_for_status(response)
        again = response.status_code == _PARTIAL
        done = have if again else 0
        with part.open("ab" if again else "wb") as stream:
            for block in response.iter_raw():
                stream.write(block)
                done += len(block)
                tell(done)


def _bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
