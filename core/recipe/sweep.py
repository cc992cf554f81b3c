"""A sweep: one recipe as many, each with other values in some of its fields.

Pure: takes plain data and gives plain data; whether a variant is a good recipe, `core.recipe.validate` says.
An axis is a field and its values. Several axes are combined (every value with every other) or paired (the
first with the first, and so on). A swept seed is an axis like any other.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import UserError
from core.recipe.files import put, scalar

Combine = Literal["product", "zip"]
MOST_VARIANTS = 2000
"""More runs than this are a slip of the finger."""
SIGNIFICANT = 6
"""Digits kept of a computed value: 0.000316228, not 0.00031622776601683794."""
LOG, LINEAR = "log", "linear"
_RANGE = ".."
_USUAL = "Write a,b,c or start..stop:count or start..stop:log:count."


@dataclass(frozen=True)
class Axis:
    """A field and the values it takes.

    Attributes:
        path: as `core.recipe.files.apply_overrides` has it ("stages.sdft.learning_rate", "seed").
        values: plain data.
    """

    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Variant:
    """One of the recipes of a sweep: its data, and what was set in it, by path."""

    settings: tuple[tuple[str, Any], ...]
    raw: Any


def linear(start: float, stop: float, count: int) -> tuple[float | int, ...]:
    """`count` values from `start` to `stop` with equal steps; whole numbers where all of them are whole."""
    _counted(count)
    step = (stop - start) / (count - 1) if count > 1 else 0.0
    return tuple(_round(start + step * place) for place in range(count))


def logarithmic(start: float, stop: float, count: int) -> tuple[float | int, ...]:
    """`count` values from `start` to `stop` with equal ratios.

    Raises:
        UserError: a bound is not above 0.
    """
    _counted(count)
    if start <= 0 or stop <= 0:
        raise UserError(
            "A log range needs bounds above 0.", "Choose a linear range, or other bounds."
        )
    ratio = math.log(stop / start) / (count - 1) if count > 1 else 0.0
    return tuple(_round(start * math.exp(ratio * place)) for place in range(count))


def parse_values(text: str) -> tuple[Any, ...]:
    """The values that a text stands for: `a,b,c`, `0..1:5`, `0..1:linear:5`, `1e-5..1e-3:log:4`.

    Raises:
        UserError: it stands for none.
    """
    bounds, *rest = text.split(":")
    if _RANGE in bounds and rest:
        shape = rest[0] if len(rest) == 2 else LINEAR
        low, high = bounds.split(_RANGE, 1)
        try:
            start, stop, count = float(low), float(high), int(rest[-1])
        except ValueError as error:
            raise UserError(f"{text} is no range.", _USUAL) from error
        if shape not in (LOG, LINEAR) or len(rest) > 2:
            raise UserError(f"{text} is no range.", _USUAL)
        return logarithmic(start, stop, count) if shape == LOG else linear(start, stop, count)
    values = tuple(scalar(part) for part in _parts(text))
    if not values:
        raise UserError("There are no values to sweep over.", _USUAL)
    return values


def parse_axis(text: str) -> Axis:
    """An axis as it is typed: `path=values`.

    Raises:
        UserError: it is none.
    """
    path, separator, values = text.partition("=")
    if not separator or not path.strip():
        raise UserError(f"{text} is no sweep.", "Write path=values, for example seed=1,2,3.")
    return Axis(path.strip(), parse_values(values.strip()))


def expand(raw: Any, axes: Sequence[Axis], combine: Combine = "product") -> list[Variant]:
    """The recipes of a sweep, the last axis changing fastest.

    Args:
        raw: plain data of the recipe.
        axes: the fields and their values.
        combine: every value with every other, or the first with the first and so on.

    Raises:
        UserError: a path leads nowhere, there are too many, or paired axes have other lengths.
    """
    count = size(axes, combine)
    if count > MOST_VARIANTS:
        raise UserError(
            f"This sweep has {count:,} runs; {MOST_VARIANTS:,} is the most.", "Take fewer values."
        )
    values = [axis.values for axis in axes]
    if combine == "product":
        rows = list(itertools.product(*values)) if axes else []
    else:
        rows = list(zip(*values, strict=True))
    return [_variant(raw, axes, row) for row in rows]


def size(axes: Sequence[Axis], combine: Combine) -> int:
    """How many runs a sweep has, without making them.

    Raises:
        UserError: paired axes have other lengths.
    """
    lengths = [len(axis.values) for axis in axes]
    if not lengths:
        return 0
    if combine == "product":
        return math.prod(lengths)
    if len(set(lengths)) > 1:
        told = ", ".join(f"{axis.path}: {len(axis.values)}" for axis in axes)
        raise UserError(
            f"Paired fields need equally many values ({told}).",
            "Give as many values to each, or combine every value with every other.",
        )
    return lengths[0]


def _variant(raw: Any, axes: Sequence[Axis], row: Sequence[Any]) -> Variant:
    made = raw
    for axis, value in zip(axes, row, strict=True):
        made = put(made, axis.path, value)
    paths = (axis.path for axis in axes)
    return Variant(tuple(zip(paths, row, strict=True)), made)


def _counted(count: int) -> None:
    if not 1 <= count <= MOST_VARIANTS:
        raise UserError(
            f"A range of {count} values cannot be made.", f"Take 1 to {MOST_VARIANTS:,}."
        )


def _round(value: float) -> float | int:
    rounded = float(f"{value:.{SIGNIFICANT}g}")
    return int(rounded) if rounded.is_integer() else rounded


def _parts(text: str) -> list[str]:
    """The texts between commas that stand outside brackets."""
    parts, depth, part = [], 0, ""
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += letter
    return [it.strip() for it in (*parts, part) if it.strip()]
