"""LoRA adapters: neutral at first, stacked over inherited ones, merged exactly in float32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn

from core.lm.adapter import (
    add_lora,
    as_parent,
    count_trainable,
    load_adapter,
    merged,
    plain_model,
    save_adapter,
)
from tests.helpers.tiny import FFN, HIDDEN, LAYERS, tiny_model

IDS = torch.tensor([[5, 90, 301, 7, 44]])
R = 4


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    return model(IDS).logits


@torch.no_grad()
def train(model: PeftModel, seed: int) -> PeftModel:
    """As if trained: B of the trained adapter is no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_B.default" in name:
            parameter.normal_(std=0.1, generator=generator)
    return model


def trainable(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_that_a_new_adapter_changes_nothing_and_covers_all_linear_layers_but_the_head() -> None:
    plain = tiny_model()
    before = logits(plain)
    model = add_lora(plain, R, 2 * R, seed=1)
    assert torch.equal(logits(model), before)
    attention = 2 * (HIDDEN + HIDDEN) + 2 * (HIDDEN + HIDDEN // 2)  # q, o and the narrower k, v
    ffn = 3 * (HIDDEN + FFN)
    assert count_trainable(model) == LAYERS * R * (attention + ffn)
    assert not any("lm_head" in name for name in trainable(model))
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_that_adapter_weights_are_float32_in_a_bfloat16_model() -> None:
    model = add_lora(tiny_model().to(torch.bfloat16), R, R, seed=0)
    kinds = {"lora_" in name: parameter.dtype for name, parameter in model.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert logits(model).dtype == torch.bfloat16


def test_that_the_seed_decides_the_adapter_and_nothing_else_is_touched() -> None:
    state = torch.get_rng_state()

    def a(seed: int) -> Tensor:
        model = add_lora(tiny_model(), R, R, seed=seed)
        return torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_A" in n])

    assert torch.equal(a(7), a(7))
    assert not torch.equal(a(7), a(8))
    assert torch.equal(torch.get_rng_state(), state)


def test_that_a_saved_adapter_comes_back_frozen_and_equal(tmp_path: Path) -> None:
    model = train(add_lora(tiny_model(), R, 2 * R, seed=1), seed=2)
    save_adapter(model, tmp_path)
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {"adapter_model.safetensors"}
    loaded = load_adapter(tiny_model(), tmp_path)
    assert torch.equal(logits(loaded), logits(model))
    assert count_trainable(loaded) == 0


def test_that_adapters_of_earlier_stages_stay_active_and_frozen_under_a_new_one(
    tmp_path: Path,
) -> None:
    first = train(add_lora(tiny_model(), R, R, seed=1), seed=2)
    save_adapter(first, tmp_path / "first")
    model = add_lora(load_adapter(tiny_model(), tmp_path / "first"), 2 * R, R, seed=3)
    assert torch.equal(logits(model), logits(first))  # starts from the very function of its parent
    assert trainable(model)
    assert all(".default." in name for name in trainable(model))
    train(model, seed=4)
    assert not torch.allclose(logits(model), logits(first))

    save_adapter(model, tmp_path / "second")
    again = load_adapter(load_adapter(tiny_model(), tmp_path / "first"), tmp_path / "second")
    torch.testing.assert_close(logits(again), logits(model), rtol=1e-5, atol=1e-5)
    alone = load_adapter(tiny_model(), tmp_path / "second")  # the delta only, without the first
    assert not torch.allclose(logits(alone), logits(model))


def test_that_the_parent_is_seen_through_the_trained_adapter(tmp_path: Path) -> None:
    root = tiny_model()
    single = train(add_lora(tiny_model(), R, R, seed=1), seed=2)
    save_adapter(single, tmp_path)
    parent = logits(single)
    changed = trainable(single)
    with as_parent(single):
        assert torch.equal(logits(single), logits(root))
    assert torch.equal(logits(single), parent)
    assert trainable(single) == changed

    stacked = train(add_lora(load_adapter(tiny_model(), tmp_path), R, R, seed=3), seed=4)
    student, changed = logits(stacked), trainable(stacked)
    with as_parent(stacked):
        assert torch.equal(logits(stacked), parent)  # not the root: the inherited adapter is on
    assert torch.equal(logits(stacked), student)
    with pytest.raises(KeyboardInterrupt), as_parent(stacked):
        raise KeyboardInterrupt
    assert torch.equal(logits(stacked), student)
    assert trainable(stacked) == changed


def test_that_gradients_still_flow_after_looking_at_the_parent() -> None:
    model = add_lora(tiny_model(), R, R, seed=1)
    with as_parent(model):
        logits(model)
    model(IDS).logits.sum().backward()
    grads = {n: p.grad for n, p in model.named_parameters() if "lora_B.default" in n}
    assert all(grad is not None and bool(grad.any()) for grad in grads.values())


def test_that_merging_keeps_the_function(tmp_path: Path) -> None:
    save_adapter(train(add_lora(tiny_model(), R, R, seed=1), seed=2), tmp_path)
    stacked = train(add_lora(load_adapter(tiny_model(), tmp_path), R, R, seed=3), seed=4)
    expected = logits(stacked)
    assert type(plain_model(stacked)).__name__ == "Qwen2ForCausalLM"
    whole = merged(stacked)
    assert not isinstance(whole, PeftModel)
    assert not any("lora" in name for name, _ in whole.named_parameters())
    torch.testing.assert_close(logits(whole), expected, rtol=1e-4, atol=1e-4)
    assert merged(whole) is whole
