"""The measured peak: of one stage, not of the process."""

from __future__ import annotations

import time

import pytest
import torch

from core.engine import peak
from core.engine.peak import PeakMemory

MIB = 2**20
CPU = torch.device("cpu")


@pytest.mark.parametrize("resettable", [True, False], ids=["kernel", "looks"])
def test_that_a_peak_is_seen_and_forgotten_by_the_next_stage(resettable: bool) -> None:
    meter = PeakMemory(CPU, resettable=resettable)
    meter.begin()
    quiet = meter.end()
    meter.begin()
    block = torch.ones(100 * MIB, dtype=torch.uint8)
    time.sleep(3 * peak.LOOK_SECONDS)
    del block
    high = meter.end()
    meter.begin()
    after = meter.end()
    assert quiet is not None
    assert high is not None
    assert after is not None
    assert 90 * MIB < high - quiet < 200 * MIB
    assert high - after > 90 * MIB


def test_that_a_kernel_that_forbids_the_reset_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def write_text(self, *_: object, **__: object) -> None:
            raise PermissionError("not here")

    monkeypatch.setattr(peak, "CLEAR_REFS", Forbidden())
    meter = PeakMemory(CPU)
    meter.begin()
    assert (meter.end() or 0) > 10 * MIB
