"""Nonsense in any field of a recipe is a problem in words, whatever panel is looked at: nothing in the window breaks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.dialogs import Dialogs
from app.views.new_run_page import NewRunPage
from app.widgets.theme import Theme
from core.recipe.stage_specs import STAGE_SPECS

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
NONSENSE: tuple[Any, ...] = (
    "eight",
    -3,
    1e400,
    [],
    ["a", {"b": 1}],
    {"a": {"b": [1]}},
    True,
    "2026-11-24",
    "",
)
RECIPE: dict[str, Any] = {
    "schema": 1,
    "name": "nonsense",
    "base": {"name": "rekindle-1m"},
    "seed": 1,
    "datasets": {"facts": {"demo": "science", "config": "known-own", "split": "train", "limit": 5}},
    "tasks": {"facts": {"scorer": "science_exact_v1", "dataset": "facts", "max_new_tokens": 8}},
    "stages": [],
    "measure": {"tasks": ["facts"], "cka": {"reference": "base", "probe": "facts"}},
}
PANELS = ("yaml", "problems", "teacher", "estimate", "sweep", "check", "command")


@pytest.fixture
def page(application: Application, theme: Theme, qtbot: QtBot) -> NewRunPage:
    made = NewRunPage(application, Settings(), theme, Dialogs())
    qtbot.addWidget(made)
    made.resize(1104, 736)
    made.show()
    qtbot.waitExposed(made)
    return made


def recipe_of(kind: str) -> dict[str, Any]:
    stage: dict[str, Any] = {"id": "it", "kind": kind}
    if kind in ("sdft", "sft", "bootstrap"):
        stage["dataset"] = "facts"
    if kind == "bootstrap":
        stage["teacher"] = "base"
    return {**RECIPE, "stages": [stage]}


def nested(value: Any, path: str = "") -> Iterator[str]:
    """The paths of everything a recipe holds."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, it in items:
        here = f"{path}.{key}" if path else str(key)
        yield here
        if isinstance(it, dict | list):
            yield from nested(it, here)


def with_value(recipe: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the recipe with something else at one place."""
    made = copy.deepcopy(recipe)
    *way, last = path.split(".")
    place: Any = made
    for key in way:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value
    return made


@pytest.mark.slow
@pytest.mark.parametrize("kind", STAGE_SPECS)
def test_that_nonsense_in_any_field_is_a_problem_and_breaks_nothing(
    kind: str, page: NewRunPage, application: Application, qtbot: QtBot
) -> None:
    recipe = recipe_of(kind)
    model = application.new_run
    fields = [f"stages.0.{name}" for name in STAGE_SPECS[kind].model_fields]
    paths = list(dict.fromkeys((*nested(recipe), *fields)))
    said = 0
    for number, path in enumerate(paths):
        model.load_recipe(yaml.safe_dump(recipe))
        model.select("0" if path.startswith("stages") else "datasets")
        page.sides.choose(PANELS[number % len(PANELS)])
        for value in NONSENSE:
            model.set_text(yaml.safe_dump(with_value(recipe, path, value), sort_keys=False))
            page.refresh_now()
            said += bool(model.problems())
        qtbot.wait(1)
    assert said > len(paths)
