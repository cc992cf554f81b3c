"""Batches, and the states that predict the completions."""

from __future__ import annotations

import torch

from core.distill.batch import by_length, collate, predicting
from core.distill.head import head_of, hidden_states
from tests.helpers.tiny import tiny_model

CPU = torch.device("cpu")


def test_that_each_state_predicts_the_token_that_follows_it() -> None:
    batch = collate([[1, 2, 3], [4]], [[5, 6], [7, 8, 9]], 0, CPU)

    assert batch.input_ids.tolist() == [[1, 2, 3, 5, 6], [4, 7, 8, 9, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert batch.completion.tolist() == [[5, 6, 0], [7, 8, 9]]
    assert batch.present.tolist() == [[True, True, False], [True, True, True]]
    states = batch.input_ids[..., None]  # each state is its own token
    following = predicting(states, batch)[..., 0]
    assert following.tolist() == [[3, 5, 6], [4, 7, 8]]


def test_that_a_sequence_in_a_batch_has_the_logits_it_has_alone() -> None:
    model = tiny_model()
    head = head_of(model)
    prompts, completions = [[5, 6, 7, 8], [9], [3, 4]], [[10, 11], [12, 13, 14, 15, 16], []]
    together = collate(prompts, completions, 0, CPU)
    logits = head.logits(
        predicting(hidden_states(model, together.input_ids, together.attention_mask), together)
    )

    for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        alone = model(torch.tensor([[*prompt, *completion]])).logits[0]
        expected = alone[len(prompt) - 1 : len(prompt) - 1 + len(completion)]
        torch.testing.assert_close(logits[row, : len(completion)], expected, atol=1e-4, rtol=1e-4)


def test_that_groups_are_of_like_length_and_hold_everything_once() -> None:
    lengths = [3, 50, 4, 49, 5]

    groups = by_length(lengths, 2)

    assert groups == [[1, 3], [4, 2], [0]]
