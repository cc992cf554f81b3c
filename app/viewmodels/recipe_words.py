"""What a recipe's parts come to in a few words: the grey text on stage cards, the model column of the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from app.viewmodels import words
from app.viewmodels.types import StageCard
from core.recipe.field import BASE
from core.recipe.plan import plan
from core.recipe.spec import Recipe
from core.recipe.stage_specs import STAGE_SPECS


def stage_facts(stage: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of a stage that tell it from its neighbours; `stage` may lack or misspell fields."""
    kind = stage.get("kind")
    spec = STAGE_SPECS.get(kind) if isinstance(kind, str) else None
    if spec is None:
        return ()

    def value(name: str) -> Any:
        if stage.get(name) is not None:
            return stage[name]
        field = spec.model_fields.get(name)
        return None if field is None or field.is_required() else field.default

    match kind:
        case "quantize":
            double = "double quantization" if value("use_double_quant") else ""
            return _present(value("quant_type"), double)
        case "prune":
            ratio = value("ratio")
            share = words.percent(ratio) if isinstance(ratio, int | float) else ratio
            return _present(f"{share} of the FFN", value("criterion"))
        case "sft" | "sdft" | "bootstrap":
            by = "rewritten by" if kind == "sft" else "teacher"
            names = _names(value("teacher"))
            teacher = f"{by} {names}" if names else ""
            steps, epochs = value("max_steps"), value("num_train_epochs")
            length = f"{steps} steps" if steps is not None else f"{epochs} epochs"
            method = f"LoRA {value('lora_r')}" if value("method") == "lora" else "all weights"
            return _present(teacher, length, method)
        case "evaluate":
            tasks = value("tasks")
            scored = tasks if isinstance(tasks, list) else []
            return _present(" · ".join(words.plain(str(task)) for task in scored))
        case "cka":
            return _present(f"against {value('reference')}", f"probe {value('probe')}")
    return ()


def base_facts(base: Mapping[str, Any]) -> tuple[str, ...]:
    """The model's name and the precision asked for; `base` may be incomplete."""
    given = next((base[key] for key in ("name", "folder", "hub", "gguf") if base.get(key)), "")
    dtype = base.get("dtype", "auto")
    return _present(short_model(str(given)), "" if dtype == "auto" else dtype)


def short_model(label: str) -> str:
    """The last part of a hub id or path: what people call the model."""
    return label.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def run_facts(recipe: Recipe) -> tuple[str, ...]:
    """Seed, teachers, device and protocols: what must be known to read a run's numbers."""
    taught = (_names(getattr(stage, "teacher", None)) for stage in recipe.stages)
    named = ", ".join(dict.fromkeys(filter(None, taught)))
    scorers = dict.fromkeys(
        words.SCORER.get(recipe.tasks[task].scorer, recipe.tasks[task].scorer)
        for task in recipe.measure.tasks
        if task in recipe.tasks
    )
    return _present(
        f"seed {recipe.seed}",
        f"teacher {named}" if named else "",
        ", ".join(scorers),
    )


def datasets(recipe: Recipe, stages: Sequence[str]) -> str:
    """Names of the datasets on which these stages train, "" for none."""
    found = (
        name for it in recipe.stages if it.id in stages for name in getattr(it, "datasets", ())
    )
    return ", ".join(dict.fromkeys(found))


def chain(recipe: Recipe) -> str:
    """ "quantize → sdft": the kinds of the stages that make checkpoints, in order."""
    kinds = [stage.kind for stage in recipe.stages if stage.kind not in ("evaluate", "cka")]
    return " → ".join(kinds) or "measure"


def seed(recipe: Recipe, stages: Sequence[str]) -> int:
    """The seed of these stages: one's own where it has one, else the recipe's."""
    own = [getattr(it, "seed", None) for it in recipe.stages if it.id in stages]
    return own[0] if len(own) == 1 and own[0] is not None else recipe.seed


def _names(teachers: Any) -> str:
    """One teacher, or several; "" for nobody."""
    return " + ".join(map(str, teachers)) if isinstance(teachers, list) else str(teachers or "")


def _present(*parts: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in parts if part not in ("", None))


def recipe_of(text: str) -> Recipe | None:
    """The recipe of a run; None for one that another version wrote, which is shown without its settings."""
    try:
        return Recipe.model_validate_json(text)
    except ValidationError:
        return None


def facts_by_stage(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """`stage_facts` and `base_facts` of a whole recipe, by stage id."""
    facts = {BASE: base_facts(recipe.base.model_dump())}
    for name, model in recipe.models.items():
        facts[name] = base_facts(model.model_dump())
    for stage in recipe.stages:
        facts[stage.id] = stage_facts(stage.model_dump())
    return facts


def cards(recipe: Recipe) -> tuple[StageCard, ...]:
    """The stage strip of a run whose worker has not planned yet: everything waits."""
    facts = facts_by_stage(recipe)
    return tuple(
        StageCard(
            step.id,
            step.kind,
            step.role or "",
            "waiting",
            step.id,
            headline=" · ".join(facts.get(step.id, ())),
            fraction=0.0,
            source=step.source,
        )
        for step in plan(recipe)
        if not step.implied
    )


def edited_cards(
    base: Any,
    stages: Sequence[Mapping[str, Any]],
    problems: Mapping[str, int],
    models: Mapping[str, str],
) -> tuple[StageCard, ...]:
    """The cards of a recipe being edited, whose data may be incomplete or wrong.

    Args:
        base: data of the base model.
        stages: data of the stages.
        problems: number of problems by card: "base" or the stage's index.
        models: further models and what they are, by name; they stand on the base's card.
    """
    first = base if isinstance(base, Mapping) else {}
    others = (f"{name}: {model}" for name, model in models.items())
    cards = [
        StageCard(
            BASE,
            BASE,
            "base",
            "",
            BASE,
            headline=" · ".join((*base_facts(first), *others)),
            problems=problems.get(BASE, 0),
        )
    ]
    nearest = BASE
    for index, stage in enumerate(stages):
        kind, name = str(stage.get("kind", "")), str(stage.get("id", f"stage {index + 1}"))
        measures = kind in ("evaluate", "cka")
        cards.append(
            StageCard(
                name,
                kind,
                "" if measures else role_of(stage),
                "",
                name,
                headline=" · ".join(stage_facts(stage)),
                source=str(stage.get("from") or nearest),
                problems=problems.get(str(index), 0),
            )
        )
        nearest = nearest if measures else name
    return tuple(cards)


def role_of(stage: Mapping[str, Any]) -> str:
    """The role of the checkpoint that a stage of raw data makes; "" for a measurement."""
    if stage.get("role"):
        return str(stage["role"])
    spec = STAGE_SPECS.get(str(stage.get("kind")))
    field = spec.model_fields.get("role") if spec is not None else None
    return str(field.default) if field is not None else ""
