"""Equality after the stated clean-up, against lm-eval's own, and what the pattern takes out."""

from __future__ import annotations

import itertools

import pytest

from core.data.example import Example, Message
from core.evaluation.exact_match import extract, is_correct, problem
from core.recipe.sources import Task

TEXTS = ("Paris", "paris", " Paris\n", "Paris.", "P.a.r.i.s", "PARIS!", "Pa ris", "Oslo", "", ".")


def _task(**settings: object) -> Task:
    return Task.model_validate({"scorer": "exact_match_v1", "dataset": "x", **settings})


@pytest.mark.parametrize("ignore_case", [False, True])
@pytest.mark.parametrize("ignore_punctuation", [False, True])
def test_that_the_clean_up_is_that_of_lm_evals_exact_match(
    ignore_case: bool, ignore_punctuation: bool
) -> None:
    metrics = pytest.importorskip("lm_eval.api.metrics")
    task = _task(ignore_case=ignore_case, ignore_punctuation=ignore_punctuation, strip=False)
    for text, gold in itertools.product(TEXTS, TEXTS):
        found = metrics.exact_match_hf_evaluate(
            [text], [gold], ignore_case=ignore_case, ignore_punctuation=ignore_punctuation
        )
        assert is_correct(text, gold, task) == bool(found["exact_match"]), (text, gold)


def test_that_white_space_at_the_ends_counts_only_when_asked_for() -> None:
    assert is_correct(" Paris\n", "Paris", _task())
    assert not is_correct(" Paris\n", "Paris", _task(strip=False))
    assert not is_correct("Pa ris", "Paris", _task())
    assert is_correct("Paris !", "Paris", _task(ignore_punctuation=True))


def test_that_the_last_match_or_its_first_group_is_compared() -> None:
    text = "The answer is 4. No: the answer is 5."
    assert extract(text, None) == text
    assert extract(text, r"\d") == "5"
    assert extract(text, r"answer is (\d)(\.)") == "5"
    assert extract(text, r"answer: (\d)") is None
    assert is_correct(text, "5", _task(answer_pattern=r"(\d+)"))
    assert not is_correct("5", "5", _task(answer_pattern=r"answer is (\d+)"))


def test_that_a_gold_answer_that_is_missing_or_cleaned_away_is_named() -> None:
    good = Example("0", (Message("user", "?"),), gold="!")
    bad = Example("7", (Message("user", "?"),))
    assert problem(_task(), [good]) == ""
    assert "item 7 has no gold answer" in problem(_task(), [good, bad])
    assert "gold answer of item 0" in problem(_task(ignore_punctuation=True), [good])
