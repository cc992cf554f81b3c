"""What a file or folder of data looks like from outside, so that a change is seen without reading it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CHARACTERS = 16
"""Of the digest: enough that no two states of one file have the same."""


def state_of(path: Path) -> str:
    """A digest over name, size and time of the last change of a file, or of all files in a folder; "" for none."""
    files = [path] if path.is_file() else sorted(_inside(path))
    seen = []
    for file in files:
        try:
            found = file.stat()
        except OSError:
            continue  # it went away meanwhile: so the state is another
        seen.append(f"{file.relative_to(path)}\t{found.st_size}\t{found.st_mtime_ns}")
    return (
        hashlib.sha256("\n".join(seen).encode("utf-8", "surrogateescape")).hexdigest()[:CHARACTERS]
        if seen
        else ""
    )


def _inside(folder: Path) -> list[Path]:
    return [Path(at, name) for at, _, names in os.walk(folder) for name in names]
