"""AdamW with float32 masters."""

from __future__ import annotations

import torch
from torch import nn

from core.stages.optimizer import FLOAT16_LOSS_SCALE, MasterAdamW


def layer(dtype: torch.dtype = torch.float32) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(4, 3).to(dtype)


def test_that_it_is_adamw_with_clipping_and_decay_on_matrices_only() -> None:
    ours, theirs = layer(), layer()
    optimizer = MasterAdamW(ours, weight_decay=0.5)
    reference = torch.optim.AdamW(
        [
            {"params": [theirs.weight], "weight_decay": 0.5},
            {"params": [theirs.bias], "weight_decay": 0.0},
        ],
        lr=0.01,
    )
    for number in range(4):
        inputs = torch.full((2, 4), float(number + 1))
        for module in (ours, theirs):
            module.zero_grad()
            module(inputs).square().sum().backward()
        norm = optimizer.clip(1.0)
        expected = float(nn.utils.clip_grad_norm_(theirs.parameters(), 1.0))
        optimizer.step(0.01)
        reference.step()
        assert norm == expected > 1

    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)


def test_that_updates_too_small_for_bfloat16_add_up() -> None:
    module = layer(torch.bfloat16)
    nn.init.ones_(module.weight)
    start = module.weight.detach().clone()
    optimizer = MasterAdamW(module, weight_decay=0.0)

    def one_step() -> None:
        optimizer.zero_grad()
        module.weight.grad = torch.ones_like(module.weight)
        optimizer.clip(1e9)
        optimizer.step(1e-4)

    one_step()
    assert torch.equal(module.weight, start)  # rounded away in the network …
    for _ in range(199):
        one_step()
    expected = start.float() - 200 * 1e-4  # … but not in the master
    torch.testing.assert_close(module.weight.float(), expected, atol=0.004, rtol=0)
    assert not torch.equal(module.weight, start)


def test_that_float16_gradients_come_back_in_their_true_size() -> None:
    module = layer(torch.float16)
    optimizer = MasterAdamW(module, weight_decay=0.0)
    assert optimizer.loss_scale == FLOAT16_LOSS_SCALE
    module.weight.grad = torch.full_like(module.weight, 2.0)

    norm = optimizer.clip(1e9)

    assert abs(norm - 2.0 / FLOAT16_LOSS_SCALE * 12**0.5) < 1e-6


def test_that_a_restored_optimizer_goes_on_bitwise() -> None:
    def run(module: nn.Linear, optimizer: MasterAdamW, steps: range) -> None:
        for number in steps:
            optimizer.zero_grad()
            module(torch.full((2, 4), float(number))).square().sum().backward()
            optimizer.clip(1.0)
            optimizer.step(0.01)

    for dtype in (torch.float32, torch.bfloat16):
        whole, first, second = layer(dtype), layer(dtype), layer(dtype)
        if dtype == torch.bfloat16:
            for module in (whole, first, second):
                module.forward = lambda x, module=module: nn.functional.linear(  # type: ignore[method-assign,misc]
                    x.to(torch.bfloat16), module.weight, module.bias
                )
        run(whole, MasterAdamW(whole, 0.1), range(1, 7))
        half = MasterAdamW(first, 0.1)
        run(first, half, range(1, 4))
        rest = MasterAdamW(second, 0.1)
        rest.restore({key: value.clone() for key, value in half.tensors().items()})
        run(second, rest, range(4, 7))

        assert torch.equal(whole.weight, second.weight)
        assert torch.equal(whole.bias, second.bias)
