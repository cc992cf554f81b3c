"""Sampling by the student, and the text of single tokens."""

from __future__ import annotations

from core.distill.rollout import Rollout, pieces
from tests.helpers.tiny import tiny_model, tiny_tokenizer

PROMPTS = [[5, 6, 7], [40, 41, 42, 43, 44, 45], [9], [60, 61, 62, 63]]


def rollout(
    seed: int = 0, batch_size: int = 2, temperature: float = 1.0, generations: int = 1
) -> Rollout:
    return Rollout(temperature, 6, batch_size, frozenset({2}), 0, seed, num_generations=generations)


def test_that_answers_come_in_the_order_of_the_prompts() -> None:
    model = tiny_model()

    # So cold that sampling takes the likeliest token, whatever the batch.
    cold = [
        rollout(batch_size=size, temperature=1e-4).sample(model, PROMPTS, 1, lambda: None)
        for size in (1, 2, 4)
    ]

    assert cold[0] == cold[1] == cold[2]
    assert len({tuple(answer.ids) for answer in cold[0]}) > 1


def test_that_chance_depends_on_seed_and_step_only() -> None:
    model = tiny_model()

    first = rollout().sample(model, PROMPTS, 3, lambda: None)

    assert rollout().sample(model, PROMPTS, 3, lambda: None) == first
    assert rollout().sample(model, PROMPTS, 4, lambda: None) != first
    assert rollout(seed=1).sample(model, PROMPTS, 3, lambda: None) != first


def test_that_an_answer_does_not_depend_on_how_the_step_is_divided() -> None:
    model = tiny_model()

    whole = rollout(batch_size=3, generations=2).sample(model, PROMPTS, 3, lambda: None)
    part = rollout(batch_size=1, generations=2).sample(
        model, PROMPTS[1:], 3, lambda: None, positions=range(1, len(PROMPTS))
    )

    assert whole[2:] == part
    assert len(whole) == 8


def test_that_the_completions_of_a_prompt_lie_together_and_differ() -> None:
    model = tiny_model()
    one = rollout().sample(model, PROMPTS, 3, lambda: None)

    three = rollout(generations=3).sample(model, PROMPTS, 3, lambda: None, with_log_probs=True)

    assert [answer.ids for answer in three[::3]] == [answer.ids for answer in one]
    assert three[0].ids != three[1].ids
    assert all(len(answer.log_probs) == len(answer.ids) for answer in three)


def test_that_equal_prompts_of_a_step_get_answers_of_their_own() -> None:
    first, second = rollout().sample(tiny_model(), [PROMPTS[0]] * 2, 1, lambda: None)

    assert first != second


def test_that_a_stop_is_looked_for_at_every_token() -> None:
    looks: list[int] = []

    rollout(batch_size=4).sample(tiny_model(), PROMPTS, 1, lambda: looks.append(1))

    assert 1 <= len(looks) <= 6


def test_that_a_character_of_several_tokens_is_shown_once_and_whole() -> None:
    tokenizer = tiny_tokenizer()
    text = "weather in 東京 🌧 today"
    ids = tokenizer(text).input_ids

    shown = pieces(tokenizer, ids)

    assert len(shown) == len(ids)
    assert "".join(shown) == text
    assert "" in shown
    assert pieces(tokenizer, []) == []


def test_that_an_unfinished_character_at_the_end_is_shown_as_such() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer("🌧").input_ids[:-1]

    assert pieces(tokenizer, ids)[-1] == "\ufffd"
    assert len(pieces(tokenizer, ids)) == len(ids)
