from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UserError
from core.recipe.checking import LEAST_ITEMS, checked_stage, demonstration_recipe
from core.recipe.files import load
from core.recipe.spec import Recipe
from core.recipe.training_specs import SdftSpec
from core.recipe.validate import check

RECIPES = Path(__file__).parents[3] / "resources" / "recipes"


def _recipe(name: str) -> Recipe:
    return load(RECIPES / f"{name}.yaml")


def test_that_the_check_keeps_what_the_stage_comes_from_and_drops_the_rest() -> None:
    short = demonstration_recipe(_recipe("two_stage"), "two_stage")
    assert [spec.id for spec in short.stages] == ["small", "bootstrapped", "two_stage"]
    assert [spec.from_ for spec in short.stages] == ["base", "small", "bootstrapped"]
    assert (short.tasks, short.measure.tasks, short.measure.cka) == ({}, [], None)
    assert check(short) == []


def test_that_teachers_are_kept_although_the_stage_does_not_read_them() -> None:
    short = demonstration_recipe(_recipe("forgetting"), "by_expert")
    assert [spec.id for spec in short.stages] == ["expert", "forgot", "by_expert"]


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda it: it.stem)
def test_that_the_check_of_every_shipped_recipe_is_a_recipe(path: Path) -> None:
    recipe = load(path)
    for spec in recipe.stages:
        if isinstance(spec, SdftSpec):
            short = demonstration_recipe(recipe, spec.id)
            assert check(short) == []
            stage = checked_stage(short, spec.id)
            assert (stage.id, stage.max_steps, stage.eval_steps) == (spec.id, 1, 0)
            assert stage.held_out_items >= LEAST_ITEMS


def test_that_stages_before_it_stay_as_they_are_so_that_their_checkpoints_are_found() -> None:
    recipe = _recipe("two_stage")
    short = demonstration_recipe(recipe, "two_stage")
    before = {spec.id: spec for spec in recipe.stages}
    for spec in short.stages[:-1]:
        assert spec.model_copy(update={"from_": before[spec.id].from_}) == before[spec.id]


def test_that_a_recipe_without_sdft_has_nothing_to_check() -> None:
    with pytest.raises(UserError, match="Add an sdft stage"):
        demonstration_recipe(_recipe("benchmarks"))


def test_that_the_check_neither_stops_early_nor_saves_nor_scores_ahead() -> None:
    recipe = _recipe("two_stage")
    telling = {
        "eval_steps": 5,
        "early_stopping_patience": 2,
        "save_steps": 5,
        "teacher_cache_steps": 4,
        "max_steps": 50,
        "gradient_accumulation_steps": 8,
    }
    stages = [
        it.model_copy(update=telling) if isinstance(it, SdftSpec) else it for it in recipe.stages
    ]
    short = demonstration_recipe(recipe.model_copy(update={"stages": stages}), "two_stage")
    (stage,) = [it for it in short.stages if it.id == "two_stage"]
    found = {name: getattr(stage, name) for name in telling}
    assert found == {
        "eval_steps": 0,
        "early_stopping_patience": None,
        "save_steps": 0,
        "teacher_cache_steps": 0,
        "max_steps": 1,
        "gradient_accumulation_steps": 1,
    }
