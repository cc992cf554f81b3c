"""The time of a stage: its operations, counted, and a device's pace, measured."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.engine import pace
from core.engine.pace import Pace, Work, calibrate
from core.lm.skeleton import measured
from tests.helpers.tiny import CPU32, tiny_model


def test_that_operations_are_those_that_torch_counts() -> None:
    model = tiny_model()
    network = measured(model.config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros((2, 64), dtype=torch.long), use_cache=False)
    told = pace.forward(network, 2, 64, counted=128)
    assert told.flops == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_that_training_costs_three_times_a_forward_pass_and_lora_two() -> None:
    network = measured(tiny_model().config)
    once = pace.forward(network, 2, 64).flops

    def back(**how: bool) -> float:
        return pace.backward(network, 2, 64, counted=0, **how).flops

    assert back(full=True, again=False) == 2 * once
    assert back(full=False, again=False) == once
    assert back(full=True, again=True) == 3 * once


def test_that_decoding_reads_all_weights_for_every_token() -> None:
    network = measured(tiny_model().config)
    ten = pace.decoding(network, 4, 32, 10, weights=1000, dtype_bytes=4)
    twenty = pace.decoding(network, 4, 32, 20, weights=1000, dtype_bytes=4)
    assert ten.moved > 10 * 1000
    assert twenty.moved > 2 * ten.moved  # and more keys and values


def test_that_time_is_computing_or_moving_and_calling() -> None:
    speed = Pace(flops=100.0, bandwidth=10.0, call_seconds=0.5)
    assert Work(200, 10, 2).seconds(speed) == 2 / pace.EFFICIENCY + 1
    assert Work(20, 50, 0).seconds(speed) == 5
    assert (Work(1, 2, 3) + Work(1, 1, 1)) * 2 == Work(4, 6, 8)


def test_that_the_device_is_measured_in_about_a_second_and_leaves_no_trace(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    began = time.perf_counter()
    found = calibrate(CPU32)
    assert time.perf_counter() - began < 5  # this machine may be busy
    assert min(found.flops, found.bandwidth) > 1e6
    assert 0 < found.call_seconds < 1
    assert torch.equal(torch.random.get_rng_state(), state)
