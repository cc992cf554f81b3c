"""Lengths of prompts and answers, from the data or from their characters."""

from __future__ import annotations

import pytest

from core.data.chat import prompt_ids, teacher_messages
from core.engine.lengths import Span, lengths_of, limits
from tests.helpers.tiny import tiny_tokenizer
from tests.helpers.training import weather


def test_that_the_longest_are_exact_and_the_mean_is_near() -> None:
    tokenizer, examples = tiny_tokenizer(), weather(100).examples
    found = lengths_of(examples, tokenizer)
    prompts = [len(prompt_ids(tokenizer, it.messages)) for it in examples]
    taught = [len(prompt_ids(tokenizer, teacher_messages(it))) for it in examples]
    assert found.items == 100
    assert found.source == "data"
    assert found.prompt.longest == max(prompts)
    assert found.teacher.longest == max(taught)
    assert found.prompt.mean == pytest.approx(sum(prompts) / 100, rel=0.3)


def test_that_characters_are_counted_without_a_tokenizer() -> None:
    examples = weather(8).examples
    found = lengths_of(examples, None)
    exact = lengths_of(examples, tiny_tokenizer())
    assert found.source == "characters"
    assert 0.3 < found.prompt.longest / exact.prompt.longest < 3


def test_that_an_answer_without_text_has_no_length() -> None:
    found = lengths_of(weather(3, demonstration="").examples, tiny_tokenizer())
    assert found.answer.longest == 1  # the end of the turn
    assert found.teacher == found.prompt


def test_that_limits_bound_what_is_known() -> None:
    assert Span(900, 100.0).within(512) == Span(512, 100.0)
    known = limits(4096, 1024)
    assert (known.prompt.longest, known.answer.longest, known.source) == (4096, 1024, "limits")
