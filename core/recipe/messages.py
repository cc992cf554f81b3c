"""Pydantic's errors, told to a person: what is wrong with the field, and what would be right."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from core.recipe.sources import DatasetSource, ModelSource, Task
from core.recipe.spec import LiveCka, Measure, Recipe
from core.recipe.stage_specs import STAGE_SPECS

SHOWN = 60
"""Longest value repeated in a message, in characters."""

Place = tuple[int | str, ...]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a recipe.

    Attributes:
        path: the field, as keys and list indexes joined by dots; "" for the recipe as a whole.
        message: what is wrong, one sentence.
        hint: what to do, one sentence.
    """

    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{place}{self.message} {self.hint}".strip()


def explain(error: ValidationError, raw: Mapping[str, Any]) -> list[Problem]:
    """One problem a field, in the order in which pydantic met them."""
    problems: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        place = _place(detail["loc"], raw)
        path = ".".join(str(part) for part in place)
        message, hint = _words(detail, place, raw)
        problems.setdefault(path, Problem(path, message, hint))
    return list(problems.values())


def _place(loc: Place, raw: Any) -> Place:
    """`loc` without what pydantic adds to it: the tag of a stage's kind, and the arms of a union."""
    place: list[int | str] = []
    value = raw
    for position, part in enumerate(loc):
        if position == 2 and loc[0] == "stages" and part in STAGE_SPECS:
            continue
        if isinstance(part, str) and (part == "[key]" or not isinstance(value, Mapping)):
            continue
        place.append(part)
        value = _item(value, part)
    return tuple(place)


def _item(value: Any, part: int | str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _model_at(place: Place, raw: Any) -> tuple[type[BaseModel], Place]:
    """The innermost spec that holds `place`, and the rest of the path inside it."""
    match place:
        case ["stages", int(index), *rest]:
            kind = _item(_item(_item(raw, "stages"), index), "kind")
            if isinstance(kind, str) and kind in STAGE_SPECS:
                return STAGE_SPECS[kind], tuple(rest)
        case ["base", *rest]:
            return ModelSource, tuple(rest)
        case ["datasets", _, *rest]:
            return DatasetSource, tuple(rest)
        case ["tasks", _, *rest]:
            return Task, tuple(rest)
        case ["measure", "cka", *rest]:
            return LiveCka, tuple(rest)
        case ["measure", *rest]:
            return Measure, tuple(rest)
    return Recipe, place


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields by the name that a recipe uses."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _words(detail: ErrorDetails, place: Place, raw: Any) -> tuple[str, str]:
    """Message and hint for one error."""
    model, rest = _model_at(place, raw)
    field = _fields(model).get(str(rest[0])) if rest else None
    about = (field.description or "") if field else ""
    context = detail.get("ctx", {})
    given = f"it is {_shown(detail['input'])}"
    match detail["type"]:
        case "missing":
            return "This field is missing.", about or "Add it."
        case "extra_forbidden":
            return _unknown(str(place[-1]), model)
        case "union_tag_not_found":
            return "The stage does not say what kind it is.", f"Set kind to {_either(STAGE_SPECS)}."
        case "union_tag_invalid":
            kind = _item(detail["input"], "kind")
            return f"There is no stage kind {_shown(kind)}.", _nearest(str(kind), list(STAGE_SPECS))
        case "literal_error":
            return f"This value is not offered; {given}.", f"Choose {context['expected']}."
        case "greater_than":
            return f"The value must be above {context['gt']:g}; {given}.", about
        case "greater_than_equal":
            return f"The value must be at least {context['ge']:g}; {given}.", about
        case "less_than":
            return f"The value must be below {context['lt']:g}; {given}.", about
        case "less_than_equal":
            return f"The value must be at most {context['le']:g}; {given}.", about
        case "string_too_short" | "too_short":
            return "This must not be empty.", about
        case "string_too_long":
            return f"The text has more than {context['max_length']} characters.", "Shorten it."
        case "string_pattern_mismatch":
            return _pattern(str(context["pattern"]), given, about)
        case "value_error":
            text = str(context["error"])
            return f"{text[:1].upper()}{text[1:]}.", ""
    if detail["type"] in _EXPECTED:
        return f"{_EXPECTED[detail['type']]}; {given}.", about
    return f"{detail['msg']}; {given}.", about


_EXPECTED = {
    "int_type": "A whole number is expected",
    "int_parsing": "A whole number is expected",
    "int_from_float": "A whole number is expected",
    "float_type": "A number is expected",
    "float_parsing": "A number is expected",
    "finite_number": "A finite number is expected",
    "bool_type": "true or false is expected",
    "bool_parsing": "true or false is expected",
    "string_type": "Text is expected (in quotes if it looks like a number)",
    "list_type": "A list is expected",
    "dict_type": "Named entries are expected",
    "model_type": "Named fields are expected",
    "model_attributes_type": "Named fields are expected",
}
"""What pydantic's type errors mean."""


def _unknown(name: str, model: type[BaseModel]) -> tuple[str, str]:
    return f"There is no field {name} here.", _nearest(name, list(_fields(model)))


def _nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"Choose {_either(names)}."


def _either(names: Sequence[str] | Mapping[str, Any]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _pattern(pattern: str, given: str, about: str) -> tuple[str, str]:
    if "cuda" in pattern:
        return f"There is no such device; {given}.", about
    return (
        f"A name like this cannot be used; {given}.",
        "Use lower-case letters, digits and underscores, and begin with a letter.",
    )


def _shown(value: Any) -> str:
    """The value as the recipe spells it, shortened."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    text = text if text.strip() else "empty"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
