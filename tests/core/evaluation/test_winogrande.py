"""Winogrande's form word by word, and its choices against a plain computation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core.data.example import Example, Message
from core.evaluation.likelihood import item_likelihoods
from core.evaluation.multiple_choice import choice
from core.evaluation.winogrande import problem, requests
from tests.helpers.tiny import tiny_model, tiny_tokenizer


def _item(index: int = 0) -> Example:
    cities = ("Paris", "Oslo", "Rome", "Lima", "Cairo", "Delhi")
    options = (cities[index % 6], cities[(index + 1) % 6])
    return Example(
        id=str(index),
        messages=(Message("user", "unused"),),
        choices=options,
        gold_choice=index % 2,
        question=f"{options[0]} is larger than {options[1]}, so _  is the smaller city {index}. ",
    )


def test_that_the_rest_of_the_sentence_follows_each_option() -> None:
    assert requests(_item()) == [
        ("Paris is larger than Oslo, so Paris", " is the smaller city 0."),
        ("Paris is larger than Oslo, so Oslo", " is the smaller city 0."),
    ]


def test_that_worked_examples_are_sentences_with_the_right_option() -> None:
    worked = (
        "Rome is larger than Lima, so Rome is the smaller city 2.\n\n"
        "Oslo is larger than Rome, so Rome is the smaller city 1.\n\n"
    )
    plain = requests(_item())
    assert requests(_item(), [_item(2), _item(1)]) == [
        (worked + context, rest) for context, rest in plain
    ]


def test_that_the_first_blank_counts() -> None:
    item = replace(_item(), question="Was _ there, or _?")
    assert requests(item)[1] == ("Was Oslo", " there, or _?")


@pytest.mark.parametrize("shots", [0, 2])
def test_that_the_option_with_the_likelier_rest_is_chosen(shots: int) -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    items = [_item(index) for index in range(6)]
    worked = [[_item(number) for number in range(10, 10 + shots)] for _ in items]
    asked = [requests(one, before) for one, before in zip(items, worked, strict=True)]
    scored = dict(item_likelihoods(model, tokenizer, asked, batch_size=3))
    found = [choice(one, scored[place]) for place, one in enumerate(items)]
    for item, before, chosen in zip(items, worked, found, strict=True):
        scores = []
        for context, rest in requests(item, before):
            start = len(tokenizer(context).input_ids)
            ids = torch.tensor([tokenizer(context + rest).input_ids])
            with torch.no_grad():
                log_p = model(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
            scores.append(float(log_p.gather(1, ids[0, 1:, None])[start - 1 :].sum()))
        assert chosen.index == scores.index(max(scores))
        gold = scores.pop(item.gold_choice or 0)
        assert chosen.margin == pytest.approx(gold - scores[0], abs=1e-4)
    assert {chosen.index for chosen in found} == {0, 1}


def test_that_items_without_blank_rest_or_options_are_named() -> None:
    good = _item()
    assert problem([good]) == ""
    assert "item 0 has no blank" in problem([good, replace(good, question="No gap.")])
    assert "nothing after its blank" in problem([replace(good, question="It was _ ")])
    assert "3 options and a right one" in problem([replace(good, choices=("a", "b", "c"))])
    assert "2 options and no right one" in problem([replace(good, gold_choice=None)])
