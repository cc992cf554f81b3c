"""Form fields made from a spec: the annotation decides the control, the field's own texts the words.

A new field of a spec appears in its form by itself; only names that mean a stage, a dataset, a task or a
file are known here.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.viewmodels import words
from app.viewmodels.recipe_types import Choice, FieldKind, FieldView, Value

_STAGES = frozenset({"from", "teacher", "reference"})
_DATASETS = frozenset({"dataset", "fewshot_dataset", "probe", "replay"})
_PROSE = frozenset({"teacher_template"})
_PATHS = frozenset({"folder", "gguf", "file", "include_path"})
_MISSING = object()
NO_VALUE = "none"
"""Typed where a field has a default and may hold no value all the same."""


@dataclass(frozen=True)
class Names:
    """What fields may refer to: checkpoints, datasets and tasks by name; other teachers with their words."""

    stages: Sequence[str] = ()
    datasets: Sequence[str] = ()
    tasks: Sequence[str] = ()
    teachers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shape:
    """What an annotation comes to."""

    kind: FieldKind
    optional: bool = False
    multiple: bool = False
    literals: tuple[Any, ...] = ()
    numbers: bool = False


def fields(
    spec: type[BaseModel],
    values: Mapping[str, Any],
    prefix: str,
    names: Names,
    *,
    section: str = "",
    skip: Sequence[str] = (),
) -> list[FieldView]:
    """The form of one spec.

    Args:
        spec: the pydantic class.
        values: what is set, by YAML name; may hold nonsense, which is shown as it stands.
        prefix: put before each name to make its path.
        names: what fields may refer to.
        section: heading of the fields.
        skip: Python names of fields that have no control.
    """
    return [
        _view(key(name, info), info, values, prefix, names, section)
        for name, info in spec.model_fields.items()
        if name not in skip and not _is_spec(info)
    ]


def key(name: str, info: FieldInfo) -> str:
    """A field's name in YAML."""
    return info.alias or name


def to_value(info: FieldInfo, name: str, value: Value) -> Any:
    """What a control delivered, as the plain data that YAML holds; nonsense stays text for validation."""
    shape = _shape(name, info)
    if value is None or _is_cleared(info, shape, value):
        return None
    if shape.kind == "map":
        return value if not isinstance(value, str) else _parse_map(value)
    if isinstance(value, tuple):
        if shape.kind in ("dataset", "stage") and len(value) == 1:
            return value[0]
        return [_number(it, "float") for it in value] if shape.numbers else list(value)
    if not isinstance(value, str):
        return int(value) if shape.kind == "int" and float(value).is_integer() else value
    text = value.strip()
    if shape.kind == "choice":
        return next((it for it in shape.literals if str(it) == text), text)
    if shape.kind == "list" or (shape.kind == "dataset" and shape.multiple and "," in text):
        return [part.strip() for part in text.split(",") if part.strip()]
    if shape.kind in ("int", "float"):
        return _number(text, shape.kind)
    return value


def clears(info: FieldInfo, name: str, value: Value) -> bool:
    """Whether the control asks for no value at all, where the default is one."""
    return _is_cleared(info, _shape(name, info), value)


def _is_cleared(info: FieldInfo, shape: _Shape, value: Value) -> bool:
    return value == NO_VALUE and shape.optional and default_of(info) is not None


def default_of(info: FieldInfo) -> Any:
    """The default as plain data; None where the field must be given."""
    return None if info.is_required() else info.get_default(call_default_factory=True)


def _view(
    name: str,
    info: FieldInfo,
    values: Mapping[str, Any],
    prefix: str,
    names: Names,
    section: str,
) -> FieldView:
    shape = _shape(name, info)
    texts = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    limits = _limits(info)
    default = default_of(info)
    found = values.get(name, _MISSING)
    cleared = found is None and shape.optional and default is not None
    is_default = found is _MISSING or (found is None and not cleared)
    return FieldView(
        path=f"{prefix}{name}",
        label=str(texts.get("label") or "") or words.field(name),
        kind=shape.kind,
        value=NO_VALUE if cleared else _shown(default if is_default else found, shape),
        default=_shown(default, shape),
        is_default=is_default,
        optional=shape.optional or not info.is_required(),
        multiple=shape.multiple,
        choices=_choices(name, shape, names),
        minimum=limits.get("ge", limits.get("gt")),
        maximum=limits.get("le", limits.get("lt")),
        exclusive_minimum="gt" in limits,
        exclusive_maximum="lt" in limits,
        unit=str(texts.get("unit") or ""),
        help=info.description or "",
        paper=str(texts.get("paper") or ""),
        advanced=bool(texts.get("advanced")),
        section=section,
    )


