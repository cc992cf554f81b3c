"""Log-likelihood multiple choice against a plain per-item computation, and its prompt word by word."""

from __future__ import annotations

import pytest
import torch

from core.data.example import Example, Message
from core.evaluation.likelihood import item_likelihoods
from core.evaluation.multiple_choice import (
    choice,
    choice_per_character,
    option_requests,
    problem,
    prompt,
    requests,
)
from tests.helpers.tiny import tiny_model, tiny_tokenizer


def _item(index: int, group: str = "high_school_physics", options: int = 4) -> Example:
    cities = ("Paris", "Oslo", "Rome", "Lima", "Cairo", "Delhi")
    return Example(
        id=str(index),
        messages=(Message("user", "unused"),),
        choices=cities[index % 2 : index % 2 + options],
        gold_choice=index % options,
        group=group,
        question=f" Which city is number {index}{' of all' * (index % 3)}? ",
    )


def test_that_the_prompt_is_lm_evals_for_mmlu() -> None:
    assert prompt(_item(0), [_item(1)]) == (
        "The following are multiple choice questions (with answers) about high school physics.\n\n"
        "Which city is number 1 of all?\nA. Oslo\nB. Rome\nC. Lima\nD. Cairo\nAnswer: B\n\n"
        "Which city is number 0?\nA. Paris\nB. Oslo\nC. Rome\nD. Lima\nAnswer:"
    )
    assert prompt(_item(0, group="")).startswith(
        "The following are multiple choice questions (with answers).\n\nWhich"
    )


def _plain(context: tuple[int, ...], following: tuple[int, ...]) -> float:
    """One unpadded row, full logits, one log-softmax, token by token."""
    model = tiny_model()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([context + following])).logits[0].double()
    total = 0.0
    for offset, token in enumerate(following):
        row = logits[len(context) + offset - 1]
        total += float(row[token] - torch.logsumexp(row, 0))
    return total


def test_that_the_choice_is_the_likeliest_letter_and_the_margin_is_to_the_best_other() -> None:
    tokenizer = tiny_tokenizer()
    items = [_item(i, options=2 + i % 4) for i in range(6)]
    shots = [[], [_item(9)], [], [_item(8), _item(9)], [], []]
    asked = [requests(one, worked) for one, worked in zip(items, shots, strict=True)]
    scored = dict(item_likelihoods(tiny_model(), tokenizer, asked, batch_size=4))
    found = [choice(one, scored[place]) for place, one in enumerate(items)]
    for item, worked, chosen in zip(items, shots, found, strict=True):
        context = prompt(item, worked)
        before = tuple(tokenizer(context, add_special_tokens=False).input_ids)
        scores = []
        for letter in "ABCDEF"[: len(item.choices)]:
            whole = tuple(tokenizer(f"{context} {letter}", add_special_tokens=False).input_ids)
            assert whole[: len(before)] == before
            scores.append(_plain(before, whole[len(before) :]))
        assert chosen.index == scores.index(max(scores))
        gold = scores.pop(item.gold_choice or 0)
        assert chosen.margin == pytest.approx(gold - max(scores), abs=1e-4)
    assert len({chosen.index for chosen in found}) > 1


def test_that_items_without_options_or_gold_are_named() -> None:
    good = _item(0)
    assert problem([good]) == ""
    no_gold = Example(id="7", messages=good.messages, choices=good.choices, question="?")
    assert "item 7 has 4 options and no gold" in problem([good, no_gold])
    assert "item 0 has 1 options" in problem([_item(0, options=1)])
    bare = Example(id="8", messages=good.messages, choices=good.choices, gold_choice=0)
    assert "no question" in problem([bare])


def test_that_options_are_compared_per_character_as_lm_evals_acc_norm() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    examples = [_item(index) for index in range(5)]
    asked = [option_requests(one) for one in examples]
    scored = dict(item_likelihoods(model, tokenizer, asked, batch_size=3))
    for place, example in enumerate(examples):
        chosen = choice_per_character(example, scored[place])
        context = tuple(tokenizer.encode(example.question.strip(), add_special_tokens=False))
        scores = []
        for option in example.choices:
            whole = tokenizer.encode(
                f"{example.question.strip()} {option}", add_special_tokens=False
            )
            scores.append(_plain(context, tuple(whole[len(context) :])) / len(option))
        assert chosen.index == scores.index(max(scores))
        gold = scores.pop(example.gold_choice or 0)
        assert chosen.margin == pytest.approx(gold - max(scores), abs=1e-4)
