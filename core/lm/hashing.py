"""SHA-256 of files, remembered while a file's size and time stay the same.

A base model is named by its content; hashing 15 GB anew for every run would cost half a minute.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path


def sha256_of(file: Path) -> str:
    """SHA-256 of one file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digests(
    files: Sequence[Path],
    memory: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, str]:
    """SHA-256 of each file by name.

    Args:
        files: files with different names.
        memory: JSON file in which known digests are kept, with size and modification time.
        progress: called with (bytes done, bytes in all).
    """
    known = _remembered(memory)
    total = sum(file.stat().st_size for file in files)
    result: dict[str, str] = {}
    done = 0
    for file in files:
        progress(done, total)
        status = file.stat()
        mark = [status.st_size, status.st_mtime_ns]
        key = str(file.resolve())
        entry = known.get(key)
        if entry is None or entry[:2] != mark:
            known[key] = entry = [*mark, sha256_of(file)]
        result[file.name] = str(entry[2])
        done += status.st_size
    progress(total, total)
    _remember(memory, known)
    return result


def _remembered(memory: Path) -> dict[str, list[int | str]]:
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(memory: Path, known: dict[str, list[int | str]]) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_suffix(".part")
    temporary.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
    temporary.replace(memory)
