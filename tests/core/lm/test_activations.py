"""Captured states: the ones transformers reports, and the last block's own, which it does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.errors import UserError
from core.lm.activations import capture, layer_names
from core.lm.adapter import add_lora
from tests.helpers.tiny import HIDDEN, tiny_model

ITEMS = [[5, 90, 301, 7], [44, 2], [200, 12, 499, 33, 72, 18, 3, 260]]
ALL = ("embeddings", "block_0", "block_1", "final_norm")


@pytest.fixture
def model() -> torch.nn.Module:
    return tiny_model()


def whole(_: int, states: Tensor) -> Tensor:
    return states


def test_that_layers_are_named_from_input_to_output(model) -> None:
    assert layer_names(model) == ALL
    assert layer_names(add_lora(tiny_model(), 2, 2, seed=0)) == ALL


def test_that_states_equal_those_of_transformers(model) -> None:
    found = capture(model, [ITEMS[:2], ITEMS[2:]], ALL, whole)
    for index, item in enumerate(ITEMS):
        with torch.no_grad():
            states = model(torch.tensor([item]), output_hidden_states=True).hidden_states
        for name, expected in zip(("embeddings", "block_0", "final_norm"), states, strict=True):
            torch.testing.assert_close(found[name][index], expected[0], rtol=1e-5, atol=1e-5)


def test_that_the_last_blocks_own_output_is_what_the_norm_reads(model) -> None:
    found = capture(model, [ITEMS], ("block_1", "final_norm"), whole)
    for raw, normed in zip(found["block_1"], found["final_norm"], strict=True):
        with torch.no_grad():
            torch.testing.assert_close(model.model.norm(raw), normed)
        assert not torch.allclose(raw, normed)


def test_that_the_last_hidden_state_of_transformers_is_the_final_norm_and_not_the_last_block(
    model,
) -> None:
    found = capture(model, [[item] for item in ITEMS], ("block_1", "final_norm"), whole)
    for index, item in enumerate(ITEMS):
        with torch.no_grad():
            last = model(torch.tensor([item]), output_hidden_states=True).hidden_states[-1][0]
        torch.testing.assert_close(found["final_norm"][index], last, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(found["block_1"][index], last, atol=0.1)


def test_that_a_layer_can_be_kept_in_two_ways_at_once(model) -> None:
    second = {"second": ("final_norm", lambda index, states: states[1])}
    found = capture(model, [ITEMS], ("final_norm",), whole, also=second)
    assert set(found) == {"final_norm", "second"}
    for all_of_it, one in zip(found["final_norm"], found["second"], strict=True):
        assert torch.equal(all_of_it[1], one)


def test_that_an_item_does_not_depend_on_its_batch(model) -> None:
    together = capture(model, [ITEMS], ("block_1",), whole)["block_1"]
    alone = capture(model, [[item] for item in ITEMS], ("block_1",), whole)["block_1"]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_that_only_what_was_selected_is_kept_and_items_are_numbered_through(model) -> None:
    seen: list[tuple[int, int]] = []

    def last(index: int, states: Tensor) -> Tensor:
        seen.append((index, len(states)))
        return states[-1]

    found = capture(model.to(torch.bfloat16), [ITEMS[:2], ITEMS[2:]], ("block_0",), last)
    assert seen == [(0, 4), (1, 2), (2, 8)]
    assert [states.shape for states in found["block_0"]] == [(HIDDEN,)] * 3
    assert all(states.dtype == torch.float32 for states in found["block_0"])
    assert all(states.untyped_storage().nbytes() == 4 * HIDDEN for states in found["block_0"])


def test_that_the_head_is_not_computed_and_modes_are_restored(model) -> None:
    model.lm_head.register_forward_pre_hook(lambda *_: pytest.fail("the head was computed"))
    model.train()
    capture(model, [ITEMS], ("final_norm",), whole)
    assert model.training
    assert model.model.layers[0].training


def test_that_hooks_are_gone_even_after_a_stop(model) -> None:
    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture(model, [ITEMS], ALL, whole, check)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_that_adapters_are_seen(model) -> None:
    peft = add_lora(tiny_model(), 4, 8, seed=0)
    before = capture(peft, [ITEMS], ("block_0",), whole)["block_0"][0]
    torch.testing.assert_close(before, capture(model, [ITEMS], ("block_0",), whole)["block_0"][0])
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.ones_(parameter)
    after = capture(peft, [ITEMS], ("block_0",), whole)["block_0"][0]
    assert not torch.allclose(after, before)


def test_that_an_unknown_layer_is_named(model) -> None:
    with pytest.raises(UserError, match="no layer named block_9"):
        capture(model, [ITEMS], ("block_9",), whole)
