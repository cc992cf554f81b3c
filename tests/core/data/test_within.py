"""Near repeats within one dataset, against plain sets of words; and leaks between two, likewise."""

from __future__ import annotations

import random
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import pytest

from core.data.example import Example, Message
from core.data.leaks import Leak, leaks
from core.data.overlap import COMMON, FEWEST_OWN, NGRAM_WORDS, SHARED_NGRAMS, ngram_shares
from core.data.within import SHARING, near_repeats

WORDS = [f"word{number}" for number in range(400)]
AROUND = string.punctuation + "\u201c\u201d\u2018\u2019\u00ab\u00bb\u2026\u2013\u2014"


def _words(text: str) -> list[str]:
    """The words that are compared, by other means than the code's."""
    plain = unicodedata.normalize("NFKC", text).casefold().split()
    return [bare for word in plain if (bare := word.strip(AROUND))]


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[n : n + NGRAM_WORDS]) for n in range(max(0, len(words) - NGRAM_WORDS + 1))}


def _item(number: int, prompt: str, demonstration: str = "") -> Example:
    return Example(f"{number}-x", (Message("user", prompt),), demonstration)


def _edited(text: str, edits: int, by: random.Random) -> str:
    words = text.split()
    for _ in range(edits):
        words[by.randrange(len(words))] = f"new{by.randrange(10**6)}"
    return " ".join(words)


def _found(pairs: Sequence[Leak]) -> list[tuple[int, int, str]]:
    return [(it.evaluated, it.trained, it.kind) for it in pairs]


@pytest.fixture
def mixed() -> list[Example]:
    """Texts of 20 to 80 words, some repeated with one to twenty words changed, over three instructions."""
    by = random.Random(3)
    rules = ["", *(" ".join(by.sample(WORDS, 30)) for _ in range(2))]
    texts: list[str] = []
    for _ in range(220):
        if texts and by.random() < 0.4:
            texts.append(_edited(by.choice(texts), by.choice((0, 1, 2, 5, 20)), by))
        else:
            texts.append(f"{by.choice(rules)} {' '.join(by.choices(WORDS, k=by.randint(20, 80)))}")
    return [_item(number, text) for number, text in enumerate(texts)]


def test_that_near_repeats_are_those_that_plain_sets_find(mixed: list[Example]) -> None:
    expected: list[tuple[int, int, str]] = []
    first: dict[tuple[str, ...], int] = {}
    runs: list[set[tuple[str, ...]]] = []
    for place, example in enumerate(mixed):
        earlier = first.setdefault(tuple(_words(example.prompt)), place)
        runs.append(_runs(example.prompt) if earlier == place else set())
        if earlier != place:
            expected.append((place, earlier, "same"))
    count = Counter(run for it in runs for run in it)
    for place, mine in enumerate(runs):
        own = {run for run in mine if count[run] <= SHARING}
        near = [
            (len(mine & other), -at)
            for at, other in enumerate(runs[:place])
            if len(own) >= FEWEST_OWN
            and len(own & other) >= SHARED_NGRAMS * len(own)
            and len(mine & other) >= SHARED_NGRAMS * len(mine)
        ]
        if near:
            expected.append((place, -max(near)[1], "near"))
    found = near_repeats(mixed)
    assert found is not None
    assert _found(found) == sorted(expected)
    kinds = Counter(it.kind for it in found)
    assert kinds["same"] > 5
    assert kinds["near"] > 10
    for it in found:
        mine = _runs(mixed[it.evaluated].prompt)
        share = len(mine & _runs(mixed[it.trained].prompt)) / len(mine)
        assert it.share == pytest.approx(share)


def test_that_leaks_between_two_sets_are_those_that_plain_sets_find(mixed: list[Example]) -> None:
    training, evaluation = mixed[:150], mixed[150:]
    count = Counter(run for it in evaluation for run in _runs(it.prompt))
    trained = [_runs(it.prompt) for it in training]
    seen = Counter(run for it in trained for run in it)
    expected = []
    for example in evaluation:
        own = {run for run in _runs(example.prompt) if count[run] == 1}
        known = sum(0 < seen[run] <= COMMON for run in own)
        expected.append(known / len(own) if len(own) >= FEWEST_OWN else 0.0)
    assert ngram_shares(training, evaluation) == pytest.approx(expected)
    asked = {tuple(_words(it.prompt)) for it in training}
    near = {n for n, share in enumerate(expected) if share >= SHARED_NGRAMS}
    same = {n for n, it in enumerate(evaluation) if tuple(_words(it.prompt)) in asked}
    found = leaks(training, evaluation)
    assert {it.evaluated for it in found if it.kind == "same"} == same
    assert {it.evaluated for it in found if it.kind == "near"} == near - same
    for it in found:
        if it.kind == "near":
            mine = _runs(evaluation[it.evaluated].prompt)
            assert len(mine & trained[it.trained]) == max(len(mine & other) for other in trained)


def test_that_letters_written_in_two_ways_are_the_same_question() -> None:
    composed, apart = (unicodedata.normalize(it, "Où est né Ångström ?") for it in ("NFC", "NFD"))
    assert composed != apart
    assert _found(leaks([_item(0, composed)], [_item(0, apart)])) == [(0, 0, "same")]
    found = near_repeats([_item(0, composed), _item(1, apart)])
    assert found is not None
    assert _found(found) == [(1, 0, "same")]


def test_that_questions_on_one_tool_are_no_repeats_and_a_copy_among_them_is() -> None:
    by = random.Random(8)
    tool = " ".join(by.choices(WORDS, k=300))
    items = [
        _item(n, f"{tool} {' '.join(f'q{n}w{place}' for place in range(25))}") for n in range(6)
    ]
    assert near_repeats(items) == []
    copied = _item(6, items[2].prompt + " please")
    found = near_repeats([*items, copied])
    assert found is not None
    assert _found(found) == [(6, 2, "near")]


def test_that_what_one_more_than_three_share_is_no_items_own() -> None:
    by = random.Random(9)
    tool = " ".join(by.choices(WORDS, k=300))
    items = [
        _item(n, f"{tool} {' '.join(f'q{n}w{place}' for place in range(25))}") for n in range(4)
    ]
    assert near_repeats(items[: SHARING + 1]) == []
    found = near_repeats(items[:SHARING])
    assert found is not None
    assert _found(found) == [(1, 0, "near"), (2, 0, "near")]


def test_that_exact_copies_do_not_hide_a_near_one() -> None:
    text = " ".join(random.Random(10).sample(WORDS, 60))
    found = near_repeats([*(_item(n, text) for n in range(4)), _item(4, f"{text} please")])
    assert found is not None
    assert _found(found) == [(1, 0, "same"), (2, 0, "same"), (3, 0, "same"), (4, 0, "near")]


def test_that_a_common_end_under_another_instruction_is_no_repeat() -> None:
    by = random.Random(11)
    one, other = (" ".join(by.choices(WORDS, k=400)) for _ in range(2))
    common = " ".join(f"c{n}" for n in range(80))
    filled = [_item(n, f"{(one, other)[n % 2]} {by.random()}") for n in range(10)]
    assert (
        near_repeats([*filled, _item(10, f"{one} {common}"), _item(11, f"{other} {common}")]) == []
    )


def test_that_more_than_is_affordable_is_left_and_said(mixed: list[Example]) -> None:
    told: list[tuple[int, int]] = []
    assert near_repeats(mixed, lambda *it: told.append(it), most=1_000) is None
    assert told == [(0, len(mixed))]
    assert near_repeats([]) == []
