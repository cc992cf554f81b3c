"""Evaluation items that the training data already asks: by the same question, or by long runs of the same words.

An item counts as shared when its question, options included, is one of the training questions, or when most of
the 13-grams of words that are its own stand in the training data (prompts or demonstrations). Its own are those
that no other evaluated item has: a tool's documentation or an instruction that many items share is not what
an item asks. For the same reason 13-grams of many training items do not count (Brown et al. 2020, appendix C).

The right answer in a training demonstration is no overlap by itself: "B", or the name of a tool, is the answer
to many questions. Only what an evaluation item asks is looked for. Paraphrases are not found.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.example import Example

NGRAM_WORDS = 13
"""Words of a run that is no accident; Brown et al. 2020 (GPT-3), appendix C."""
FEWEST_OWN = 8
"""An item with fewer runs of its own is compared as a whole only; that source takes no shorter text either."""
COMMON = 10
"""A run of words in more training items than this is boilerplate; same source."""
SHARED_NGRAMS = 0.7
"""Share of an item's own runs from which it counts as seen; Chowdhery et al. 2022 (PaLM), section 8."""

_PUNCTUATION = (
    string.punctuation + "\u201c\u201d\u2018\u2019\u00ab\u00bb\u2026\u2013\u2014"
)  # and quotes, dashes
_SEED = 13  # of the numbers that mix word numbers into one for each run of words

TELL_EVERY = 1_000

Hashes = NDArray[np.uint64]
Progress = Callable[[int, int], None]
"""Is told how many items are done, of how many."""


def unheard(*_: int) -> None:
    """For those who do not want to know how far it is."""


@dataclass(frozen=True)
class Overlap:
    """What was found.

    Attributes:
        evaluated: evaluation items looked at.
        trained: training items.
        same: ids of evaluation items whose question is a training question.
        near: ids of others, most of whose own runs of words stand in the training data.
    """

    evaluated: int
    trained: int
    same: tuple[str, ...]
    near: tuple[str, ...]

    @property
    def shared(self) -> int:
        """Evaluation items that the training data already asks."""
        return len(self.same) + len(self.near)


def overlap(
    training: Sequence[Example], evaluation: Sequence[Example], heard: Progress = unheard
) -> Overlap:
    """Look for the questions of `evaluation` in `training`.

    Words are hashed in one pass over each side, so ten thousand items on either take seconds.
    """
    asked = {key for example in training for key in questions(example)}
    same = [example for example in evaluation if asked.intersection(questions(example))]
    found = {example.id for example in same}
    shares = ngram_shares(training, evaluation, heard)
    near = [
        example.id
        for example, share in zip(evaluation, shares, strict=True)
        if share >= SHARED_NGRAMS and example.id not in found
    ]
    return Overlap(len(evaluation), len(training), tuple(it.id for it in same), tuple(near))


def ngram_shares(
    training: Sequence[Example], evaluation: Sequence[Example], heard: Progress = unheard
) -> list[float]:
    """For each evaluation item, which share (0..1) of its own 13-grams stands in the training data.

    0 for an item with fewer than `FEWEST_OWN`: short, or hardly more than what others share.
    """
    hashed = Hashing()
    runs = [hashed(example.prompt) for example in evaluation]
    if not runs:
        return []
    every, owners = np.unique(np.concatenate(runs), return_counts=True)
    own = every[owners == 1]
    seen = np.zeros(len(own), np.int64)
    for place, example in enumerate(training):
        if place % TELL_EVERY == 0:
            heard(place, len(training))
        text = np.unique(np.concatenate([hashed(example.prompt), hashed(example.demonstration)]))
        seen[places(own, text)] += 1
    known = own[(seen > 0) & (seen <= COMMON)]
    counts = [len(places(own, run)) for run in runs]
    return [
        len(places(known, run)) / count if count >= FEWEST_OWN else 0.0
        for run, count in zip(runs, counts, strict=True)
    ]


def normalised(text: str) -> str:
    """Text as it is compared: one form of each letter, lower case, single spaces, no punctuation around it.

    Punctuation inside stays: in chemistry it tells molecules apart.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(plain.split()).strip(_PUNCTUATION + " ")


def questions(example: Example) -> Iterable[str]:
    """What an example asks: its last turn, and for options also the question with them in any order."""
    yield normalised(example.prompt)
    if example.question and example.choices:
        options = sorted(normalised(choice) for choice in example.choices)
        yield "\n".join([normalised(example.question), *options])


class _Words(dict[str, int]):
    """Numbers of words as they stand in a text: 0 for mere punctuation, else one a word, from 1."""

    def __init__(self) -> None:
        super().__init__()
        self._bare: dict[str, int] = {"": 0}

    def __missing__(self, word: str) -> int:
        bare = word.strip(_PUNCTUATION)
        number = self[word] = self._bare.setdefault(bare, len(self._bare))
        return number


class Hashing:
    """Hashes of the 13-grams of texts: word numbers mixed by random odd factors, modulo 2^64."""

    def __init__(self) -> None:
        self._words = _Words()
        random = np.random.default_rng(_SEED)
        self._factors = random.integers(0, 2**63, NGRAM_WORDS, dtype=np.uint64) * 2 + 1

    def __call__(self, text: str) -> Hashes:
        """One hash a 13-gram that occurs, sorted, each once; none of a shorter text."""
        words = normalised(text).split()
        numbers = np.fromiter(map(self._words.__getitem__, words), np.uint64, len(words))
        numbers = numbers[numbers > 0]
        if len(numbers) < NGRAM_WORDS:
            return np.empty(0, np.uint64)
        runs = np.lib.stride_tricks.sliding_window_view(numbers, NGRAM_WORDS)
        return np.unique((runs * self._factors).sum(axis=1, dtype=np.uint64))


def places(ordered: Hashes, wanted: Hashes) -> NDArray[np.int64]:
    """Where in `ordered`, which is sorted, those of `wanted` stand that are there."""
    places = np.searchsorted(ordered, wanted)
    inside = places < len(ordered)
    places, wanted = places[inside], wanted[inside]
    return np.asarray(places[ordered[places] == wanted], np.int64)
