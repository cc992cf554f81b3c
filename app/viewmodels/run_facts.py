"""A run's recipe as one flat list of named values, for filters, columns, groups, and what runs have in common.

Works on raw recipe data, which may be of another version or incomplete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

Scalar = str | int | float | bool
Facts = Mapping[str, Scalar]

OWN = frozenset({"name", "notes", "seed"})
"""What two runs of one experiment may differ in."""


def facts_of(recipe_json: str) -> Facts:
    """Dotted name -> value; a stage's fields stand under `stages.<kind>`, where the last of a kind counts,
    and under `stages.<id>`. Names are in lower case."""
    try:
        recipe = json.loads(recipe_json)
    except ValueError:
        return {}
    if not isinstance(recipe, dict):
        return {}
    stages = [it for it in recipe.pop("stages", None) or () if isinstance(it, dict)]
    facts = dict(_flat(recipe, ""))
    for name in (
        "id",
        "kind",
    ):  # by kind first: an id that is a kind's name says the same of itself
        for stage in stages:
            facts.update(_flat(stage, f"stages.{stage.get('kind' if name == 'id' else 'id')}."))
    return facts


def alike_key(recipe_json: str) -> str:
    """Equal for runs whose recipes differ in name, notes and seed only."""
    try:
        recipe = json.loads(recipe_json)
    except ValueError:
        return recipe_json
    if not isinstance(recipe, dict):
        return recipe_json
    kept = {name: value for name, value in recipe.items() if name not in OWN}
    return json.dumps(kept, sort_keys=True)


def _flat(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Scalar]]:
    for name, value in data.items():
        path = f"{prefix}{name}".casefold()
        if isinstance(value, dict):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, list):
            yield path, ", ".join(str(it) for it in value if not isinstance(it, dict | list))
        elif isinstance(value, str | int | float | bool):
            yield path, value
