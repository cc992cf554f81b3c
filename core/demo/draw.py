"""Random choices that are the same in every process, on every machine and in every version of Python."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Literal, TypeVar, get_args

T = TypeVar("T")
Split = Literal["train", "tune", "eval"]
SPLITS: tuple[Split, ...] = get_args(Split)
_SHARES = {"train": 0.7, "tune": 0.1, "eval": 0.2}


class Draw:
    """Choices from one stream, named by `key`.

    Only `random.Random(key).random()` is used: its sequence is the part of the module that Python
    promises never to change.
    """

    def __init__(self, key: str) -> None:
        self._random = random.Random(key)

    def below(self, count: int) -> int:
        """A whole number from 0 to count - 1."""
        return int(self._random.random() * count)

    def one(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All items in random order."""
        return self.some(items, len(items))

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return self._random.random() < share


def digest(*parts: str) -> str:
    """SHA-256 of the parts, in hexadecimal."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def split_of(*parts: str) -> Split:
    """The split to which content belongs, decided by the content alone."""
    place = int(digest("split", *parts)[:8], 16) / 2**32
    for split in SPLITS:
        place -= _SHARES[split]
        if place < 0:
            return split
    return "eval"
