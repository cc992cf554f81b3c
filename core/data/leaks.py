"""Which training item an evaluation item is shared with; that it is shared, `core.data.overlap` finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.data.example import Example
from core.data.overlap import TELL_EVERY, Hashing, Progress, overlap, places, questions, unheard


@dataclass(frozen=True)
class Leak:
    """An evaluation item and the training item it is shared with, by their places in the two lists.

    `share` is the share of the evaluation item's runs of 13 words that this training item holds, 0 to 1.
    """

    evaluated: int
    trained: int
    kind: Literal["same", "near"]
    share: float


def leaks(
    training: Sequence[Example], evaluation: Sequence[Example], heard: Progress = unheard
) -> list[Leak]:
    """Every evaluation item that the training data already asks, in order, each with its nearest training item."""
    found = overlap(training, evaluation, heard)
    same, near = set(found.same), set(found.near)
    first: dict[str, int] = {}
    if same:
        for place, example in enumerate(training):
            for key in questions(example):
                first.setdefault(key, place)
    nearest = _nearest(training, [it for it in evaluation if it.id in near], heard)
    pairs: list[Leak] = []
    for place, example in enumerate(evaluation):
        if example.id in same:
            asked = min(first[key] for key in questions(example) if key in first)
            pairs.append(Leak(place, asked, "same", 1.0))
        elif example.id in near:
            pairs.append(Leak(place, nearest[example.id][0], "near", nearest[example.id][1]))
    return pairs


def repeats(examples: Sequence[Example]) -> list[Leak]:
    """Items that ask, word for word, what an earlier one of the same data asks, each with the first such."""
    first: dict[str, int] = {}
    pairs: list[Leak] = []
    for place, example in enumerate(examples):
        asked = min(first.setdefault(key, place) for key in questions(example))
        if asked != place:
            pairs.append(Leak(place, asked, "same", 1.0))
    return pairs


def _nearest(
    training: Sequence[Example], shared: Sequence[Example], heard: Progress
) -> dict[str, tuple[int, float]]:
    """By the id of an evaluation item: the training item with most of its runs of words, and their share."""
    if not shared:
        return {}
    hashed = Hashing()
    runs = [hashed(example.prompt) for example in shared]
    best = [0] * len(runs)
    where = [0] * len(runs)
    every = np.unique(np.concatenate(runs))
    for place, example in enumerate(training):
        if place % TELL_EVERY == 0:
            heard(place, len(training))
        texts = np.concatenate([hashed(example.prompt), hashed(example.demonstration)])
        text = np.unique(texts)
        if not len(places(every, text)):
            continue
        for index, run in enumerate(runs):
            count = len(places(run, text))
            if count > best[index]:
                best[index], where[index] = count, place
    return {
        example.id: (where[index], best[index] / max(len(runs[index]), 1))
        for index, example in enumerate(shared)
    }
