"""What names a checkpoint, and what does not."""

from typing import Any

import pytest

from core.engine.identity import inputs_of, seed_of, stage_identity
from core.recipe.stage_specs import PruneSpec, QuantizeSpec
from core.recipe.training_specs import SdftSpec, SftSpec


def identity(parent: str = "p", teacher_is: str = "t", data: str = "d", **fields: Any) -> str:
    spec = SdftSpec.model_validate({"id": "back", "dataset": "science", **fields})
    inputs = inputs_of(
        spec, seed=seed_of(spec, 42), dtype="float32", datasets=[data], teachers=[teacher_is]
    )
    return stage_identity(parent, spec, inputs)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"from": "nf4"},
        {"role": "degraded"},
        {"dataset": "renamed"},
        {"teacher": "renamed"},
        {"save_steps": 7},
        {"logging_completions": 9},
        {"chunk_tokens": 8},
        {"gradient_checkpointing": True},
        {"seed": 42},
    ],
)
def test_that_names_and_habits_do_not_decide_weights(change: dict[str, Any]) -> None:
    assert identity(**change) == identity()


@pytest.mark.parametrize(
    "change",
    [
        {"parent": "q"},
        {"teacher_is": "other identity"},
        {"data": "other content"},
        {"seed": 1},
        {"learning_rate": 2e-4},
        {"max_steps": 3},
        {"lora_r": 8},
        {"temperature": 0.7},
        {"num_loss_tokens_to_skip": 0},
        {"max_completion_length": 9},
    ],
)
def test_that_everything_that_decides_weights_decides_the_identity(change: dict[str, Any]) -> None:
    assert identity(**change) != identity()


def test_that_chance_does_not_name_what_uses_none() -> None:
    for spec in (QuantizeSpec(id="q"), PruneSpec(id="c")):
        one, two = (inputs_of(spec, seed=seed, dtype="float32") for seed in (1, 2))
        assert stage_identity("p", spec, one) == stage_identity("p", spec, two)


def test_that_precision_names_a_checkpoint() -> None:
    spec = QuantizeSpec(id="q")
    one, two = (inputs_of(spec, seed=1, dtype=dtype) for dtype in ("float32", "bfloat16"))
    assert stage_identity("p", spec, one) != stage_identity("p", spec, two)


def test_that_kinds_with_equal_settings_differ() -> None:
    sft = SftSpec(id="a", dataset="d")
    inputs = inputs_of(sft, seed=1, dtype="float32", datasets=["d"])
    sdft = SdftSpec(id="a", dataset="d")
    assert stage_identity("p", sft, inputs) != stage_identity("p", sdft, inputs)


def test_that_the_order_of_datasets_matters() -> None:
    spec = SftSpec(id="a", dataset=["x", "y"])
    one, two = (inputs_of(spec, seed=1, dtype="float32", datasets=order) for order in ("xy", "yx"))
    assert stage_identity("p", spec, one) != stage_identity("p", spec, two)
