"""The way out of a problem that a click can take: the nearest allowed value, the default, what is missing."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Literal

from app.viewmodels.recipe_types import FieldView, Value

Act = Literal["set", "dataset", "stage", "browse"]


@dataclass(frozen=True)
class Fix:
    """One way out.

    Attributes:
        words: what the link says.
        act: set the field to `value`, add a dataset or a stage, or let the person choose a file.
        value: for "set"; None is the default.
    """

    words: str
    act: Act = "set"
    value: Value = None


ADD_STAGE = Fix("Add a stage", "stage")


def fix_of(view: FieldView) -> Fix | None:
    """The way out of a field's problem; None where only a person knows it."""
    if not view.problem:
        return None
    if view.kind == "dataset" and not view.choices:
        return Fix("Add a dataset", "dataset")
    if view.kind in ("stage", "dataset", "choice") or (view.kind == "list" and view.choices):
        return _of_choices(view)
    if view.kind == "path":
        return Fix(
            "Choose a folder…" if view.path.endswith("folder") else "Choose a file…", "browse"
        )
    bounded = _within(view)
    if bounded is not None:
        return bounded
    if not view.is_default and view.default not in (None, "", ()):
        return Fix(f"Use the default, {_written(view.default)}", value=None)
    return Fix("Leave it empty", value=None) if view.optional and not view.is_default else None


def _of_choices(view: FieldView) -> Fix | None:
    offered = [it.value for it in view.choices if it.value]
    given = view.value if isinstance(view.value, tuple) else (str(view.value or ""),)
    wrong = [it for it in given if it and it not in offered]
    if not offered or (given and all(given) and not wrong):
        return None
    if not wrong:
        first: Value = (offered[0],) if view.multiple else offered[0]
        return Fix(f"Use {offered[0]}", value=first)
    near = (difflib.get_close_matches(wrong[0], offered, n=1) or offered)[0]
    if view.multiple:
        kept = dict.fromkeys(it if it in offered else near for it in given)
        return Fix(f"Use {near}", value=tuple(kept))
    return Fix(f"Use {near}", value=near)


def _within(view: FieldView) -> Fix | None:
    """The limit that was passed, where it is itself allowed."""
    value = view.value
    if view.kind not in ("int", "float") or isinstance(value, bool):
        return None
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    low, high = view.minimum, view.maximum
    limit = low if low is not None and value < low else None
    open_end = view.exclusive_minimum
    if high is not None and value > high:
        limit, open_end = high, view.exclusive_maximum
    if limit is None or open_end:
        return None
    bound = int(limit) if view.kind == "int" else limit
    return Fix(f"Use {_written(bound)}", value=bound)


def facts(view: FieldView) -> str:
    """Limits and default of a field in a few words: "1 to 1,000 steps; default 50"."""
    parts = [_limits(view)]
    if view.default not in (None, "", ()) and not view.is_default and view.kind != "prose":
        parts.append(f"default {_written(view.default)}")
    return "; ".join(part for part in parts if part)


def _limits(view: FieldView) -> str:
    low, high = view.minimum, view.maximum
    unit = f" {view.unit}" if view.unit else ""
    if low is not None and high is not None:
        above = "above " if view.exclusive_minimum else ""
        below = "below " if view.exclusive_maximum else ""
        return f"{above}{_written(low)} to {below}{_written(high)}{unit}"
    if low is not None:
        return f"{'above' if view.exclusive_minimum else 'at least'} {_written(low)}"
    return ""


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, float) and value.is_integer():
        return f"{int(value):,}"
    return f"{value:,}" if isinstance(value, int) else str(value)
