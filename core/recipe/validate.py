"""What is wrong with a recipe, in sentences for the person who wrote it.

`parse` looks at types and limits, `check` at the graph, `check_files` at the disk; each problem names
the field it belongs to (`stages.2.teacher`) so that a form can show it there. Nothing here loads a model
or reads a dataset: what only their content can tell, the stages say.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.recipe.check_task import check_task
from core.recipe.check_training import check_distillation
from core.recipe.field import BASE, FOLLOWING
from core.recipe.messages import Problem, explain
from core.recipe.plan import sources
from core.recipe.spec import SCHEMA, Recipe
from core.recipe.stage_specs import (
    CheckpointSpec,
    CkaSettings,
    CkaSpec,
    EvaluateSpec,
    PruneSpec,
    QuantizeSpec,
    StageSpec,
)
from core.recipe.training_specs import BootstrapSpec, SdftSpec, SftSpec, TrainSpec

WHERE: Mapping[str, str] = {
    "tooluse": "It comes with the public code of the SDFT paper (arXiv 2601.19897). ",
    "sciknoweval": "Its items are those of SciKnowEval (hicai-zju/SciKnowEval on the hub). ",
}
"""Where the files of a format come from that is always that of one dataset."""

__all__ = ["Problem", "check", "check_files", "parse"]


def parse(raw: Any) -> tuple[Recipe | None, list[Problem]]:
    """The recipe in `raw` (plain data as read from YAML or JSON), or what keeps it from being one."""
    if not isinstance(raw, Mapping):
        return None, [
            Problem(
                "",
                "This is no recipe: it has no fields.",
                "A recipe is a mapping that starts with name, base and stages.",
            )
        ]
    version = raw.get("schema", SCHEMA)
    if isinstance(version, int) and version > SCHEMA:
        return None, [
            Problem(
                "schema",
                f"This recipe has format {version}; this version of Rekindle reads up to {SCHEMA}.",
                "Install a newer version of Rekindle.",
            )
        ]
    try:
        return Recipe.model_validate(raw), []
    except ValidationError as error:
        return None, explain(error, raw)


def check(recipe: Recipe) -> list[Problem]:
    """What is wrong with the graph: names that lead nowhere, and stages that cannot follow each other."""
    problems = [*_check_names(recipe), *_check_measure(recipe)]
    earlier: dict[str, StageSpec | None] = {BASE: None}
    models: dict[str, StageSpec | None] = dict.fromkeys(recipe.models)
    read_by = sources(recipe)
    for index, spec in enumerate(recipe.stages):
        path = f"stages.{index}"
        problems += _check_links(path, spec, earlier, models)
        problems += _check_stage(path, spec, recipe)
        problems += check_distillation(path, spec)
        problems += _check_order(path, spec, _lineage(read_by[spec.id], recipe, index))
        earlier.setdefault(spec.id, spec)
    if not recipe.stages and not recipe.measure.tasks and recipe.measure.cka is None:
        problems.append(
            Problem("stages", "There is nothing to do.", "Add a stage, or a task under measure.")
        )
    return problems


def check_files(recipe: Recipe, root: Path) -> list[Problem]:
    """Files and folders that the recipe names and that are not there; relative ones belong to `root`."""
    problems = []
    models = {"base": recipe.base, **{f"models.{name}": it for name, it in recipe.models.items()}}
    for (place, model), field in itertools.product(models.items(), ("folder", "gguf")):
        given = getattr(model, field)
        if given and not (root / Path(given).expanduser()).exists():
            problems.append(
                Problem(
                    f"{place}.{field}",
                    f"There is no {'folder' if field == 'folder' else 'file'} {given}.",
                    "Give the full path of the model, or name a model that ships with Rekindle.",
                )
            )
    for name, task in recipe.tasks.items():
        if task.include_path and not (root / Path(task.include_path).expanduser()).is_dir():
            problems.append(
                Problem(
                    f"tasks.{name}.include_path",
                    f"There is no folder {task.include_path}.",
                    "Give the full path of the folder with the task's YAML file.",
                )
            )
    for name, source in recipe.datasets.items():
        if source.file and not (root / Path(source.file).expanduser()).exists():
            problems.append(
                Problem(
                    f"datasets.{name}.file",
                    f"There is no file or folder {source.file}.",
                    f"{WHERE.get(source.format, '')}Give its path, for example with "
                    f"--set datasets.{name}.file=PATH.",
                )
            )
    return problems


def _check_names(recipe: Recipe) -> Iterator[Problem]:
    taken = {BASE: "the base model", **FOLLOWING}
    for name in recipe.models:
        if name in taken:
            yield Problem(
                f"models.{name}",
                f"The name {name} is taken by {taken[name]}.",
                "Give this model another name.",
            )
    taken |= {name: f"the model {name}" for name in recipe.models if name not in taken}
    for index, spec in enumerate(recipe.stages):
        path = f"stages.{index}.id"
        if spec.id in taken:
            yield Problem(
                path,
                f"The id {spec.id} is taken by {taken[spec.id]}.",
                "Give this stage another id.",
            )
        taken.setdefault(spec.id, f"stage {index + 1}")
    for name, task in recipe.tasks.items():
        yield from check_task(f"tasks.{name}", task)
        for field in ("dataset", "fewshot_dataset"):
            given = getattr(task, field)
            if given is not None:
                yield from _known(f"tasks.{name}.{field}", given, recipe.datasets, "dataset")


def _check_measure(recipe: Recipe) -> Iterator[Problem]:
    for index, task in enumerate(recipe.measure.tasks):
        yield from _known(f"measure.tasks.{index}", task, recipe.tasks, "task")
    cka = recipe.measure.cka
    if cka is None:
        return
    yield from _known("measure.cka.probe", cka.probe, recipe.datasets, "dataset")
    yield from _check_disjoint("measure.cka.probe", cka, recipe)
    makers = [BASE, *(spec.id for spec in recipe.stages if isinstance(spec, CheckpointSpec))]
    yield from _known("measure.cka.reference", cka.reference, makers, "checkpoint")


def _check_disjoint(path: str, settings: CkaSettings, recipe: Recipe) -> Iterator[Problem]:
    """A probe that a task scores as a whole leaves no item; parts and copies only their content can tell."""
    if not settings.disjoint:
        return
    for name, task in recipe.tasks.items():
        if task.dataset == settings.probe and task.limit is None:
            yield Problem(
                path,
                f"Task {name} scores every item of {settings.probe}, which leaves none for the probe.",
                "Choose a dataset that no task scores, or set disjoint to false.",
            )


def _check_links(
    path: str,
    spec: StageSpec,
    earlier: Mapping[str, StageSpec | None],
    models: Mapping[str, StageSpec | None],
) -> Iterator[Problem]:
    """Links to checkpoints: `from` and `reference` to stages, teachers to models too."""
    stages = [name for name, it in earlier.items() if it is None or isinstance(it, CheckpointSpec)]
    yield from _linked(f"{path}.from", spec.from_, spec, stages, earlier)
    if isinstance(spec, CkaSpec):
        yield from _linked(f"{path}.reference", spec.reference, spec, stages, earlier)
    if isinstance(spec, SftSpec | BootstrapSpec):
        teachers = [*stages, *models]
        yield from _linked(f"{path}.teacher", spec.teacher, spec, teachers, earlier)
    if isinstance(spec, SdftSpec):
        for index, name in enumerate(spec.teachers):
            field = f"{path}.teacher" + ("" if isinstance(spec.teacher, str) else f".{index}")
            yield from _linked(field, name, spec, [*stages, *models, *FOLLOWING], earlier)


def _linked(
    field: str,
    target: str | None,
    spec: StageSpec,
    choices: Sequence[str],
    earlier: Mapping[str, StageSpec | None],
) -> Iterator[Problem]:
    if target is None or target in choices:
        return
    if target in FOLLOWING:
        message = (
            f"{target} is {FOLLOWING[target]}, who cannot teach in a stage of kind {spec.kind}."
        )
    elif target in earlier:
        message = f"{target} only measures: it makes no checkpoint."
    elif target == spec.id:
        message = "A stage cannot name itself."
    else:
        message = f"No earlier stage is called {target}."
    yield Problem(field, message, f"Choose one of {_listed(choices)}.")


def _check_stage(path: str, spec: StageSpec, recipe: Recipe) -> Iterator[Problem]:
    if isinstance(spec, TrainSpec):
        if not spec.datasets:
            yield Problem(
                f"{path}.dataset", "There is nothing to train on.", "Name at least one dataset."
            )
        yield from _datasets(f"{path}.dataset", spec.dataset, recipe)
    if isinstance(spec, SftSpec):
        yield from _datasets(f"{path}.replay", spec.replay, recipe)
    if isinstance(spec, EvaluateSpec):
        for index, task in enumerate(spec.tasks):
            yield from _known(f"{path}.tasks.{index}", task, recipe.tasks, "task")
    if isinstance(spec, CkaSpec):
        yield from _known(f"{path}.probe", spec.probe, recipe.datasets, "dataset")
        yield from _check_disjoint(f"{path}.probe", spec, recipe)


def _datasets(path: str, names: str | list[str], recipe: Recipe) -> Iterator[Problem]:
    for index, name in enumerate([names] if isinstance(names, str) else names):
        field = path if isinstance(names, str) else f"{path}.{index}"
        yield from _known(field, name, recipe.datasets, "dataset")


def _check_order(path: str, spec: StageSpec, lineage: Sequence[StageSpec]) -> Iterator[Problem]:
    quantized = next((it.id for it in lineage if isinstance(it, QuantizeSpec)), None)
    if quantized is None:
        return
    if isinstance(spec, QuantizeSpec):
        yield Problem(
            f"{path}.from",
            f"{quantized} has quantized these weights already.",
            "Quantize a checkpoint that is not quantized, for example base.",
        )
    elif isinstance(spec, PruneSpec):
        yield Problem(
            f"{path}.from",
            f"The weights are packed by {quantized}, and packed weights cannot be sliced.",
            "Prune first and quantize afterwards.",
        )
    elif isinstance(spec, TrainSpec) and spec.method == "full":
        yield Problem(
            f"{path}.method",
            f"The weights are packed by {quantized}, and packed weights cannot be trained.",
            "Train a LoRA adapter on them: set method to lora.",
        )


def _lineage(start: str, recipe: Recipe, before: int) -> list[StageSpec]:
    """The makers from `start` up to the base, looking at the first `before` stages only."""
    read_by = sources(recipe)
    makers = {it.id: it for it in recipe.stages[:before] if isinstance(it, CheckpointSpec)}
    found: list[StageSpec] = []
    while start in makers:
        spec = makers.pop(start)  # popped: ids that occur twice cannot make a circle
        found.append(spec)
        start = read_by[spec.id]
    return found


def _known(path: str, name: str, names: Iterable[str], what: str) -> Iterator[Problem]:
    known = list(names)
    if name in known:
        return
    if not known:
        hint = f"Add it under {what}s."
    elif close := difflib.get_close_matches(name, known, n=1):
        hint = f"Did you mean {close[0]}?"
    else:
        hint = f"Choose one of {_listed(known)}."
    yield Problem(path, f"There is no {what} called {name}.", hint)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
