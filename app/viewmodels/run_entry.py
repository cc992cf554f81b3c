"""A row of the run list in words: its texts, what it is sorted by, and what a filter asks of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from app.viewmodels import recipe_words, words
from app.viewmodels.run_facts import Facts, Scalar, alike_key, facts_of
from app.viewmodels.run_fraction import RowFraction, fraction_of
from core.analysis import recovery
from core.recipe.field import BASE
from core.store.rows import RunRow

MOST_WITH_DECIMALS = 2
"""With more tasks, whole per cents: four numbers with decimals would push other columns out."""
FIELD, METRIC, SCORE = "field:", "metric:", "score:"
"""What a column that a person added begins with: a recipe's field, a series' last value, a task's score."""
BELOW_ALL = (0, 0.0)
SHORT: Mapping[str, str] = {"lr": "learning_rate"}
"""Names that people type, and the field each stands for."""


@dataclass(frozen=True)
class RunEntry:
    """A worded row: for each column the text and the value to sort by.

    `subjects` are the ids of the checkpoints behind the columns base, degraded and recovered.
    """

    row: RunRow
    device: str
    texts: Mapping[str, str]
    keys: Mapping[str, Any]
    search: str
    subjects: Mapping[str, str]
    fraction: RowFraction

    @cached_property
    def facts(self) -> Facts:
        """Every value of the recipe by its dotted name."""
        return facts_of(self.row.recipe_json)

    @cached_property
    def alike(self) -> str:
        """Equal for runs that differ in name, notes and seed only."""
        return alike_key(self.row.recipe_json)

    @property
    def seconds(self) -> float | None:
        """How long the run took, or has taken so far."""
        return seconds(self.row)

    def extra(self, column: str) -> Scalar | None:
        """The value of a column that a person added; None where the run has none."""
        kind, _, name = column.partition(":")
        match f"{kind}:":
            case "field:":
                return self.facts.get(name)
            case "metric:":
                return self.row.last.get(name)
            case "score:":
                score = self.row.scores.get(name)
                return None if score is None else 100 * score
        return None

    def values(self, key: str) -> tuple[Scalar, ...]:
        """What a filter or a group finds behind a key; empty where the run has nothing there."""
        row = self.row
        match key:
            case "status":
                failure = (words.FAILURE.get(row.failure, row.failure),) if row.failure else ()
                return (row.status, *failure)
            case "tag":
                return row.tags
            case "star":
                return (row.star,)
            case "created":
                return (row.created,)
            case "duration":
                return () if self.seconds is None else (self.seconds,)
            case "fraction" | "degraded" | "recovered":
                return (self.keys[key],) if self.has_number(key) else ()
            case "loss":
                return row.loss[-1:]
        texts: dict[str, Scalar] = {
            "name": row.name,
            "notes": row.notes,
            "base": row.base,
            "stage": self.texts["stages"],
            "device": self.device,
            "id": row.uid,
            "seed": row.seed,
        }
        if key in texts:
            return (texts[key],)
        return self._found(key)

    def has_number(self, column: str) -> bool:
        """Whether the cell of a score or a fraction holds a number, not words or nothing."""
        return bool(self.texts[column]) and self.texts[column] not in words.NO_FRACTION

    def _found(self, key: str) -> tuple[Scalar, ...]:
        """A recipe field by its dotted name or its end, then a series, then a score in per cent."""
        name = SHORT.get(key, key)
        if name in self.facts:
            return (self.facts[name],)
        ends = [value for fact, value in self.facts.items() if fact.endswith(f".{name}")]
        if ends:
            return (ends[-1],)
        for values, factor in ((self.row.last, 1.0), (self.row.scores, 100.0)):
            known = [
                factor * value
                for place, value in values.items()
                if name in (place.casefold(), place.rpartition("/")[2].casefold())
            ]
            if known:
                return (known[-1],)
        return ()

    def text(self, column: str) -> str:
        """What a cell says."""
        known = self.texts.get(column)
        if known is not None:
            return known
        value = self.extra(column)
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float) and column.startswith(SCORE):
            return f"{value:.1f}"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def key(self, column: str) -> Any:
        """What a cell is sorted by; comparable with that of any other run."""
        if column in self.keys:
            return self.keys[column]
        return sort_key(self.extra(column))


def sort_key(value: Scalar | None) -> tuple[int, float | str]:
    """Numbers before texts, nothing below all."""
    match value:
        case None:
            return BELOW_ALL
        case str():
            return (2, value.casefold())
    return BELOW_ALL if math.isnan(value) else (1, float(value))


def seconds(row: RunRow) -> float | None:
    """From start to end, or to the last sign of life."""
    end = row.ended or row.heartbeat
    return None if row.started is None or end is None else max(0.0, end - row.started)


def entry_of(row: RunRow) -> RunEntry:
    """Word a row."""
    try:
        recipe = json.loads(row.recipe_json)
    except ValueError:
        recipe = {}
    stages = [it for it in recipe.get("stages", ()) if isinstance(it, dict)]
    kinds = [str(it.get("kind")) for it in stages if it.get("kind") not in ("evaluate", "cka")]
    chain = " → ".join(kinds) or "measure"
    subjects = {"base": BASE, **{recipe_words.role_of(it): str(it.get("id")) for it in stages}}
    recovered = [it for it in stages if recipe_words.role_of(it) == "recovered"]
    subjects["recovered"] = recovery.headline(
        {str(it.get("id")): str(it.get("kind")) for it in recovered}
    )
    texts = {
        "star": {1: "★", -1: "✗"}.get(row.star, ""),
        "status": words.status(row.status, row.failure),
        "name": row.name,
        "stages": chain,
        "model": recipe_words.short_model(row.base),
        "loss": "",
        "tags": ", ".join(row.tags),
        "notes": " ".join(row.notes.split()),
        "seed": str(row.seed),
        "created": words.moment(row.created),
        "duration": words.duration(seconds(row)),
    }
    keys: dict[str, Any] = {
        **{name: text.casefold() for name, text in texts.items()},
        "star": row.star,
        "created": row.created,
        "duration": seconds(row) or -1.0,
        "seed": row.seed,
        "loss": row.loss[-1] if row.loss else float("inf"),
    }
    for role in ("base", "degraded", "recovered"):
        values = [
            100 * value
            for name, value in row.scores.items()
            if name.rpartition("/")[0] == subjects.get(role)
        ]
        digits = 1 if len(values) <= MOST_WITH_DECIMALS else 0
        texts[role] = " · ".join(f"{value:.{digits}f}" for value in values)
        keys[role] = fmean(values) if values else -1.0
    fraction = fraction_of(row, stages)
    texts["fraction"], keys["fraction"] = fraction.text, fraction.key
    search = " ".join((row.name, texts["status"], chain, row.base, row.uid, *row.tags, row.notes))
    device = str(recipe.get("device", "auto"))
    return RunEntry(row, device, texts, keys, search.casefold(), subjects, fraction)
