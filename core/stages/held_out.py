"""Items kept out of a training: for the check before it, and for the loss that decides when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from core.recipe.training_specs import TrainSpec

Item = TypeVar("Item")

LARGEST_SHARE = 0.1
"""Of all items: a small dataset is not halved to be measured on."""


def held_out(items: Sequence[Item], spec: TrainSpec, seed: int) -> tuple[list[Item], list[Item]]:
    """Items to train on and items held out, both in their order; which ones depends on the seed only."""
    count = min(spec.held_out_items, int(len(items) * LARGEST_SHARE))
    out = set(np.random.default_rng([seed, len(items)]).permutation(len(items))[:count].tolist())
    return (
        [item for index, item in enumerate(items) if index not in out],
        [item for index, item in enumerate(items) if index in out],
    )
