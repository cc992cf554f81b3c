"""The chunked cross entropy against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from core.distill.head import Head
from core.distill.likelihood import cross_entropy


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_that_loss_gradients_and_statistics_equal_pytorch(chunk: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(13, 8, generator=generator, requires_grad=True)
    weight = torch.randn(37, 8, generator=generator, requires_grad=True)
    targets = torch.randint(37, (13,), generator=generator)
    weights = torch.rand(13, generator=generator)

    result = cross_entropy(hidden, Head(weight), targets, weights, chunk_tokens=chunk)
    got = torch.autograd.grad(result.loss, (hidden, weight))

    logits = hidden @ weight.T
    nll = functional.cross_entropy(logits, targets, reduction="none")
    expected = torch.autograd.grad((nll * weights).sum(), (hidden, weight))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(result.nll, nll)
    torch.testing.assert_close(result.loss, (nll * weights).sum())
    torch.testing.assert_close(
        result.entropy, torch.distributions.Categorical(logits=logits).entropy()
    )
    assert torch.equal(result.correct, (logits.argmax(-1) == targets).float())
