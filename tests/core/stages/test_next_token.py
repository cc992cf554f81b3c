"""KL of next-token distributions from states and heads, against the networks' own logits in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from transformers import Qwen2ForCausalLM

from core.distill.head import hidden_states
from core.stages import next_token
from core.stages.next_token import NextTokenKl, host_head
from tests.helpers.tiny import VOCAB, tiny_model

IDS = torch.arange(3, 23)[None]


def states(model: Qwen2ForCausalLM) -> Tensor:
    with torch.no_grad():
        return hidden_states(model, IDS, torch.ones_like(IDS))[0]


def expected(reference: Qwen2ForCausalLM, subject: Qwen2ForCausalLM) -> float:
    with torch.no_grad():
        logits = [model(input_ids=IDS).logits[0].double() for model in (reference, subject)]
    vocabulary = min(it.shape[-1] for it in logits)
    p, q = (it[:, :vocabulary].log_softmax(-1) for it in logits)
    return float((p.exp() * (p - q)).sum(-1).mean())


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_that_it_is_the_mean_over_positions_however_these_are_cut(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(next_token, "CHUNK_TOKENS", chunk)
    reference, subject = tiny_model(0), tiny_model(1)
    kl = NextTokenKl(host_head(reference), subject)
    theirs, ours = states(reference), states(subject)
    kl.add(theirs[:5], ours[:5])
    kl.add(theirs[5:], ours[5:])
    assert kl.mean == pytest.approx(expected(reference, subject), rel=1e-5)


def test_that_a_network_has_no_divergence_from_itself() -> None:
    model = tiny_model()
    kl = NextTokenKl(host_head(model), model)
    kl.add(states(model), states(model))
    assert kl.mean == 0.0


@pytest.mark.parametrize("padded", ["reference", "subject"])
def test_that_padding_of_the_larger_vocabulary_takes_no_part(padded: str) -> None:
    small, large = tiny_model(0), tiny_model(1, vocabulary=VOCAB + 64)
    reference, subject = (large, small) if padded == "reference" else (small, large)
    kl = NextTokenKl(host_head(reference), subject)
    kl.add(states(reference), states(subject))
    assert kl.mean == pytest.approx(expected(reference, subject), rel=1e-5)


def test_that_without_positions_there_is_no_mean() -> None:
    model = tiny_model()
    assert math.isnan(NextTokenKl(host_head(model), model).mean)
