"""Recipes that ship with the application, and what was changed in one of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.viewmodels.recipe_types import Preset

FOLDER = Path(__file__).resolve().parents[2] / "resources" / "recipes"
QUICKSTART = FOLDER / "quickstart.yaml"

PAPER = "paper"
"""The folder with the recipes of the paper's tables; the size of the model ends a file's name."""
WORKED = "Worked examples"

EMPTY = """\
schema: 1
name: New experiment
base: {name: rekindle-1m}
seed: 42
datasets: {}
stages:
  - {id: quantized, kind: quantize}
"""

_NAME = re.compile(r"^name:\s*(.+?)\s*$", re.MULTILINE)
_DIGIT = re.compile(r"\d")
_COMMENT = re.compile(r"\A(?:#[^\n]*\n)+")


def shipped(folder: Path = FOLDER) -> tuple[Preset, ...]:
    """The recipes in `folder`, then the paper's, by file name; the comment at the top of a file describes it."""
    own = [_preset(path, WORKED) for path in sorted(folder.glob("*.yaml"))]
    paper = sorted(
        (folder / PAPER).glob("*.yaml"), key=lambda path: (_size(path), _DIGIT.findall(path.stem))
    )
    return (*own, *(_preset(path, f"The paper, Qwen2.5 {_size(path)}") for path in paper))


def _preset(path: Path, group: str) -> Preset:
    text = path.read_text(encoding="utf-8")
    name = _NAME.search(text)
    comment = _COMMENT.match(text)
    lines = comment.group().splitlines() if comment else []
    return Preset(
        name.group(1).strip("'\"") if name else path.stem,
        str(path),
        " ".join(line.lstrip("# ").strip() for line in lines),
        group,
    )


def _size(path: Path) -> str:
    """ "3B" for a file that ends with "_3b"."""
    return path.stem.rsplit("_", 1)[-1].upper()


def named(name: str, folder: Path = FOLDER) -> str:
    """Path of the recipe in `folder` with this file name (without its ending); "" for none."""
    path = folder / f"{name}.yaml"
    return str(path) if path.is_file() else ""


def is_shipped(path: str) -> bool:
    """Whether a file is one of those that ship with the application."""
    return bool(path) and FOLDER in Path(path).resolve().parents


def overrides(before: Any, after: Any) -> list[str] | None:
    """The `path=value` settings that turn one recipe into the other; None when they cannot.

    Single values and added entries of mappings can be set; what was removed, and stages that were added
    or moved, cannot.
    """
    try:
        return list(_changes(before, after, ()))
    except _Different:
        return None


class _Different(Exception):
    """Settings cannot express the change."""


def _changes(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        if set(before) - set(after):
            raise _Different
        for key, value in after.items():
            yield from _changes(before.get(key), value, (*path, key))
    elif path == ("stages",) and isinstance(before, list) and isinstance(after, list):
        if [_id(it) for it in before] != [_id(it) for it in after]:
            raise _Different
        for old, new in zip(before, after, strict=True):
            yield from _changes(old, new, (*path, str(_id(new))))
    else:
        yield f"{'.'.join(path)}={json.dumps(after, ensure_ascii=False)}"


def _id(stage: Any) -> Any:
    return stage.get("id") if isinstance(stage, dict) else None
