"""Where the held-out loss was lowest, found from its curve as the training finds it (`core.stages.best_weights`)."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass

from app.viewmodels import words
from app.viewmodels.types import Series
from core.recipe.spec import Recipe
from core.recipe.training_specs import TrainSpec

HELD_OUT = "held_out_loss"


@dataclass(frozen=True)
class Best:
    """The lowest measurement of one stage; `text` says it."""

    stage: str
    step: int
    text: str


def bests(
    curves: Iterable[Series], recipe: Recipe | None, finished: Container[str]
) -> tuple[Best, ...]:
    """The lowest held-out loss of each stage.

    Args:
        curves: of the held-out loss.
        recipe: says by how much lower counts, and whether these weights are kept.
        finished: stages that are done; the weights of the others may still become better.
    """
    stages = {it.id: it for it in recipe.stages} if recipe is not None else {}
    found = []
    for curve in curves:
        spec = stages.get(curve.stage)
        trained = spec if isinstance(spec, TrainSpec) else None
        least = trained.early_stopping_threshold if trained is not None else 0.0
        step, loss = 0, float("inf")
        for x, y in zip(curve.x, curve.y, strict=True):
            if y < loss - least:
                step, loss = int(x), float(y)
        if not step:
            continue
        done = curve.stage in finished
        text = (
            f"{'best' if done else 'best so far'}: step {step}, {words.number(loss)} {curve.unit}"
        )
        if done and trained is not None and trained.load_best_model_at_end:
            text += "; these weights are kept"
        found.append(Best(curve.stage, step, text))
    return tuple(found)
