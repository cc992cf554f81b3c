"""The budget of live CKA: seldom enough for its share, from simulated times of steps and measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.stages.probe_budget import ProbeBudget


@dataclass
class Story:
    """A training whose every second is told: steps measured, share after each, warnings."""

    measured: list[int] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    told: list[dict[str, float]] = field(default_factory=list)


def train(
    every: int,
    share: float,
    steps: int,
    step_seconds: Callable[[int], float],
    measurement_seconds: float,
    scoring_seconds: float = 0.0,
) -> Story:
    now, training, probing = 0.0, 0.0, 0.0
    budget = ProbeBudget(every, share, lambda: now)
    story = Story()
    for step in range(steps + 1):
        if step:
            now += step_seconds(step)
            training += step_seconds(step)
        budget.arrive(step)
        now += scoring_seconds
        if budget.is_due(step):
            news = budget.news(step, steps)
            if news is not None:
                story.told.append({"step": step, **news})
            if budget.allows(step, steps):
                with budget.measuring():
                    now += measurement_seconds
                probing += measurement_seconds
                story.measured.append(step)
                story.shares.append(probing / (training + probing))
        budget.leave()
    return story


def test_that_a_cheap_measurement_is_taken_whenever_it_is_asked_for() -> None:
    story = train(5, 0.1, 50, lambda _: 1.0, 0.1)
    assert story.measured == list(range(0, 51, 5))
    assert story.told == []


def test_that_a_dear_measurement_is_taken_less_often_and_stays_within_its_share() -> None:
    story = train(10, 0.1, 1000, lambda _: 0.5, 2.0)
    # 2 s pay for 18 s of training: 36 steps, so 40; the first was on credit.
    assert story.measured[:4] == [0, 80, 110, 150]
    assert story.measured[-1] == 1000
    assert all(share <= 0.1 for share in story.shares[1:-1])
    assert len(story.measured) >= 1000 / 40
    (told,) = story.told
    assert told == {
        "step": 10,
        "every_steps": 10,
        "interval": 40,
        "next_step": 80,
        "measurement_seconds": 2.0,
        "step_seconds": 0.5,
    }


def test_that_the_first_and_the_last_due_step_are_always_measured() -> None:
    story = train(10, 0.1, 45, lambda _: 0.01, 100.0)
    assert story.measured == [0, 40]
    (told,) = story.told
    assert told["next_step"] == 40


def test_that_without_a_limit_nothing_is_left_out() -> None:
    story = train(1, 1.0, 20, lambda _: 0.001, 100.0)
    assert story.measured == list(range(21))
    assert story.told == []


def test_that_the_interval_falls_back_when_steps_get_slower_and_both_changes_are_told_once() -> (
    None
):
    story = train(10, 0.1, 2000, lambda step: 0.1 if step <= 1000 else 10.0, 2.0)
    gaps = [b - a for a, b in zip(story.measured, story.measured[1:], strict=False)]
    assert gaps[0] > 100
    assert gaps[-1] == 10
    assert [(it["step"], it["interval"]) for it in story.told] == [(10, 180), (1010, 10)]


def test_that_scoring_counts_neither_as_training_nor_as_probing() -> None:
    plain = train(10, 0.1, 300, lambda _: 0.5, 2.0)
    scored = train(10, 0.1, 300, lambda _: 0.5, 2.0, scoring_seconds=50.0)
    assert scored == plain


def test_that_a_skip_that_only_pays_for_the_first_measurement_is_not_told() -> None:
    story = train(10, 0.1, 100, lambda _: 1.0, 0.9)
    assert story.measured == [0, *range(20, 101, 10)]
    assert story.told == []


def test_that_a_resumed_training_measures_first_and_learns_the_times_then() -> None:
    now = 0.0
    budget = ProbeBudget(10, 0.1, lambda: now)
    for step in range(101, 141):
        budget.arrive(step)
        if budget.is_due(step):
            assert budget.allows(step, 1000) == (step == 110)
            assert (budget.news(step, 1000) is not None) == (step == 120)
        if step == 110:
            with budget.measuring():
                now += 100.0
        budget.leave()
        now += 1.0


@given(
    every=st.integers(1, 20),
    share=st.floats(0.01, 1.0),
    cost=st.floats(0.001, 50.0),
    seconds=st.lists(st.floats(0.01, 5.0), min_size=1, max_size=7),
)
def test_that_the_share_holds_whatever_the_times_are(
    every: int, share: float, cost: float, seconds: list[float]
) -> None:
    steps = 200
    story = train(every, share, steps, lambda step: seconds[step % len(seconds)], cost)
    assert story.measured[0] == 0
    assert story.measured[-1] == steps - steps % every
    assert all(step % every == 0 for step in story.measured)
    assert all(it <= share + 1e-9 for it in story.shares[1:-1])


def test_that_an_interrupted_measurement_does_not_count() -> None:
    now = 0.0
    budget = ProbeBudget(1, 0.1, lambda: now)

    def interrupted() -> None:
        nonlocal now
        with budget.measuring():
            now += 100.0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert budget.allows(5, 10)
