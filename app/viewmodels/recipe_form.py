"""The forms of a recipe's cards: which specs stand on which card, and how a field is written back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from app.viewmodels import fixes, forms, relevance, words
from app.viewmodels.document import ABSENT, RecipeDocument
from app.viewmodels.form_sections import sectioned
from app.viewmodels.recipe_types import Choice, FieldView, Value
from app.viewmodels.recipe_words import short_model
from core.demo.datasets import CONFIGS, TASKS
from core.demo.draw import SPLITS
from core.lm.named import named_models
from core.recipe.field import BASE, FOLLOWING
from core.recipe.messages import Problem
from core.recipe.sources import DatasetSource, ModelSource, Task
from core.recipe.spec import LiveCka, Measure, Recipe
from core.recipe.stage_specs import STAGE_SPECS
from core.recipe.training_base import TrainSpecBase

DATASETS, MEASURE = "datasets", "measure"
_MODEL = ("name", "hub", "folder", "gguf")
_SOURCES = {"base": _MODEL, "models": _MODEL, "datasets": ("file", "hub", "demo")}
_SOURCE = "source"  # a field of the form alone: which of several keys is given
_CKA_ON = "measure.cka.on"


class RecipeForm:
    """Reads and writes a document by fields."""

    def __init__(self, document: RecipeDocument) -> None:
        self._document = document

    def stages(self) -> list[dict[str, Any]]:
        """The stages' data; what is no mapping counts as an empty one."""
        found = self._document.get("stages")
        if not isinstance(found, list):
            return []
        return [it if isinstance(it, dict) else {} for it in found]

    def stage(self, card: str) -> dict[str, Any] | None:
        """The stage of a card, or None for the others."""
        stages = self.stages()
        return stages[int(card)] if card.isdecimal() and int(card) < len(stages) else None

    def names(self, before: int | None = None) -> forms.Names:
        """What fields may refer to; only checkpoints made before stage `before`."""
        makers = [
            str(stage.get("id"))
            for stage in self.stages()[:before]
            if stage.get("kind") not in ("evaluate", "cka")
        ]
        return forms.Names(
            [BASE, *makers], list(self._mapping("datasets")), list(self._mapping("tasks"))
        )

    def models(self) -> dict[str, str]:
        """The further models and what they are, by name."""
        return {
            name: short_model(next((str(it[key]) for key in _MODEL if it.get(key)), ""))
            for name, it in self._mapping("models").items()
            if isinstance(it, Mapping)
        }

    def required(self, kind: str) -> dict[str, Any]:
        """First values for the fields that a new stage must have."""
        names = self.names()
        known = {
            "dataset": "".join(names.datasets[:1]),
            "probe": "".join(names.datasets[:1]),
            "tasks": list(names.tasks),
        }
        spec = STAGE_SPECS[kind]
        return {
            name: known[name]
            for name, info in spec.model_fields.items()
            if info.is_required() and name in known
        }

    def shape(self, card: str) -> tuple[Any, ...]:
        """Equal as long as the same controls stand on a card."""
        return tuple((it.path, it.kind, it.choices, it.section) for it in self.fields(card, ()))

    def fields(self, card: str, problems: Sequence[Problem]) -> tuple[FieldView, ...]:
        """The form of a card, each problem beside its field."""
        return tuple(_finished(it, problems) for it in self._fields(card))

    def _fields(self, card: str) -> list[FieldView]:
        if card == BASE:
            views = [*self._general(), *self._source("base", "base.", ModelSource, "Base model")]
            for name in self._mapping("models"):
                views += self._source("models", f"models.{name}.", ModelSource, f"Model {name}")
            return views
        if card == DATASETS:
            return [
                view
                for name in self._mapping("datasets")
                for view in self._source("datasets", f"datasets.{name}.", DatasetSource, name)
            ]
        if card == MEASURE:
            return self._measure()
        stage = self.stage(card)
        spec = STAGE_SPECS.get(str(stage.get("kind"))) if stage is not None else None
        if stage is None or spec is None:
            return []
        others = {**self.models(), **(FOLLOWING if stage.get("kind") == "sdft" else {})}
        names = replace(self.names(before=int(card)), teachers=others)
        views = forms.fields(spec, stage, f"stages.{card}.", names, skip=("kind",))
        views = _resting(spec, stage, views)
        return sectioned(views) if issubclass(spec, TrainSpecBase) else views

    def set(self, path: str, value: Value) -> bool:
        """Write a field; True when the document changed."""
        before = self._document.raw
        if path == _CKA_ON:
            self._set_cka(bool(value))
        elif path.rsplit(".", 1)[-1] == _SOURCE:
            kind = path.split(".", 1)[0]
            self._set_source(path, _SOURCES[kind][0] if value is None else str(value))
        else:
            self._set_field(path, value)
        return bool(self._document.raw != before)

    def _set_field(self, path: str, value: Value) -> None:
        spec, name = self._spec_of(path)
        found = None if spec is None else _field(spec, name)
        if found is None:
            if value is None:
                self._document.remove(path)
            else:
                self._document.set(path, list(value) if isinstance(value, tuple) else value)
            return
        if forms.clears(found, name, value):
            self._document.set(path, None)
            return
        data = forms.to_value(found, name, value)
        default = forms.default_of(found)
        empty = data is None or (data == "" and default in (None, ""))
        if (empty or data == default) and not self._is_source_key(path):
            self._document.remove(path)
        else:
            self._document.set(path, "" if data is None else data)

    def _spec_of(self, path: str) -> tuple[type[BaseModel] | None, str]:
        parts = path.split(".")
        stage = self.stage(parts[1]) if parts[0] == "stages" and len(parts) == 3 else None
        if stage is not None:
            return STAGE_SPECS.get(str(stage.get("kind"))), parts[2]
        owners: dict[tuple[str, int], type[BaseModel]] = {
            ("base", 2): ModelSource,
            ("models", 3): ModelSource,
            ("datasets", 3): DatasetSource,
            ("tasks", 3): Task,
            ("measure", 2): Measure,
            ("measure", 3): LiveCka,
        }
        return owners.get((parts[0], len(parts)), Recipe if len(parts) == 1 else None), parts[-1]

    def _general(self) -> list[FieldView]:
        values = {name: self._document.get(name) for name in ("name", "notes", "seed", "device")}
        known = {name: it for name, it in values.items() if it is not ABSENT}
        skip = ("schema_", "base", "models", "datasets", "tasks", "stages", "measure")
        return forms.fields(Recipe, known, "", forms.Names(), skip=skip)

    def _source(
        self, kind: str, prefix: str, spec: type[BaseModel], section: str
    ) -> list[FieldView]:
        """The fields of a source: first which one of several keys is given, then that one."""
        keys = _SOURCES[kind]
        values = self._mapping(prefix.rstrip("."))
        given = next((key for key in keys if key in values), keys[0])
        views = forms.fields(spec, values, prefix, forms.Names(), section=section)
        hidden = {prefix + key for key in (*keys, *_not_of(given)) if key != given}
        chosen = FieldView(
            path=prefix + _SOURCE,
            label="Comes from",
            kind="choice",
            value=given,
            default=keys[0],
            is_default=given == keys[0],
            choices=tuple(Choice(key, words.choice(_SOURCE, key)) for key in keys),
            help="Where it is read from.",
            section=section,
        )
        first = [it for it in views if it.path == prefix + given]
        rest = [it for it in views if it.path not in hidden and it.path != prefix + given]
        found = [chosen, *map(_offer_named, first), *rest]
        return [_offer_parts(it, values) for it in found] if given == "demo" else found

    def _measure(self) -> list[FieldView]:
        measure = self._mapping("measure")
        names = self.names()
        views = forms.fields(Measure, measure, "measure.", names, section="After every stage")
        cka = measure.get("cka")
        views.append(
            FieldView(
                path=_CKA_ON,
                label="Measure CKA",
                kind="bool",
                value=cka is not None,
                default=False,
                help="Compare every checkpoint with the reference, layer by layer.",
                section="CKA",
            )
        )
        if isinstance(cka, dict):
            views += forms.fields(LiveCka, cka, "measure.cka.", names, section="CKA")
        for name, task in self._mapping("tasks").items():
            values = task if isinstance(task, dict) else {}
            fields = forms.fields(Task, values, f"tasks.{name}.", names, section=f"Task {name}")
            views += _resting(Task, values, fields)
        return views

    def _set_source(self, path: str, choice: str) -> None:
        prefix = path.removesuffix(_SOURCE)
        kind = prefix.split(".", 1)[0]
        if choice not in _SOURCES[kind] or self._document.get(prefix + choice) is not ABSENT:
            return
        for key in (*_SOURCES[kind], *_not_of(choice)):
            if self._document.get(prefix + key) is not ABSENT:
                self._document.remove(prefix + key)
        first = next(iter(named_models()), "") if choice == "name" else ""
        self._document.set(prefix + choice, TASKS[0] if choice == "demo" else first)
        if choice == "demo":
            for key, value in _DEMO_START.items():
                self._document.set(prefix + key, value)

    def _set_cka(self, on: bool) -> None:
        if not on:
            self._document.remove("measure.cka")
        elif self._document.get("measure.cka") in (ABSENT, None):
            self._document.set("measure.cka", {"probe": "".join(self.names().datasets[:1])})

    def _is_source_key(self, path: str) -> bool:
        parts = path.split(".")
        return parts[-1] in _SOURCES.get(parts[0], ()) and len(parts) > 1

    def _mapping(self, path: str) -> Mapping[str, Any]:
        found = self._document.get(path)
        return found if isinstance(found, dict) else {}


