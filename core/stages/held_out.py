"""Items kept out of a training: for the check before it, and for the loss that decides when to stop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np

from core.errors import UserError
from core.recipe.training_specs import TrainSpec

Item = TypeVar("Item")

LARGEST_SHARE = 0.1
"""Of all items: a small dataset is not halved to be measured on."""


def held_out(
    items: Sequence[Item], spec: TrainSpec, seed: int, question: Callable[[Item], Hashable]
) -> tuple[list[Item], list[Item]]:
    """Items to train on and items held out, both in their order; which ones depends on the seed only.

    Items that ask what a held-out one asks are in neither: what is measured is not trained on.

    Args:
        items: all that fit.
        spec: how many to hold out.
        seed: of the choice.
        question: what an item asks.

    Raises:
        UserError: the held-out loss is to be measured, and there are too few items to hold any out.
    """
    count = min(spec.held_out_items, int(len(items) * LARGEST_SHARE))
    if spec.eval_steps and not count:
        raise UserError(
            f"Stage {spec.id} is to measure the loss on held-out items, and of its {len(items)} items none "
            f"can be held out: at most a tenth of them is.",
            "Train on at least ten items, or set eval_steps to 0.",
        )
    chosen = np.random.default_rng([seed, len(items)]).permutation(len(items))[:count].tolist()
    asked = {question(items[index]) for index in chosen}
    out = set(chosen)
    return (
        [item for item in items if question(item) not in asked],
        [item for index, item in enumerate(items) if index in out],
    )
