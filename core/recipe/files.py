"""Recipes as YAML: reading with every problem named, writing without defaults, overriding single fields.

YAML 1.2 (`yes` is text, `1e-4` a number), safe loading only; a date stays text. What is written reads
back equal.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from core.errors import UserError
from core.recipe.messages import Problem
from core.recipe.spec import Recipe
from core.recipe.validate import check, parse

SIZE_LIMIT = 1 << 20
"""A recipe is text that a person wrote: a file above this size (bytes) is something else."""

_LINE = 100  # width at which long text is folded, as in the rest of the repository


class _PlainConstructor(SafeConstructor):
    """Safe YAML in which dates stay text: no field of a recipe is a date."""


_PlainConstructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file, checked, with its relative paths found (see `resolve_paths`).

    Args:
        path: a YAML file.
        overrides: see `apply_overrides`.

    Raises:
        UserError: the file cannot be read, or the recipe has problems; the message names all of them.
    """
    return usable(load_raw(path, overrides), path)


def load_raw(path: Path, overrides: Sequence[str] = ()) -> Any:
    """The plain data of the recipe in a file, not checked.

    Raises:
        UserError: the file cannot be read, or is no YAML.
    """
    raw, problems = parse_text(_read(path))
    if problems:
        raise _unusable(path, problems)
    return apply_overrides(raw, overrides)


def usable(raw: Any, path: Path) -> Recipe:
    """The recipe in plain data that come from a file, checked, with its relative paths found.

    Raises:
        UserError: it has problems; the message names all of them.
    """
    recipe, problems = parse(raw)
    if recipe is not None:
        problems = check(recipe)
    if recipe is None or problems:
        raise _unusable(path, problems)
    return resolve_paths(recipe, path.parent)


def _unusable(path: Path, problems: Sequence[Problem]) -> UserError:
    lines = "".join(f"\n  {problem}" for problem in problems)
    return UserError(f"The recipe {path.name} cannot be used:{lines}")


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UserError(f"{path} is too large for a recipe.", "Give a YAML file.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text.", "Give a YAML file in UTF-8.") from error
    except OSError as error:
        raise UserError(
            f"The recipe {path} cannot be read ({error.strerror}).", "Check the path."
        ) from error


def parse_text(text: str) -> tuple[Any, list[Problem]]:
    """Plain data from YAML text, or why it is no YAML, with the line number."""
    try:
        return _reader().load(text), []
    except DuplicateKeyError as error:
        what = str(error.problem).split(" with value")[0].removeprefix("found duplicate ")
        return None, [
            Problem("", f"Line {_line(error)}: {what} is given twice.", "Remove one of them.")
        ]
    except MarkedYAMLError as error:
        return None, [
            Problem(
                "",
                f"Line {_line(error)}: this is not YAML ({error.problem}).",
                "Check indentation, brackets and quotes there.",
            )
        ]
    except YAMLError as error:
        reason = str(error).splitlines()[0]
        return None, [Problem("", f"This is not YAML ({reason}).", "Give a text file in YAML.")]


def _line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return 1 if mark is None else mark.line + 1


def _reader() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _PlainConstructor
    return yaml


