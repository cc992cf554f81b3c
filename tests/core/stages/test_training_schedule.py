"""Data order and learning rate."""

from __future__ import annotations

import pytest

from core.stages.schedule import DataOrder, learning_rate


def flat(order: DataOrder) -> list[int]:
    return [item for step in range(order.steps) for item in order.batch(step)]


def test_that_the_order_of_items_does_not_depend_on_the_batch_size() -> None:
    orders = [
        DataOrder.plan(10, size, max_steps=None, epochs=2.5, seed=3) for size in (1, 4, 7, 100)
    ]

    assert len({tuple(flat(order)) for order in orders}) == 1
    assert [order.steps for order in orders] == [25, 7, 4, 1]


def test_that_each_epoch_takes_every_item_once_in_another_order() -> None:
    items = flat(DataOrder.plan(10, 4, max_steps=None, epochs=2, seed=3))

    assert sorted(items[:10]) == sorted(items[10:]) == list(range(10))
    assert items[:10] != items[10:]
    assert items != flat(DataOrder.plan(10, 4, max_steps=None, epochs=2, seed=4))


def test_that_a_step_count_is_kept_by_starting_over() -> None:
    order = DataOrder.plan(3, 4, max_steps=5, epochs=1, seed=0)

    assert order.steps == 5
    assert [len(order.batch(step)) for step in range(5)] == [4] * 5
    assert sorted(flat(order)[:3]) == [0, 1, 2]


def test_that_a_fraction_of_an_epoch_still_trains() -> None:
    assert DataOrder.plan(3, 4, max_steps=None, epochs=0.01, seed=0).total == 1


def test_that_the_rate_rises_then_falls_by_a_cosine() -> None:
    rates = [learning_rate(step, 20, 1.0, 0.1) for step in range(20)]

    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[11] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.99])
def test_that_the_only_step_of_a_short_training_learns(warmup: float) -> None:
    assert learning_rate(0, 1, 1.0, warmup) == 1.0
