"""Prompts and completions as one right-padded batch, and the states that predict the completions.

With causal attention, padding on the right changes nothing to its left: a sequence in a batch has the
states it has alone, and positions count from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B sequences of prompt and completion; C is the longest completion, T the longest sequence."""

    input_ids: Tensor  # (B, T)
    attention_mask: Tensor  # (B, T)
    completion: Tensor  # (B, C) token ids
    present: Tensor  # (B, C) bool: false is padding
    places: Tensor  # (B, C) where in T the state lies that predicts the token


def collate(
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    pad_id: int,
    device: torch.device,
) -> Batch:
    """Join each prompt (at least one token) with its completion."""
    pairs = list(zip(prompts, completions, strict=True))
    length = max(len(prompt) + len(completion) for prompt, completion in pairs)
    width = max(len(completion) for completion in completions)
    input_ids = torch.full((len(pairs), length), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    completion_ids = torch.full((len(pairs), width), pad_id)
    present = torch.zeros((len(pairs), width), dtype=torch.bool)
    for row, (prompt, completion) in enumerate(pairs):
        sequence = [*prompt, *completion]
        input_ids[row, : len(sequence)] = torch.tensor(sequence)
        attention_mask[row, : len(sequence)] = 1
        completion_ids[row, : len(completion)] = torch.tensor(completion, dtype=torch.long)
        present[row, : len(completion)] = True
    last = torch.tensor([len(prompt) - 1 for prompt, _ in pairs])
    places = (last[:, None] + torch.arange(width)).clamp(max=length - 1)
    return Batch(
        input_ids.to(device),
        attention_mask.to(device),
        completion_ids.to(device),
        present.to(device),
        places.to(device),
    )


def predicting(states: Tensor, batch: Batch) -> Tensor:
    """The states (B, C, H), out of (B, T, H), from which the completion's tokens are predicted."""
    rows = torch.arange(states.shape[0], device=states.device)[:, None]
    return states[rows, batch.places]


def by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in groups of at most `size` of like length, longest first, so little is padded.

    The longest come first: a batch too large for the device fails at once.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return [order[start : start + size] for start in range(0, len(order), size)]
