"""What decides a stage's weights, and so the name of the checkpoint it makes.

A setting that changes no weight (a name, how often something is logged or saved) is left out, so that the
same degraded model wanted twice is found; everything that enters by reference (datasets, teacher) is
replaced by the digest of its content. Settings that trade memory for time (`chunk_tokens`,
`gradient_checkpointing`) change results by rounding at most and are left out too: a run that ran out of
memory can be resumed with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.lm.checkpoint import identity_of
from core.recipe.stage_specs import CheckpointSpec
from core.recipe.training_specs import TrainSpec

_NO_WEIGHTS = {
    "id",
    "from_",
    "role",
    "save_steps",
    "logging_completions",
    "chunk_tokens",
    "gradient_checkpointing",
}
_BY_CONTENT = {
    "dataset",
    "replay",
    "teacher",
    "seed",
}  # in the inputs, as fingerprints and as the seed in force


def seed_of(spec: CheckpointSpec, recipe_seed: int) -> int:
    """The seed in force for a stage: its own, or the recipe's."""
    if isinstance(spec, TrainSpec) and spec.seed is not None:
        return spec.seed
    return recipe_seed


def inputs_of(
    spec: CheckpointSpec,
    *,
    seed: int,
    dtype: str,
    datasets: Sequence[str] = (),
    replayed: Sequence[str] = (),
    teachers: Sequence[str] = (),
) -> dict[str, Any]:
    """What goes into a stage besides its settings and the checkpoint it reads.

    Args:
        spec: the stage's settings.
        seed: the seed in force.
        dtype: the precision it computes in, for example "float32".
        datasets: fingerprints of its datasets, in order.
        replayed: fingerprints of the datasets it replays.
        teachers: identities of its teachers in order; live and ema stand for themselves.
    """
    inputs: dict[str, Any] = {"dtype": dtype}
    if isinstance(spec, TrainSpec):  # the others use neither chance nor data
        inputs |= {"seed": seed, "datasets": list(datasets)}
    if replayed:
        inputs["replayed"] = list(replayed)
    if teachers:
        inputs["teachers"] = list(teachers)
    return inputs


def stage_identity(parent: str, spec: CheckpointSpec, inputs: dict[str, Any]) -> str:
    """The identity of the checkpoint that `spec` makes from `parent`."""
    return identity_of(parent, spec.model_dump(exclude=_NO_WEIGHTS | _BY_CONTENT), inputs)
