"""Items of one dataset that nearly repeat an earlier one: the 13-grams of `core.data.overlap`, within one set.

An item is nearly repeated when one earlier item holds at least `SHARED_NGRAMS` of the 13-grams of words of its
prompt, and as many of those that are their own. Between two sets an item's own 13-grams are those that no other
item has; here they are those that at most `SHARING` items have: what more of them share is an instruction or a
tool's documentation, and says nothing of what is asked. So of four near copies that are no exact ones none is
found; with exact copies the first stands for all. An item with fewer than `FEWEST_OWN` of its own is compared as
a whole only. Paraphrases are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.example import Example
from core.data.leaks import Leak, repeats
from core.data.overlap import (
    FEWEST_OWN,
    SHARED_NGRAMS,
    TELL_EVERY,
    Hashes,
    Hashing,
    Progress,
    unheard,
)

SHARING = 3
"""Items that may share a 13-gram of their own. Our choice: with more, questions on one tool count as the same."""
MOST_RUNS = 20_000_000
"""13-grams up to which near repeats are looked for; they take about 60 bytes each while they are sorted."""

Places = NDArray[np.intp]
_NONE: Hashes = np.empty(0, np.uint64)


def near_repeats(
    examples: Sequence[Example], heard: Progress = unheard, most: int = MOST_RUNS
) -> list[Leak] | None:
    """Items that repeat an earlier one, word for word or nearly, in order; each with the earlier one nearest to it.

    Args:
        examples: of one dataset.
        heard: is told how many items were read, of how many.
        most: 13-grams up to which it is done.

    Returns:
        None where the data have more of them than that.
    """
    same = {it.evaluated: it for it in repeats(examples)}
    runs: list[Hashes] = []
    total, hashed = 0, Hashing()
    for place, example in enumerate(examples):
        if place % TELL_EVERY == 0:
            heard(place, len(examples))
        runs.append(_NONE if place in same else hashed(example.prompt))
        total += len(runs[-1])
        if total > most:
            return None
    owners, starts = _owners(runs, total)
    pairs: list[Leak] = []
    for place, mine in enumerate(starts):
        near = same.get(place) or _nearest(place, mine, owners)
        if near is not None:
            pairs.append(near)
    return pairs


class _Owners:
    """Which items have a 13-gram: those of one stand together in `items`, ascending.

    Attributes:
        items: numbers of items, by 13-gram.
        first: by a place in `items`, where its 13-gram begins.
        count: by a place in `items`, how many items have its 13-gram.
    """

    def __init__(self, items: Places, first: Places, count: Places) -> None:
        self.items, self.first, self.count = items, first, count


def _owners(runs: Sequence[Hashes], total: int) -> tuple[_Owners, list[Places]]:
    """The owners of all 13-grams, and for each item the places of its own among them."""
    lengths = np.fromiter(map(len, runs), np.intp, len(runs))
    hashes: Any = np.concatenate(runs) if runs else _NONE
    items = np.repeat(np.arange(len(runs)), lengths)
    order = np.argsort(hashes, kind="stable")
    new = np.ones(total, bool)
    new[1:] = hashes[order][1:] != hashes[order][:-1]
    begins = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    counts = np.diff(np.append(begins, total))
    place = np.empty(total, np.intp)
    place[order] = np.arange(total)
    ends = np.cumsum(lengths)
    mine = [place[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    return _Owners(items[order], begins[group], counts[group]), mine


def _nearest(item: int, mine: Places, owners: _Owners) -> Leak | None:
    """The earlier item that one nearly repeats: of several, the one with most of its 13-grams."""
    own = mine[owners.count[mine] <= SHARING]
    if len(own) < FEWEST_OWN:
        return None
    held = _holders(own, owners)
    likely = [it for it, shared in held.items() if shared >= SHARED_NGRAMS * len(own)]
    if not likely:
        return None
    whole = _holders(mine, owners)
    best = max(likely, key=lambda it: (whole[it], -it))  # of equal ones the first
    share = whole[best] / len(mine)
    return Leak(item, best, "near", share) if share >= SHARED_NGRAMS else None


def _holders(places: Places, owners: _Owners) -> dict[int, int]:
    """Of the 13-grams at some places, how many each earlier item has."""
    starts = owners.first[places]
    lengths = places - starts
    # The places from each start up to the item itself, one after another.
    steps = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items, counts = np.unique(owners.items[np.repeat(starts, lengths) + steps], return_counts=True)
    return dict(zip(items.tolist(), counts.tolist(), strict=True))
