"""Log-likelihoods on a CUDA device: those of the CPU, with and without what rows share.

Runs on the CPU too, which shows that the test itself is sound where there is no GPU.
"""

from __future__ import annotations

import pytest
import torch

from core.evaluation.likelihood import Continuation, log_likelihoods
from tests.helpers.tiny import tiny_model

DEVICES = ["cpu", pytest.param("cuda:0", marks=pytest.mark.gpu)]
TOLERANCE = 1e-4  # nats, float32
SHARED = tuple(range(10, 90))  # long enough to go through the network by itself


def asked() -> list[Continuation]:
    """Two questions of three options behind one beginning, and one that shares nothing."""
    options = [(7,), (8, 301), (44, 5, 12)]
    questions = [(*SHARED, 200, 3, 17), (*SHARED, 201, 90), (499, 33, 72, 5)]
    return [Continuation(question, option) for question in questions for option in options]


@pytest.mark.parametrize("device", DEVICES)
def test_that_log_likelihoods_on_the_device_are_those_of_plain_rows_on_the_cpu(device: str) -> None:
    model = tiny_model().to(device)
    found = log_likelihoods(model, asked(), pad_id=0, batch_size=4)
    plain = tiny_model()
    for it, one in zip(found, asked(), strict=True):
        ids = torch.tensor([one.context + one.following])
        with torch.no_grad():
            scores = plain(ids).logits[0].double().log_softmax(-1)
        places = range(len(one.context) - 1, ids.shape[1] - 1)
        expected = sum(
            float(scores[place, token]) for place, token in zip(places, one.following, strict=True)
        )
        assert it.log_likelihood == pytest.approx(expected, abs=TOLERANCE)
