"""How compared runs are told apart where there is little room: a letter, and what is own to each name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from string import ascii_uppercase

WORDS_KEPT = 2
WORD = re.compile(r"(?=[^\s\-_·,:/]*\w)(?:\de-\d|[^\s\-_·,:/])+")
"""1e-4 is one word; a sign that stands alone, as in "45 %", is none."""


def letter(place: int) -> str:
    """A, B … Z, A2, B2 …"""
    again, at = divmod(place, len(ascii_uppercase))
    return ascii_uppercase[at] + (str(again + 1) if again else "")


def shortened(names: Sequence[str]) -> tuple[str, ...]:
    """The names without the words that all of them begin with; at least two words stay."""
    if len(names) < 2:
        return tuple(names)
    split = [list(WORD.finditer(name)) for name in names]
    texts = ([found.group() for found in row] for row in split)
    shared = len(list(takewhile(lambda row: len(set(row)) == 1, zip(*texts, strict=False))))
    shared = min(shared, min(map(len, split)) - WORDS_KEPT)
    if shared <= 0:
        return tuple(names)
    return tuple(name[row[shared].start() :] for name, row in zip(names, split, strict=True))
