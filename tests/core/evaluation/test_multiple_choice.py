"""Log-likelihood multiple choice against a plain per-item computation, and its prompt word by word."""

from __future__ import annotations

import math

import pytest
import torch

from core.data.example import Example, Message
from core.errors import StopRequested, UserError
from core.evaluation.multiple_choice import (
    Continuation,
    answer,
    choose_option,
    choose_shots,
    continuation,
    log_likelihoods,
    problem,
    prompt,
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


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_that_batched_scores_equal_plain_ones(batch_size: int) -> None:
    requests = [
        Continuation((5, 6, 7), (8,)),
        Continuation((5, 6, 7), (9,)),
        Continuation((5, 6, 7), (8, 11, 300)),
        Continuation((17, 4, 200, 34, 90, 5, 6), (1, 2)),
        Continuation((42,), (10,)),
        Continuation((5, 6, 7), (8,)),
    ]
    found = log_likelihoods(tiny_model(), requests, pad_id=0, batch_size=batch_size)
    expected = [_plain(each.context, each.following) for each in requests]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found[0] == found[5]


def test_that_one_token_options_of_a_question_share_one_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = tiny_model(), []
    forward = model.forward

    def counted(*args: object, **kwargs: torch.Tensor) -> object:
        rows.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", counted)
    requests = [
        Continuation(context, (letter,))
        for context in ((5, 6, 7), (8, 9))
        for letter in (40, 41, 42, 43)
    ]
    log_likelihoods(model, requests, pad_id=0, batch_size=8)
    assert rows == [(2, 3)]


def test_that_the_choice_is_the_likeliest_letter_and_the_margin_is_to_the_best_other() -> None:
    tokenizer = tiny_tokenizer()
    items = [_item(i, options=2 + i % 4) for i in range(6)]
    shots = [[], [_item(9)], [], [_item(8), _item(9)], [], []]
    found = list(answer(tiny_model(), tokenizer, items, shots, batch_size=4))
    for item, worked, choice in zip(items, shots, found, strict=True):
        context = prompt(item, worked)
        before = tuple(tokenizer(context, add_special_tokens=False).input_ids)
        scores = []
        for letter in "ABCDEF"[: len(item.choices)]:
            whole = tuple(tokenizer(f"{context} {letter}", add_special_tokens=False).input_ids)
            assert whole[: len(before)] == before
            scores.append(_plain(before, whole[len(before) :]))
        assert choice.index == scores.index(max(scores))
        gold = scores.pop(item.gold_choice or 0)
        assert choice.margin == pytest.approx(gold - max(scores), abs=1e-4)
    assert len({choice.index for choice in found}) > 1


def test_that_scoring_leaves_the_training_mode_as_it_was() -> None:
    model = tiny_model().train()
    model.model.layers[0].eval()
    before = [module.training for module in model.modules()]
    log_likelihoods(model, [Continuation((5,), (6,))], pad_id=0, batch_size=1)
    assert [module.training for module in model.modules()] == before


def test_that_tokens_are_split_where_the_context_ends() -> None:
    tokenizer = tiny_tokenizer()
    each = continuation(tokenizer, "Answer:", " A")
    assert tokenizer.decode(each.context) == "Answer:"
    assert tokenizer.decode(each.following) == " A"


def test_that_worked_examples_are_the_first_of_the_subject_in_the_pool() -> None:
    pool = [_item(i, group="ab"[i % 2]) for i in range(6)]
    assert [one.id for one in choose_shots(_item(7, group="b"), pool, 2)] == ["1", "3"]
    assert choose_shots(_item(7, group="c"), pool, 0) == []
    with pytest.raises(UserError, match=r"4 worked examples on b are wanted, and .* has 3"):
        choose_shots(_item(7, group="b"), pool, 4)


def test_that_items_without_options_or_gold_are_named() -> None:
    good = _item(0)
    assert problem([good]) == ""
    no_gold = Example(id="7", messages=good.messages, choices=good.choices, question="?")
    assert "item 7 has 4 options and no gold" in problem([good, no_gold])
    assert "item 0 has 1 options" in problem([_item(0, options=1)])
    bare = Example(id="8", messages=good.messages, choices=good.choices, gold_choice=0)
    assert "no question" in problem([bare])


def test_that_a_stop_is_heard_between_batches() -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise StopRequested

    requests = [Continuation((token,), (6,)) for token in range(5, 11)]
    with pytest.raises(StopRequested):
        log_likelihoods(tiny_model(), requests, pad_id=0, batch_size=2, check=check)
    assert len(calls) == 2


def test_that_scores_are_log_probabilities() -> None:
    requests = [Continuation((5, 6), (token,)) for token in range(512)]
    found = log_likelihoods(tiny_model(), requests, pad_id=0, batch_size=8)
    assert sum(map(math.exp, found)) == pytest.approx(1.0, abs=1e-5)


def test_that_options_are_compared_per_character_as_lm_evals_acc_norm() -> None:
    model, tokenizer = tiny_model(), tiny_tokenizer()
    examples = [_item(index) for index in range(5)]
    found = list(choose_option(model, tokenizer, examples, batch_size=3))
    for example, choice in zip(examples, found, strict=True):
        context = tuple(tokenizer.encode(example.question.strip(), add_special_tokens=False))
        scores = []
        for option in example.choices:
            whole = tokenizer.encode(
                f"{example.question.strip()} {option}", add_special_tokens=False
            )
            scores.append(_plain(context, tuple(whole[len(context) :])) / len(option))
        assert choice.index == scores.index(max(scores))
        gold = scores.pop(example.gold_choice or 0)
        assert choice.margin == pytest.approx(gold - max(scores), abs=1e-4)
