from __future__ import annotations

from app.queue import Waiting, next_to_start

A, B, C = Waiting("a", "cuda:0"), Waiting("b", "cuda"), Waiting("c", "cpu")


def test_that_each_device_gets_one_run_in_the_order_of_the_queue() -> None:
    assert next_to_start([A, B, C], set()) == [A, C]


def test_that_cuda_means_the_first_cuda_device() -> None:
    assert next_to_start([A, C], {"cuda"}) == [C]


def test_that_a_run_on_any_device_waits_for_all_and_is_not_overtaken() -> None:
    anywhere = Waiting("x", "auto")
    assert next_to_start([anywhere, C], {"cuda:0"}) == []
    assert next_to_start([anywhere, C], set()) == [anywhere]
    assert next_to_start([C], {"auto"}) == []
