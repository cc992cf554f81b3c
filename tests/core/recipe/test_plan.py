"""The plan: order, sources, and the measurements that a recipe implies."""

from typing import Any

from core.recipe.plan import plan, scored_tasks, sources
from core.recipe.spec import Recipe
from core.recipe.stage_specs import CkaSpec, EvaluateSpec


def recipe(stages: list[dict[str, Any]], measure: dict[str, Any] | None = None) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "a recipe",
            "base": {"name": "tiny"},
            "datasets": {"science": {"file": "science.jsonl"}},
            "tasks": {"science": {"scorer": "science_exact_v1", "dataset": "science"}},
            "stages": stages,
            "measure": measure or {},
        }
    )


QUANTIZE = {"id": "nf4", "kind": "quantize"}
SDFT = {"id": "back", "kind": "sdft", "dataset": "science"}
EVALUATE = {"id": "look", "kind": "evaluate", "tasks": ["science"]}


def ids(it: Recipe) -> list[str]:
    return [step.id for step in plan(it)]


def test_that_a_recipe_without_measurements_is_its_base_and_its_stages() -> None:
    steps = plan(recipe([QUANTIZE, SDFT]))
    assert [(s.id, s.kind, s.source, s.role) for s in steps] == [
        ("base", "base", None, "base"),
        ("nf4", "quantize", "base", "degraded"),
        ("back", "sdft", "nf4", "recovered"),
    ]
    assert not any(step.implied for step in steps)


def test_that_a_stage_reads_the_nearest_earlier_checkpoint_and_measurements_pass_it_on() -> None:
    branch = {**SDFT, "id": "again", "from": "nf4"}
    after = {**EVALUATE, "id": "later"}
    it = recipe([EVALUATE, QUANTIZE, {**EVALUATE, "id": "second"}, SDFT, branch, after])
    assert sources(it) == {
        "look": "base",
        "nf4": "base",
        "second": "nf4",
        "back": "nf4",
        "again": "nf4",
        "later": "again",
    }


def test_that_measured_tasks_follow_every_checkpoint_but_no_measurement() -> None:
    it = recipe([QUANTIZE, EVALUATE], {"tasks": ["science"]})
    assert ids(it) == ["base", "base.evaluate", "nf4", "nf4.evaluate", "look"]
    implied = plan(it)[3]
    assert implied.implied
    assert implied.source == "nf4"
    assert implied.role is None
    assert isinstance(implied.spec, EvaluateSpec)
    assert implied.spec.tasks == ["science"]


def test_that_cka_with_the_base_as_reference_skips_the_base_itself() -> None:
    it = recipe([QUANTIZE, SDFT], {"cka": {"probe": "science", "samples": 7, "layout": "diagonal"}})
    assert ids(it) == ["base", "nf4", "nf4.cka", "back", "back.cka"]
    spec = plan(it)[2].spec
    assert isinstance(spec, CkaSpec)
    assert (spec.reference, spec.samples, spec.layout, spec.from_) == ("base", 7, "diagonal", "nf4")


def test_that_checkpoints_older_than_the_reference_are_compared_right_after_it() -> None:
    expert = {"id": "expert", "kind": "sft", "dataset": "science", "role": "expert"}
    measure = {"tasks": ["science"], "cka": {"probe": "science", "reference": "expert"}}
    assert ids(recipe([QUANTIZE, {**expert, "from": "base"}, SDFT], measure)) == [
        "base",
        "base.evaluate",
        "nf4",
        "nf4.evaluate",
        "expert",
        "expert.evaluate",
        "base.cka",
        "nf4.cka",
        "back",
        "back.evaluate",
        "back.cka",
    ]


def test_that_the_log_is_told_the_plan_as_it_is() -> None:
    told = plan(recipe([QUANTIZE], {"tasks": ["science"]}))[3].planned
    assert told.model_dump() == {
        "id": "nf4.evaluate",
        "kind": "evaluate",
        "source": "nf4",
        "role": None,
        "implied": True,
    }


def test_that_further_models_come_after_the_base_are_scored_and_not_compared() -> None:
    it = recipe([{**SDFT, "teacher": "big"}], {"tasks": ["science"], "cka": {"probe": "science"}})
    steps = plan(it.model_copy(update={"models": {"big": it.base}}))
    assert [step.id for step in steps] == [
        "base",
        "base.evaluate",
        "big",
        "big.evaluate",
        "back",
        "back.evaluate",
        "back.cka",
    ]
    assert (steps[2].kind, steps[2].source, steps[2].role) == ("model", None, "expert")
    assert steps[2].makes_checkpoint


def test_that_only_tasks_that_some_checkpoint_is_scored_by_are_named() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "base": {"name": "rekindle-1m"},
            "datasets": {"d": {"file": "d.jsonl"}},
            "tasks": {
                name: {"scorer": "science_exact_v1", "dataset": "d"}
                for name in ("always", "once", "never")
            },
            "stages": [{"id": "look", "kind": "evaluate", "tasks": ["once"]}],
            "measure": {"tasks": ["always"]},
        }
    )
    assert scored_tasks(recipe) == {name: recipe.tasks[name] for name in ("always", "once")}
