"""Which items a training step takes, and its learning rate: pure functions of the step number.

Both are recomputed rather than stored, so a resumed training continues exactly where it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class DataOrder:
    """A seeded shuffle of the items for every epoch, cut into optimizer steps.

    The sequence of items depends on the seed and the number of items only, never on the batch size.

    Attributes:
        items: how many items there are.
        per_step: items of one optimizer step; the last step may have fewer.
        total: items to train on altogether, over all epochs.
        seed: of the shuffles.
        repeats: optimizer steps in a row that take the same items.
    """

    items: int
    per_step: int
    total: int
    seed: int
    repeats: int = 1

    @classmethod
    def plan(
        cls,
        items: int,
        per_step: int,
        *,
        max_steps: int | None,
        epochs: float,
        seed: int,
        repeats: int = 1,
    ) -> DataOrder:
        """`max_steps` full steps, or as many items as the epochs have."""
        if max_steps:
            total = math.ceil(max_steps / repeats) * per_step
        else:
            total = max(1, round(items * epochs))
        return cls(items, per_step, total, seed, repeats)

    @property
    def steps(self) -> int:
        """Number of optimizer steps."""
        return math.ceil(self.total / self.per_step) * self.repeats

    def batch(self, step: int) -> list[int]:
        """Indices of the items of a step, which counts from 0."""
        first = step // self.repeats * self.per_step
        return [self._item(place) for place in range(first, min(first + self.per_step, self.total))]

    def _item(self, place: int) -> int:
        epoch, offset = divmod(place, self.items)
        return _shuffled(self.items, self.seed, epoch)[offset]


@lru_cache(maxsize=4)
def _shuffled(items: int, seed: int, epoch: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng([seed, epoch]).permutation(items).tolist())


def learning_rate(step: int, steps: int, peak: float, warmup_ratio: float) -> float:
    """Linear rise over the first share of the steps, then half a cosine down to zero.

    The first step already learns and the last one still does (transformers' schedule gives the first
    a rate of zero, which matters in a run of few steps).

    Args:
        step: counts from 0.
        steps: of the whole training.
        peak: the highest rate.
        warmup_ratio: share of the steps in which the rate rises.
    """
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
