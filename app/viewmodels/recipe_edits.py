"""Edits of a recipe beyond single fields: stages, branches, datasets, tasks and further models come and go.

Every edit answers with the key of the card to show afterwards, or None where nothing changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.viewmodels import words
from app.viewmodels.document import RecipeDocument
from app.viewmodels.recipe_form import MEASURE, RecipeForm
from core.recipe.field import BASE

_IDS = {
    "quantize": "quantized",
    "prune": "pruned",
    "sft": "tuned",
    "bootstrap": "bootstrapped",
    "sdft": "recovered",
    "evaluate": "scores",
    "cka": "similarity",
}
_NAMING = ("from", "teacher", "reference")
"""Fields of a stage that name other stages."""
MEASURING = ("evaluate", "cka")
"""Kinds of stages that hand on the checkpoint they read."""


class RecipeEdits:
    """Changes the parts of a document; the document must be editable."""

    def __init__(self, document: RecipeDocument, form: RecipeForm) -> None:
        self._document = document
        self._form = form

    def index(self, stage: str) -> int | None:
        """The place of a stage by its id."""
        ids = self._ids()
        return ids.index(stage) if stage in ids else None

    def add_stage(self, kind: str, after: str = "") -> str:
        """Insert a stage behind another one ("base" for the first place), at the end by default."""
        ids = self._ids()
        place = 0 if after == BASE else ids.index(after) + 1 if after in ids else len(ids)
        return self._insert(place, self._new(kind))

    def branch(self, kind: str, source: str) -> str:
        """Add a stage at the end that reads the checkpoint of `source`: nothing else changes its place."""
        stage = self._new(kind)
        first = {"id": stage.pop("id"), "kind": stage.pop("kind"), "from": source}
        return self._insert(len(self._ids()), first | stage)

    def duplicate_stage(self, stage: str) -> str | None:
        """A copy behind the stage that reads what it reads; what followed the stage follows it still."""
        index = self.index(stage)
        if index is None:
            return None
        before = self._sources()
        copy = dict(self._form.stages()[index])
        copy["id"] = free(f"{stage}_2", [*self._ids(), BASE])
        lead = {"id": copy.pop("id"), "kind": copy.pop("kind", ""), "from": before[stage]}
        copy.pop("from", None)
        key = self._insert(index + 1, lead | copy)
        for place, it in enumerate(self._form.stages()):
            name = str(it.get("id"))
            if name in before and self._sources()[name] != before[name]:
                self._document.set(f"stages.{place}.from", before[name])
        return key

    def remove_stage(self, stage: str) -> str | None:
        """Take a stage out; what named it says so beside its field."""
        index = self.index(stage)
        if index is None:
            return None
        self._document.remove(f"stages.{index}")
        return str(index - 1) if index else BASE

    def move_stage(self, stage: str, delta: int) -> str | None:
        """Move a stage towards the start (negative) or the end."""
        index = self.index(stage)
        return None if index is None else self.place_stage(stage, index + delta)

    def place_stage(self, stage: str, place: int) -> str | None:
        """Put a stage at a place among the stages."""
        index = self.index(stage)
        to = min(max(place, 0), len(self._ids()) - 1)
        if index is None or to == index:
            return None
        self._document.move("stages", index, to)
        return str(to)

    def renamed(self, old: str, new: str) -> None:
        """Let what named a stage follow its new name; where names are not unique nothing can follow."""
        ids = self._ids()
        if not old or not new or old in ids or ids.count(new) != 1:
            return
        for place, stage in enumerate(self._form.stages()):
            for key in _NAMING:
                self._follow(f"stages.{place}.{key}", stage.get(key), old, new)
        reference = f"{MEASURE}.cka.reference"
        self._follow(reference, self._document.get(reference), old, new)

    def _follow(self, path: str, value: Any, old: str, new: str) -> None:
        if value == old:
            self._document.set(path, new)
        elif isinstance(value, list) and old in value:
            self._document.set(path, [new if it == old else it for it in value])

    def add(self, where: str, name: str, value: dict[str, Any]) -> str:
        """Add an entry to one of the recipe's mappings; the name it got."""
        known = self._document.get(where)
        name = free(name, list(known) if isinstance(known, dict) else [])
        self._document.set(f"{where}.{name}", value)
        return name

    def add_task(self, name: str) -> str:
        """Add an evaluation task that is scored on every checkpoint; the name it got."""
        datasets = self._form.names().datasets
        scorer = next((it for it in words.SCORER if name and it.startswith(name)), "")
        task = {"scorer": scorer or next(iter(words.SCORER)), "dataset": "".join(datasets[:1])}
        added = self.add("tasks", name or "task", task)
        self._document.set("measure.tasks", [*self._measured(), added])
        return added

    def remove_task(self, name: str) -> None:
        """Take a task out, also from what is measured."""
        if name in self._measured():
            self._document.set("measure.tasks", [it for it in self._measured() if it != name])
        self._document.remove(f"tasks.{name}")

    def _measured(self) -> list[Any]:
        found = self._document.get(f"{MEASURE}.tasks")
        return found if isinstance(found, list) else []

    def _new(self, kind: str) -> dict[str, Any]:
        made: dict[str, Any] = {"id": free(_IDS[kind], [*self._ids(), BASE]), "kind": kind}
        return made | self._form.required(kind)

    def _insert(self, place: int, stage: dict[str, Any]) -> str:
        self._document.insert("stages", place, stage)
        return str(place)

    def _ids(self) -> list[str]:
        return [str(stage.get("id")) for stage in self._form.stages()]

    def _sources(self) -> dict[str, str]:
        """For each stage the one it reads from, as far as the data tell."""
        nearest, found = BASE, {}
        for stage in self._form.stages():
            name = str(stage.get("id"))
            found[name] = str(stage.get("from") or nearest)
            nearest = nearest if stage.get("kind") in MEASURING else name
        return found


def free(name: str, taken: Sequence[str]) -> str:
    """`name`, or `name_2`, `name_3`, … where it is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