def card_of(path: str) -> str:
    """The key of the card on which a problem's field stands."""
    parts = path.split(".")
    if parts[0] == "stages":
        return parts[1] if len(parts) > 1 else BASE
    if parts[0] == "tasks":
        return MEASURE
    return parts[0] if parts[0] in (DATASETS, MEASURE) else BASE


def _resting(
    spec: type[BaseModel], values: Mapping[str, Any], views: Sequence[FieldView]
) -> list[FieldView]:
    """The fields, each with the reason why it has no effect, if it has none."""
    idle = relevance.reasons(spec, values)
    return [replace(it, idle=idle.get(it.path.rsplit(".", 1)[-1], "")) for it in views]


def _field(spec: type[BaseModel], name: str) -> Any:
    for python_name, info in spec.model_fields.items():
        if forms.key(python_name, info) == name:
            return info
    return None


_DEMO_START = {"config": CONFIGS[TASKS[0]][0], "split": SPLITS[0], "limit": 500}


def _not_of(given: str) -> tuple[str, ...]:
    """Fields of a source that mean nothing for what is given."""
    return {"hub": (), "demo": ("revision", "format", "columns")}.get(given, ("revision", "config"))


def _offer_parts(view: FieldView, values: Mapping[str, Any]) -> FieldView:
    """Part, style and split of a generated task are choices."""
    name = view.path.rsplit(".", 1)[-1]
    if name not in ("config", "split"):
        return view
    offered: Sequence[str] = SPLITS
    if name == "config":
        offered = next((it for task, it in CONFIGS.items() if task == values.get("demo")), ())
    choices = tuple(Choice(it, it.replace("-", ", ")) for it in offered)
    return replace(view, kind="choice", choices=choices, optional=False)


def _offer_named(view: FieldView) -> FieldView:
    """The name of a bundled model is a choice."""
    if view.path != "base.name" and not (
        view.path.startswith("models.") and view.path.endswith(".name")
    ):
        return view
    choices = tuple(Choice(name, model.title) for name, model in named_models().items())
    note = " ".join(model.note for name, model in named_models().items() if name == view.value)
    return replace(view, kind="choice", label="Model", choices=choices, help=note or view.help)


def _finished(view: FieldView, problems: Sequence[Problem]) -> FieldView:
    """The field with its facts, its problem and the way out."""
    known = _with_problem(view, problems)
    way_out = fixes.fix_of(known)
    return replace(
        known, facts=fixes.facts(known), fix=way_out.words if way_out is not None else ""
    )


def _with_problem(view: FieldView, problems: Sequence[Problem]) -> FieldView:
    stem = view.path.removesuffix(f".{_SOURCE}") if view.path.endswith(_SOURCE) else None
    for problem in problems:
        inside = problem.path == view.path or problem.path.startswith(view.path + ".")
        if inside or problem.path == stem:
            return replace(view, problem=problem.message, problem_hint=problem.hint)
    return view
