"""Training items that ask what the evaluation asks, and those that only look like it."""

from __future__ import annotations

import random

from core.data.example import Example, Message
from core.data.overlap import COMMON, NGRAM_WORDS, ngram_shares, normalised, overlap

WORDS = [f"word{number}" for number in range(5000)]


def _text(seed: int, count: int) -> str:
    return " ".join(random.Random(seed).sample(WORDS, count))


def _item(name: str, prompt: str, demonstration: str = "", **fields: object) -> Example:
    return Example(name, (Message("user", prompt),), demonstration, **fields)  # type: ignore[arg-type]


def _choice(name: str, question: str, *choices: str, letters: str = "ABCD") -> Example:
    lines = "\n".join(f"{letter}. {it}" for letter, it in zip(letters, choices, strict=False))
    return _item(name, f"{question}\n{lines}", question=question, choices=choices, gold="A")


def test_that_a_question_is_found_whatever_its_case_spaces_and_last_sign() -> None:
    found = overlap([_item("t", "  what IS\nthis")], [_item("e", "What is this?")])
    assert (found.same, found.near, found.shared) == (("e",), (), 1)
    assert (found.evaluated, found.trained) == (1, 1)
    assert normalised("ﬁne  ÉCOLE!") == "fine école"


def test_that_signs_inside_tell_molecules_apart() -> None:
    ask = "How many heavy atoms are in {}?"
    train = [_item("t", ask.format("C[C@H](O)N"))]
    assert overlap(train, [_item("e", ask.format("C[C@@H](O)N"))]).shared == 0
    assert overlap(train, [_item("e", ask.format("C[C@H](O)N"))]).shared == 1


def test_that_options_in_another_order_are_the_same_question_and_other_options_are_not() -> None:
    train = [_choice("t", "Which one is true?", "red", "green", "blue")]
    turned = _choice("turned", "Which one is true?", "blue", "red", "green")
    other = _choice("other", "Which one is true?", "oak", "elm", "ash")
    assert overlap(train, [turned, other]).same == ("turned",)


def test_that_the_answer_in_a_demonstration_is_no_overlap() -> None:
    answer = _text(1, 30)
    train = [_item("t", "Tell me something else entirely.", f"It is known that {answer}")]
    evaluated = _item("e", "What do you know?", answer, gold=answer)
    assert overlap(train, [evaluated]).shared == 0


def test_that_a_question_inside_a_training_prompt_or_demonstration_is_found() -> None:
    question = _text(2, 40)
    asked = _item("e", question)
    in_prompt = [_item("t", f"{_text(3, 50)} {question} {_text(4, 50)}")]
    in_demonstration = [_item("t", "Write a riddle.", f"Gladly: {question}")]
    assert overlap(in_prompt, [asked]).near == ("e",)
    assert overlap(in_demonstration, [asked]).near == ("e",)
    assert ngram_shares(in_prompt, [asked]) == [1.0]


def test_that_the_share_counts_runs_of_thirteen_words() -> None:
    assert NGRAM_WORDS == 13
    words = _text(5, 52).split()
    half = " ".join(words[:26])
    # 52 words have 40 runs of 13; the first half holds 14 of them.
    assert ngram_shares([_item("t", half)], [_item("e", " ".join(words))]) == [14 / 40]
    assert overlap([_item("t", half)], [_item("e", " ".join(words))]).shared == 0
    twelve = _item("t", " ".join(words[:12]))
    assert ngram_shares([twelve], [_item("e", " ".join(words))]) == [0.0]
    assert ngram_shares([_item("t", half)], [_item("e", " ".join(words[:12]))]) == [0.0]


def test_that_punctuation_around_words_does_not_hide_a_run() -> None:
    words = _text(6, 30).split()
    asked = _item("e", " ".join(words))
    quoted = _item("t", " - ".join(f"“{word}”," for word in words))
    assert ngram_shares([quoted], [asked]) == [1.0]


def test_that_what_the_evaluated_items_share_is_not_their_own() -> None:
    documentation = _text(7, 200)
    train = [_item("t", f"{documentation} {_text(8, 20)}")]  # the same tool, another question
    evaluated = [_item(f"e{n}", f"{documentation} {_text(10 + n, 20)}") for n in range(3)]
    assert ngram_shares(train, evaluated) == [0.0, 0.0, 0.0]
    copied = _item("copy", evaluated[1].prompt + " please")
    assert overlap([*train, copied], evaluated).near == ("e1",)


def test_that_what_many_training_items_share_is_boilerplate() -> None:
    rule = _text(9, 60)
    evaluated = [_item("e", rule)]
    few = [_item(f"t{n}", f"{rule} {_text(100 + n, 20)}") for n in range(COMMON)]
    assert overlap(few, evaluated).near == ("e",)
    many = [*few, _item("one more", f"{rule} {_text(99, 20)}")]
    assert overlap(many, evaluated).shared == 0


def test_that_an_item_with_few_runs_of_its_own_is_compared_as_a_whole_only() -> None:
    template = _text(11, 60)
    evaluated = [_item("e1", f"{template} up"), _item("e2", f"{template} down")]
    assert ngram_shares([_item("t", f"{template} up now")], evaluated) == [0.0, 0.0]
    assert overlap([_item("t", f"{template} up")], evaluated).same == ("e1",)


def test_that_nothing_overlaps_with_nothing() -> None:
    assert overlap([], []).shared == 0
    assert overlap([], [_item("e", _text(12, 30))]).shared == 0
    assert overlap([_item("t", _text(12, 30))], []).evaluated == 0


def test_that_a_large_training_set_finds_exactly_what_was_planted() -> None:
    evaluated = [_item(f"e{n}", _text(20_000 + n, 40)) for n in range(300)]
    train = [_item(f"t{n}", _text(n, 60)) for n in range(700)]
    planted = [_item(f"p{n}", f"{evaluated[n].prompt} {_text(n, 10)}") for n in range(0, 300, 30)]
    found = overlap([*train, *planted], evaluated)
    assert found.near == tuple(f"e{n}" for n in range(0, 300, 30))
    assert found.same == ()
