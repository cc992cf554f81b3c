"""The plan of a recipe: every step in the order of execution, with the measurements it implies.

`measure` in a recipe asks for tasks and CKA on every checkpoint without stages of their own; here they
become steps like any other, so that runner, log and window need no second notion. The plan is pure: it
neither checks the recipe (`core.recipe.validate` does) nor knows what already exists on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.events import PlannedStage, Role
from core.recipe.field import BASE
from core.recipe.sources import Task
from core.recipe.spec import Recipe
from core.recipe.stage_specs import CheckpointSpec, CkaSettings, CkaSpec, EvaluateSpec, StageSpec

MODEL = "model"
"""Kind of the step that registers a further model of the recipe."""


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        id: the stage's id, "base", or `<source>.<kind>` for an implied measurement.
        kind: stage kind, "base", or "model" for a further model.
        spec: the settings; None for the base and further models.
        source: id of the checkpoint maker whose checkpoint is read; None for these.
        role: of the checkpoint it makes; None for a measurement.
        implied: True for a measurement that `measure` asks for.
    """

    id: str
    kind: str
    spec: StageSpec | None
    source: str | None
    role: Role | None
    implied: bool = False

    @property
    def makes_checkpoint(self) -> bool:
        """Whether the step makes a checkpoint (a measurement passes on the one it read)."""
        return self.role is not None

    @property
    def planned(self) -> PlannedStage:
        """The step as the log tells it."""
        return PlannedStage(
            id=self.id, kind=self.kind, source=self.source, role=self.role, implied=self.implied
        )


def sources(recipe: Recipe) -> dict[str, str]:
    """For each stage id, the id of the stage whose checkpoint it reads.

    A stage without `from` reads the nearest earlier stage that makes a checkpoint, or the base:
    measuring stages hand on what they read.
    """
    nearest, result = BASE, {}
    for spec in recipe.stages:
        result[spec.id] = spec.from_ or nearest
        if isinstance(spec, CheckpointSpec):
            nearest = spec.id
    return result


def plan(recipe: Recipe) -> list[Step]:
    """All steps of `recipe`: the base, its stages, and after each checkpoint its implied measurements.

    CKA needs its reference: checkpoints made earlier than the reference are compared right after it has
    been made, in their own order. The reference is not compared with itself.
    """
    read_by = sources(recipe)
    steps: list[Step] = []
    waiting: list[str] = []
    reference_exists = False

    def made(step: Step, *, compared: bool = True) -> None:
        nonlocal reference_exists
        steps.append(step)
        if recipe.measure.tasks:
            steps.append(_implied(step.id, "evaluate", _evaluate_spec(recipe)))
        if recipe.measure.cka is None or not compared:  # layers of another network are no pairs
            return
        if step.id == recipe.measure.cka.reference:
            reference_exists = True
        else:
            waiting.append(step.id)
        if reference_exists:
            steps.extend(_implied(subject, "cka", _cka_spec(recipe)) for subject in waiting)
            waiting.clear()

    made(Step(BASE, BASE, None, None, "base"))
    for name in recipe.models:
        made(Step(name, MODEL, None, None, "expert"), compared=False)
    for spec in recipe.stages:
        if isinstance(spec, CheckpointSpec):
            made(Step(spec.id, spec.kind, spec, read_by[spec.id], spec.role))
        else:
            steps.append(Step(spec.id, spec.kind, spec, read_by[spec.id], None))
    return steps


def scored_tasks(recipe: Recipe) -> dict[str, Task]:
    """The tasks that the run scores on some checkpoint, by name; what is only declared is left out."""
    names = dict.fromkeys(
        name
        for step in plan(recipe)
        if isinstance(step.spec, EvaluateSpec)
        for name in step.spec.tasks
    )
    return {name: recipe.tasks[name] for name in names if name in recipe.tasks}


MakeSpec = Callable[[str, str], StageSpec]


def _implied(subject: str, kind: str, make: MakeSpec) -> Step:
    step_id = f"{subject}.{kind}"
    return Step(step_id, kind, make(step_id, subject), subject, None, implied=True)


def _evaluate_spec(recipe: Recipe) -> MakeSpec:
    # model_construct: the id of an implied step has a dot, which people cannot write.
    return lambda step_id, subject: EvaluateSpec.model_construct(
        id=step_id, from_=subject, tasks=list(recipe.measure.tasks)
    )


def _cka_spec(recipe: Recipe) -> MakeSpec:
    settings = recipe.measure.cka
    values = {name: getattr(settings, name) for name in CkaSettings.model_fields}
    return lambda step_id, subject: CkaSpec.model_construct(id=step_id, from_=subject, **values)
