"""NF4 and SDFT on a CUDA device: packed, opened and trained there, and compared with the CPU.

Each test runs on the CPU too, which shows that the test itself is sound where there is no GPU.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.events import CheckpointSaved, CompletionSampled, Metrics
from core.lm.checkpoint import Checkpoint, read_manifest
from core.lm.device import Compute, choose
from core.lm.load import load_model
from core.recipe.stage_specs import QuantizeSpec
from core.recipe.training_specs import SdftSpec
from core.stages import quantize, sdft
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32
from tests.helpers.training import stand

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

DEVICES = ["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)]
FIRST_LOSS = 1e-3
"""Relative tolerance of the first step's loss: float32 on both sides, so only the order of sums differs."""


def nf4(place: Stand, compute: Compute) -> Checkpoint:
    """The base, quantized on the device."""
    spec = QuantizeSpec(id="nf4")
    made = quantize.run(
        spec, place.checkpoints["base"], replace(place.context("nf4"), compute=compute)
    )
    place.checkpoints["nf4"] = made
    return made


def recover(place: Stand, compute: Compute, name: str, **changes: Any) -> Checkpoint:
    """Two steps of SDFT from the quantized student, with the base as teacher."""
    settings: dict[str, Any] = {
        "id": name,
        "dataset": "weather",
        "teacher": "base",
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 8,
        "learning_rate": 0.005,
        "lora_r": 8,
        "lora_alpha": 16,
        "chunk_tokens": 7,
        "logging_completions": 1,
    }
    context = replace(place.context(name, "nf4"), compute=compute)
    return sdft.run(SdftSpec(**{**settings, **changes}), place.checkpoints["nf4"], context)


def losses(place: Stand, stage: str) -> list[float]:
    return [it.values["loss"] for it in place.of(Metrics) if it.stage == stage]


@pytest.mark.parametrize("device", DEVICES)
def test_that_a_quantized_student_is_recovered_on_the_device_as_on_the_cpu(
    tmp_path: Path, device: str
) -> None:
    place, compute = stand(tmp_path), choose(device, "float32")
    nf4(place, compute)
    made = recover(place, compute, "there")
    recover(place, CPU32, "here")

    there, here = losses(place, "there"), losses(place, "here")
    assert len(there) == len(here) == 2
    assert all(math.isfinite(loss) and loss > 0 for loss in there)
    assert there[0] == pytest.approx(here[0], rel=FIRST_LOSS)
    sampled = {
        it.stage: it.tokens for it in place.of(CompletionSampled) if it.step == 1
    }  # uniforms come from the CPU, so the same tokens are drawn
    assert sampled["there"] == sampled["here"]

    assert (made.facts["teachers"][0]["name"], made.facts["teachers"][0]["network"]) == (
        "base",
        "own",
    )
    assert read_manifest(made.path) == made
    assert [it.stage for it in place.of(CheckpointSaved) if it.final] == ["nf4", "there", "here"]


@pytest.mark.parametrize("dtype", ["auto", "bfloat16", "float16"])
@pytest.mark.parametrize("device", DEVICES)
def test_that_the_adapter_trained_on_the_device_is_saved_in_float32_and_opens_again(
    tmp_path: Path, device: str, dtype: Any
) -> None:
    place, compute = stand(tmp_path), choose(device, dtype)
    nf4(place, compute)
    made = recover(place, compute, "made")
    found = losses(place, "made")
    assert len(found) == 2
    assert all(math.isfinite(loss) for loss in found)

    opened = load_model(made, compute)
    assert opened.device == compute.device
    trained = {name: it for name, it in opened.named_parameters() if "lora_B" in name}
    assert trained
    assert all(bool(torch.isfinite(it).all()) for it in trained.values())
    assert any(bool(it.abs().max() > 0) for it in trained.values())
    saved = load_model(made, CPU32)  # opens where it was not trained
    ids = torch.tensor([[5, 90, 301, 7, 44]])
    with torch.no_grad():
        assert bool(torch.isfinite(saved(input_ids=ids).logits).all())


@pytest.mark.parametrize("device", DEVICES)
def test_that_gradient_checkpointing_changes_memory_and_not_the_loss(
    tmp_path: Path, device: str
) -> None:
    place, compute = stand(tmp_path), choose(device, "float32")
    nf4(place, compute)
    recover(place, compute, "plain", max_steps=1)
    recover(place, compute, "checkpointed", max_steps=1, gradient_checkpointing=True)
    (plain,), (checkpointed,) = losses(place, "plain"), losses(place, "checkpointed")
    assert checkpointed == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": "live"},
        {"teacher": "ema"},
        {"teacher": "nf4"},
        {"teacher": ["base", "nf4"], "teacher_weighting": "likelihood"},
        {"teacher": ["base", "nf4"], "teacher_pool": "log_linear", "divergence": "reverse_kl"},
        {"divergence": "jsd", "distillation_topk": 20, "distillation_clip": 0.5},
        {"distillation_topk": 20, "teacher_cache_steps": 2},
        {"num_iterations": 2, "num_generations": 2, "top_k": 50, "min_p": 0.01},
        {"lmbda": 0.5, "top_p": 0.95},
        {"cka_loss": "attract", "cka_layers": None, "num_loss_tokens_to_skip": 0},
        {"cka_loss": "only", "cka_ramp_steps": 0, "num_loss_tokens_to_skip": 0},
    ],
    ids=lambda it: "-".join(map(str, it)),
)
def test_that_every_kind_of_teaching_starts_on_the_device_as_on_the_cpu(
    tmp_path: Path, device: str, changes: dict[str, Any]
) -> None:
    place, compute = stand(tmp_path), choose(device, "float32")
    nf4(place, compute)
    recover(place, compute, "there", **changes)
    recover(place, CPU32, "here", **changes)
    there, here = losses(place, "there"), losses(place, "here")
    assert len(there) == len(here) == 2
    assert all(math.isfinite(loss) for loss in there)
    assert there[0] == pytest.approx(here[0], rel=FIRST_LOSS, abs=1e-6)
