"""The file behind the recipe being written: saving it, and the command line that does the same."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from app.viewmodels import presets
from app.viewmodels.document import RecipeDocument
from core.errors import UserError

UNSAVED = "recipe.yaml"
"""Stands in the command for a recipe that is in no file yet."""
_RUN = ("python", "-m", "app", "run")


def command(origin: tuple[str, Any] | None, raw: Any) -> str:
    """The command line that runs the recipe.

    Args:
        origin: a file and its data, or None.
        raw: the recipe's data now.
    """
    settings = _settings(origin, raw)
    if origin is None or settings is None:
        return shlex.join((*_RUN, UNSAVED))
    return shlex.join((*_RUN, origin[0], *(part for it in settings for part in ("--set", it))))


def is_exact(origin: tuple[str, Any] | None, raw: Any) -> bool:
    """Whether the command runs this very recipe; otherwise it has to be saved first."""
    return _settings(origin, raw) is not None


def _settings(origin: tuple[str, Any] | None, raw: Any) -> list[str] | None:
    return None if origin is None else presets.overrides(origin[1], raw)


def write(path: Path, text: str) -> None:
    """Write the file in one move, so that a crash leaves the old or the new one.

    Raises:
        UserError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}.", "Choose another folder."
        ) from error


def keep_paths(document: RecipeDocument, folder: Path, target: Path) -> None:
    """Make relative paths absolute that lie beside `folder`, since the file moves to `target`."""
    if folder.resolve() == target.resolve():
        return
    for path in _paths(document.raw):
        given = document.get(path)
        if isinstance(given, str) and given and not Path(given).expanduser().is_absolute():
            found = folder / given
            if found.exists():
                document.set(path, str(found.resolve()))


def _paths(raw: Any) -> list[str]:
    """The fields of a recipe that hold paths."""
    if not isinstance(raw, dict):
        return []
    found = ["base.folder", "base.gguf"]
    for section, names in (
        ("datasets", ("file",)),
        ("models", ("folder", "gguf")),
        ("tasks", ("include_path",)),
    ):
        entries = raw.get(section)
        if isinstance(entries, dict):
            found += [f"{section}.{entry}.{name}" for entry in entries for name in names]
    return found