def _shape(name: str, info: FieldInfo) -> _Shape:
    options, optional = _options(info.annotation)
    lists = [it for it in options if get_origin(it) is list]
    if name in _STAGES:
        return _Shape("stage", optional, multiple=bool(lists))
    if name in _DATASETS:
        return _Shape("dataset", optional, multiple=bool(lists))
    if name in _PROSE:
        return _Shape("prose", optional)
    first = options[0]
    if get_origin(first) is Literal:
        return _Shape("choice", optional, literals=get_args(first))
    if lists:
        numbers = get_args(lists[0]) == (float,)
        return _Shape("list", optional, multiple=True, numbers=numbers)
    if get_origin(first) is dict:
        return _Shape("map", optional)
    if name in _PATHS:
        return _Shape("path", optional)
    kinds: dict[Any, FieldKind] = {bool: "bool", int: "int", float: "float"}
    return _Shape(kinds.get(first, "text"), optional)


def _options(annotation: Any) -> tuple[list[Any], bool]:
    """The members of a union without None, and whether None was one."""
    if get_origin(annotation) in (Union, types.UnionType):
        members = [_bare(it) for it in get_args(annotation)]
        return [it for it in members if it is not type(None)], type(None) in members
    return [_bare(annotation)], False


def _bare(annotation: Any) -> Any:
    """Without `Annotated`."""
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _is_spec(info: FieldInfo) -> bool:
    """Whether the field holds other specs, which have forms of their own."""
    options, _ = _options(info.annotation)
    inner = [_bare(arg) for option in options for arg in (option, *get_args(option))]
    return any(
        isinstance(it, type) and issubclass(it, BaseModel)
        for candidate in inner
        for it in (candidate, *map(_bare, get_args(candidate)))
    )


def _limits(info: FieldInfo) -> dict[str, float]:
    limits = {}
    for item in info.metadata:
        for name in ("ge", "gt", "le", "lt"):
            value = getattr(item, name, None)
            if value is not None:
                limits[name] = float(value)
    return limits


def _choices(name: str, shape: _Shape, names: Names) -> tuple[Choice, ...]:
    if shape.kind == "choice":
        return tuple(Choice(str(it), words.choice(name, str(it))) for it in shape.literals)
    offered: Sequence[str] = ()
    if shape.kind == "stage":
        none = "nobody: as they are" if name == "teacher" else "the stage before"
        before = (Choice("", none),) if shape.optional else ()
        others = names.teachers.items() if name == "teacher" else ()
        return (
            *before,
            *(Choice(it, it) for it in names.stages),
            *(Choice(it, f"{it}: {about}") for it, about in others),
        )
    if shape.kind == "dataset":
        offered = names.datasets
    elif name == "tasks":
        offered = names.tasks
    return tuple(Choice(it, it) for it in offered)


def _shown(value: Any, shape: _Shape) -> Value:
    if shape.kind == "map":
        return _show_map(value) if isinstance(value, Mapping) else str(value or "")
    if shape.multiple:
        if value is None or value == "":
            return ()
        return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
    if value is None or isinstance(value, bool | int | float):
        return str(value) if shape.kind == "choice" and value is not None else value
    return str(value)


def _show_map(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {it}" for name, it in value.items())


def _parse_map(text: str) -> Any:
    """`prompt: question, answer: key` as a mapping; text that is none stays text."""
    pairs = [part.partition(":") for part in text.split(",") if part.strip()]
    if any(not separator or not name.strip() for name, separator, _ in pairs):
        return text
    return {name.strip(): value.strip() for name, _, value in pairs}


def _number(text: str, kind: FieldKind) -> Any:
    if not text:
        return None
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return text
