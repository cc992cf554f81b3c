"""The short run that only asks whether a demonstration helps a model: a recipe cut down to one SDFT stage.

What comes before the stage stays as it is, so that checkpoints made already are found again; the stage checks
its held-out items before its training (`core.stages.demonstration_check`), and then takes a single small step.
"""

from __future__ import annotations

from core.errors import UserError
from core.recipe.plan import sources
from core.recipe.spec import Measure, Recipe
from core.recipe.stage_specs import StageSpec
from core.recipe.training_specs import BootstrapSpec, SdftSpec, SftSpec

LEAST_ITEMS = 32
"""Items held out where the recipe holds out fewer than the check needs; the default of the stages."""
_LONGEST_NAME = 120
NAME = "Demonstrations of "


def checked_stage(recipe: Recipe, wanted: str = "") -> SdftSpec:
    """The SDFT stage that is checked: the wanted one, else the first.

    Raises:
        UserError: there is none.
    """
    found = [spec for spec in recipe.stages if isinstance(spec, SdftSpec)]
    if not found:
        raise UserError(
            "No stage learns from demonstrations shown to a teacher.", "Add an sdft stage."
        )
    return next((spec for spec in found if spec.id == wanted), found[0])


def demonstration_recipe(recipe: Recipe, wanted: str = "") -> Recipe:
    """The recipe of the check.

    Raises:
        UserError: no stage can be checked.
    """
    stage = checked_stage(recipe, wanted)
    needed = _needed(recipe, stage)
    items = stage.held_out_items if stage.held_out_items >= LEAST_ITEMS else LEAST_ITEMS
    short = stage.model_copy(
        update={
            "max_steps": 1,
            "gradient_accumulation_steps": 1,
            "held_out_items": items,
            "eval_steps": 0,
            "early_stopping_patience": None,
            "early_stopping_criterion": "loss",
            "save_steps": 0,
            "teacher_cache_steps": 0,
        }
    )
    stages: list[StageSpec] = [
        short if spec.id == stage.id else spec for spec in recipe.stages if spec.id in needed
    ]
    read_by = sources(recipe)
    # What was read implicitly is named: the stage before may be gone.
    named = [spec.model_copy(update={"from_": read_by[spec.id]}) for spec in stages]
    return recipe.model_copy(
        update={
            "name": f"{NAME}{recipe.name}"[:_LONGEST_NAME],
            "stages": named,
            "tasks": {},
            "measure": Measure(),
        }
    )


def _needed(recipe: Recipe, stage: SdftSpec) -> set[str]:
    """The stage and all that its checkpoint and its teachers come from."""
    read_by = sources(recipe)
    specs = {spec.id: spec for spec in recipe.stages}
    found: set[str] = set()
    waiting = [stage.id]
    while waiting:
        name = waiting.pop()
        spec = specs.get(name)
        if spec is None or name in found:
            continue
        found.add(name)
        waiting += [read_by[name], *_teachers(spec)]
    return found


def _teachers(spec: StageSpec) -> tuple[str, ...]:
    if isinstance(spec, SdftSpec):
        return spec.teachers
    if isinstance(spec, SftSpec | BootstrapSpec) and spec.teacher:
        return (spec.teacher,)
    return ()
