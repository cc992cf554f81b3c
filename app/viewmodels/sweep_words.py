"""A sweep in words: what its fields are called in the names of its runs, and what to begin with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from app.viewmodels import words
from app.viewmodels.naming import LONGEST
from app.viewmodels.recipe_types import FieldView

_SHORT = {
    "learning_rate": "lr",
    "max_steps": "steps",
    "num_train_epochs": "epochs",
    "per_device_train_batch_size": "batch",
    "gradient_accumulation_steps": "accumulation",
    "max_completion_length": "length",
    "lora_r": "rank",
}
SEPARATOR = " · "
TAG = "sweep:"
_NEAR = 2
"""A range begins at the value divided by this, and ends at it multiplied."""
_SEEDS = 3


def short_label(path: str) -> str:
    """ "lr" for "stages.sdft.learning_rate"."""
    name = path.rsplit(".", 1)[-1]
    return _SHORT.get(name) or words.field(name).lower()


def short_labels(paths: Sequence[str]) -> list[str]:
    """The short labels, with the stage where two would be the same."""
    labels = [short_label(path) for path in paths]
    return [
        f"{path.split('.')[-2]} {label}" if labels.count(label) > 1 and "." in path else label
        for path, label in zip(paths, labels, strict=True)
    ]


def written(value: Any) -> str:
    """A value as short as it can be: 1e-4 for 0.0001."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        text = f"{value:g}"
        mantissa, exponent, power = text.partition("e")
        return f"{mantissa}e{int(power)}" if exponent else _scientific(value, text)
    if isinstance(value, list):
        return " + ".join(map(str, value))
    return "none" if value is None else str(value)


def _scientific(value: float, text: str) -> str:
    short = f"{value:.6e}".partition("e")
    other = f"{float(short[0]):g}e{int(short[2])}"
    return other if len(other) < len(text) else text


def variant_name(name: str, settings: Iterable[tuple[str, Any]]) -> str:
    """ "NF4 · lr 1e-4 · seed 1"."""
    found = list(settings)
    labels = short_labels([path for path, _ in found])
    parts = [f"{label} {written(value)}" for label, (_, value) in zip(labels, found, strict=True)]
    rest = SEPARATOR.join(("", *parts))
    return f"{name[: max(LONGEST - len(rest), 1)].rstrip()}{rest}"[:LONGEST]


def first_range(view: FieldView) -> tuple[str, str, str]:
    """What a sweep over a field begins with: its shape, and for a range both ends, else the list and ""."""
    value = view.value
    if view.path == "seed" and isinstance(value, int):
        return "list", ", ".join(str(value + place) for place in range(_SEEDS)), ""
    if view.kind == "bool":
        return "list", "true, false", ""
    if view.choices and not view.multiple:
        return "list", ", ".join(it.value for it in view.choices if it.value), ""
    if isinstance(value, float) and value > 0 and view.kind == "float":
        high = value * _NEAR
        if view.maximum is not None:
            high = min(high, view.maximum)
        return "log", written(value / _NEAR), written(high)
    if isinstance(value, int) and value > 0:
        values = dict.fromkeys((max(value // _NEAR, 1), value, value * _NEAR))
        return "list", ", ".join(map(str, values)), ""
    if isinstance(value, tuple):
        return "list", json.dumps(list(value)), ""
    return "list", "" if value is None else str(value), ""


def slug(name: str) -> str:
    """A name as a tag: "two-roads"."""
    return re.sub(r"[^\w.-]+", "-", name.strip().lower()).strip("-") or "sweep"
