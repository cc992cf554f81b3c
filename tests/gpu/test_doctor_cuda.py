"""`python -m app doctor` on a machine with a GPU: every check looks at the GPU and passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.engine import doctor
from core.engine.examination import PARTS, examine
from core.lm.device import choose
from core.store.home import Home

pytestmark = pytest.mark.gpu


def test_that_every_check_of_computing_passes_on_the_gpu(tmp_path: Path) -> None:
    parts = [part for part in PARTS if part.module == doctor.__name__]
    found = dict(examine(Home(tmp_path / "home"), parts=parts))
    assert {name: it for name, it in found.items() if it.ok is not True} == {}
    assert torch.cuda.get_device_name(0) in found["cuda"].detail
    for name in ("nf4", "linear4bit", "generate", "sdft"):
        assert "cuda:0" in found[name].detail


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_that_one_step_on_the_gpu_agrees_with_the_cpu_in_every_precision(
    tmp_path: Path, dtype: str
) -> None:
    home = Home(tmp_path / "home")
    compute = choose("cuda:0", dtype)  # type: ignore[arg-type]
    for check in (doctor.nf4, doctor.linear4bit, doctor.generation, doctor.sdft):
        verdict = check(home, compute)
        assert verdict.ok, verdict
