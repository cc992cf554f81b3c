"""What a file or folder of data looks like from outside, so that a change is seen without reading it."""

from __future__ import annotations

from pathlib import Path

State = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and time of the last change in nanoseconds of each file; empty where there is none."""


def state_of(path: Path) -> State:
    """The state of a file, or of the files in a folder and in its splits; what cannot be looked at is left out."""
    try:
        files = sorted(path.glob("**/*")) if path.is_dir() else [path]
    except OSError:
        return ()
    found = []
    for file in files:
        try:
            seen = file.stat()
        except OSError:
            continue
        if not file.is_dir():
            found.append((file.name, seen.st_size, seen.st_mtime_ns))
    return tuple(found)