def to_raw(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data: defaults left out, stages led by id, kind and from."""
    raw: dict[str, Any] = {"schema": recipe.schema_}
    raw |= recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if "stages" in raw:
        raw["stages"] = [
            # `kind` equals its default, and says which defaults these are.
            {"id": spec.id, "kind": spec.kind}
            | ({"from": spec.from_} if spec.from_ else {})
            | {key: value for key, value in values.items() if key not in ("id", "kind", "from")}
            for spec, values in zip(recipe.stages, raw["stages"], strict=True)
        ]
    return raw


def dump(recipe: Recipe) -> str:
    """The recipe as YAML; `parse(parse_text(dump(recipe)))` gives it back."""
    yaml = YAML()
    yaml.width = _LINE
    yaml.allow_unicode = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(_quoted(to_raw(recipe)), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """`value` with text that YAML would take for line breaks or drop written in escapes."""
    if isinstance(value, dict):
        return {_quoted(key): _quoted(it) for key, it in value.items()}
    if isinstance(value, list):
        return [_quoted(it) for it in value]
    if isinstance(value, str) and not value.replace("\n", "").isprintable():
        return DoubleQuotedScalarString(value)
    return value


def apply_overrides(raw: Any, overrides: Sequence[str]) -> Any:
    """A copy of `raw` with single fields replaced.

    Args:
        raw: plain data of a recipe.
        overrides: `path=value` each. Parts of a path are joined by dots; an entry of a list is named by
            its `id` or its index. Missing mappings on the way are made. Values are YAML scalars, or
            lists and mappings in brackets.

    Raises:
        UserError: a path leads nowhere, or there is no `=`.
    """
    result = copy.deepcopy(raw)
    for override in overrides:
        path, separator, text = override.partition("=")
        parts = path.strip().split(".")
        if not separator or not all(parts):
            raise UserError(f"{override} is no setting.", "Write path=value, for example seed=7.")
        _put(result, parts, scalar(text), path.strip())
    return result


def put(raw: Any, path: str, value: Any) -> Any:
    """A copy of `raw` with one field replaced; `path` as in `apply_overrides`.

    Raises:
        UserError: the path leads nowhere.
    """
    result = copy.deepcopy(raw)
    _put(result, path.split("."), value, path)
    return result


def _put(value: Any, parts: list[str], new: Any, path: str) -> None:
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(value, dict):
            if last:
                value[part] = new
                return
            if value.get(part) is None:
                value[part] = {}
            value = value[part]
        elif isinstance(value, list):
            index = _index(value, part, path)
            if last:
                value[index] = new
                return
            value = value[index]
        else:
            where = ".".join(parts[:position]) or "the recipe"
            raise UserError(f"{path} cannot be set: {where} is a single value.", "Check the path.")


def _index(entries: list[Any], part: str, path: str) -> int:
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    if part in ids:
        return ids.index(part)
    if part.isdecimal() and int(part) < len(entries):
        return int(part)
    known = ", ".join(str(it) for it in ids if it is not None)
    raise UserError(
        f"{path} cannot be set: there is no entry {part}.",
        f"Choose {known}, or a number below {len(entries)}." if known else "Check the number.",
    )


def scalar(text: str) -> Any:
    """A YAML scalar; text that only looks like more than that (`a: b`, `x #y`) is taken as it stands."""
    text = text.strip()
    value, problems = parse_text(text)
    if problems:
        return text
    if isinstance(value, dict | list):
        return value if text[0] in "{[" else text
    if value is None:
        return None if text.lower() in ("", "~", "null") else text
    if isinstance(value, str) and text[0] not in "'\"":
        return text
    return value


def resolve_paths(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with every relative path that exists made absolute.

    A path is looked for beside the recipe file first, then in the working folder; one that is found in
    neither stays as it is, for `check_files` to name.
    """
    base = recipe.base.model_copy(
        update={
            field: _found(given, folder)
            for field in ("folder", "gguf")
            if (given := getattr(recipe.base, field))
        }
    )
    datasets = {
        name: source.model_copy(update={"file": _found(source.file, folder)})
        if source.file
        else source
        for name, source in recipe.datasets.items()
    }
    tasks = {
        name: task.model_copy(update={"include_path": _found(task.include_path, folder)})
        if task.include_path
        else task
        for name, task in recipe.tasks.items()
    }
    return recipe.model_copy(update={"base": base, "datasets": datasets, "tasks": tasks})


def _found(given: str, folder: Path) -> str:
    path = Path(given).expanduser()
    for root in (folder, Path.cwd()):
        candidate = root / path
        if candidate.exists():
            return str(candidate.resolve())
    return given
