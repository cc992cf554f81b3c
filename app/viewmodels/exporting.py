"""Writing a table to a file, off the window's thread."""

from __future__ import annotations

from pathlib import Path

from core.errors import UserError


def write_text(path: str, text: str) -> None:
    """Write a file. Raises UserError with a way out when that fails."""
    try:
        Path(path).write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(
            f"The file {path} could not be written: {error.strerror or error}.",
            "Choose another folder, or free some space.",
        ) from error
