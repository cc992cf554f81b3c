"""Checks of what computes: right where all is well, and a failure for each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.engine import doctor
from core.engine.doctor import Step
from core.engine.examination import PARTS, Verdict
from core.lm.device import Compute
from core.store.home import Home

CPU = torch.device("cpu")
FLOAT32 = Compute(CPU, torch.float32, "")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
NVRM = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
)
HOME = Home(Path("unused"))


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Plants what the driver says of itself, or that there is none, on a machine without CUDA."""

    def plant(text: str | None) -> None:
        file = tmp_path / "version"
        if text is not None:
            file.write_text(text, encoding="utf-8")
        monkeypatch.setattr(doctor, "DRIVER", file)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return plant


def plant_devices(
    monkeypatch: pytest.MonkeyPatch, *, free: int, capability: tuple[int, int] = (9, 0)
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Planted 9000")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 80 * doctor.GB))


def plant_step(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let the step go as it does, then change what it gave."""
    real = doctor.one_step
    monkeypatch.setattr(
        doctor, "one_step", lambda folder, compute: replace(real(folder, compute), **changes)
    )


def test_that_the_watcher_knows_every_check() -> None:
    (part,) = [it for it in PARTS if it.module == doctor.__name__]
    assert part.checks == tuple(doctor.CHECKS)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "check",
    [doctor.nf4, doctor.linear4bit, doctor.generation, doctor.sdft],
    ids=lambda it: it.__name__,
)
def test_that_a_machine_in_order_passes(
    check: Callable[[Home, Compute], Verdict], dtype: torch.dtype
) -> None:
    verdict = check(HOME, Compute(CPU, dtype, ""))
    assert verdict.ok, verdict
    assert str(dtype).removeprefix("torch.") in verdict.detail


@pytest.mark.parametrize("name", ["torch", "precision"])
def test_that_what_is_here_is_described(name: str) -> None:
    verdict = doctor.CHECKS[name](HOME)
    assert verdict.ok, verdict


def test_that_the_checks_leave_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    doctor.random_model(FLOAT32)
    doctor.product_error(FLOAT32)
    assert torch.equal(torch.get_rng_state(), state)


def test_that_a_machine_without_a_gpu_is_in_order(driver: Callable[[str | None], None]) -> None:
    driver(None)
    verdict = doctor.cuda(HOME)
    assert verdict.ok is None
    assert "CPU is used" in verdict.detail


def test_that_hidden_gpus_are_said_to_be_hidden(
    driver: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(NVRM)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    verdict = doctor.cuda(HOME)
    assert verdict.ok is None
    assert "CUDA_VISIBLE_DEVICES" in verdict.detail


def test_that_a_driver_that_torch_cannot_use_is_a_failure_with_torchs_reason(
    driver: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(NVRM)

    def refuse() -> bool:
        import warnings

        warnings.warn(
            "CUDA initialization: the driver is too old.\nMore.", UserWarning, stacklevel=1
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", refuse)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    verdict = doctor.cuda(HOME)
    assert verdict.ok is False
    assert "580.82.07" in verdict.detail
    assert verdict.detail.endswith("the driver is too old.")
    assert "13.0" in verdict.hint


def test_that_a_torch_without_cuda_beside_a_driver_is_a_failure(
    driver: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver("something else")
    monkeypatch.setattr(torch.version, "cuda", None)
    verdict = doctor.cuda(HOME)
    assert verdict.ok is False
    assert "of unknown version" in verdict.detail
    assert "built without CUDA" in verdict.detail


def test_that_a_gpu_is_described_and_little_free_memory_hinted_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "DRIVER", tmp_path / "none")
    plant_devices(monkeypatch, free=70 * doctor.GB)
    verdict = doctor.cuda(HOME)
    assert verdict.ok
    assert "Planted 9000" in verdict.detail
    assert "9.0" in verdict.detail
    assert "70.0 of 80.0 GB" in verdict.detail
    assert not verdict.hint
    plant_devices(monkeypatch, free=2 * doctor.GB)
    assert "at least 8 GB" in doctor.cuda(HOME).hint


@pytest.mark.parametrize(
    ("capability", "dtype"), [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16")]
)
def test_that_the_precision_of_each_gpu_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: str
) -> None:
    plant_devices(monkeypatch, free=1, capability=capability)
    monkeypatch.setattr(doctor, "product_error", lambda compute: 0.0)
    verdict = doctor.precision(HOME)
    assert verdict.ok
    assert f"cuda:0: {dtype}, because the device" in verdict.detail


@pytest.mark.parametrize("error", [1e-3, float("nan")])
def test_that_wrong_products_are_a_failure(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    monkeypatch.setattr(doctor, "product_error", lambda compute: error)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    verdict = doctor.precision(HOME)
    assert verdict.ok is False
    assert "wrongly" in verdict.detail


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_that_the_error_of_a_product_is_that_of_rounding(dtype: torch.dtype) -> None:
    error = doctor.product_error(Compute(CPU, dtype, ""))
    assert 0 < error < 8 * torch.finfo(dtype).eps


def test_that_weights_packed_differently_from_the_cpus_are_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = doctor.load_unpacked, []

    def damaged(folder: Path, *args: Any) -> nn.Module:
        model = real(folder, *args)
        calls.append(folder.name)
        if folder.name == "device":
            with torch.no_grad():
                model.model.layers[0].mlp.up_proj.weight.neg_()
        return model

    monkeypatch.setattr(doctor, "load_unpacked", damaged)
    verdict = doctor.nf4(HOME, FLOAT32)
    assert calls == ["device", "cpu"]
    assert verdict.ok is False
    assert "would be wrong" in verdict.hint


def test_that_the_share_of_equal_weights_counts_weights() -> None:
    expected = {"a": torch.ones(3), "b": torch.full((1,), 100.0)}
    found: Mapping[str, Tensor] = {"a": torch.tensor([1.0, 1.005, 2.0]), "b": torch.zeros(1)}
    assert doctor.same_share(found, expected) == 0.5
    assert doctor.same_share({**expected, "b": torch.tensor([torch.nan])}, expected) == 0.75


def test_that_packed_layers_that_compute_otherwise_are_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = doctor.load_model

    def damaged(checkpoint: Any, compute: Compute, packed: bool = False) -> nn.Module:
        model = real(checkpoint, compute, packed=packed)
        if not packed:
            with torch.no_grad():
                model.model.layers[-1].mlp.down_proj.weight.mul_(0.5)
        return model

    monkeypatch.setattr(doctor, "load_model", damaged)
    assert doctor.linear4bit(HOME, FLOAT32).ok is False


@pytest.mark.parametrize(
    "answers",
    [
        [[doctor.VOCABULARY] * doctor.NEW_TOKENS] * 3,
        [[7] * doctor.NEW_TOKENS] * 3,
        [list(range(doctor.NEW_TOKENS))] * 2,
    ],
    ids=["out of range", "always the same", "one missing"],
)
def test_that_answers_that_make_no_sense_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, answers: list[list[int]]
) -> None:
    monkeypatch.setattr(doctor, "sample", lambda model, tokens: answers)
    assert doctor.generation(HOME, FLOAT32).ok is False


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": 2.0}, "does not explain"),
        ({"loss": float("nan")}, "diverge"),
        ({"norm": float("inf")}, "diverge"),
        ({"norm": 0.0}, "diverge"),
        ({"moved": False}, "No weight changed"),
    ],
    ids=str,
)
def test_that_a_wrong_step_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    plant_step(monkeypatch, **changes)
    verdict = doctor.sdft(HOME, FLOAT32)
    assert verdict.ok is False
    assert said in verdict.detail
    assert "cpu" in verdict.hint


def test_that_a_step_moves_the_adapter_only(tmp_path: Path) -> None:
    doctor.save_packed(doctor.random_model(FLOAT32), tmp_path)
    step = doctor.one_step(tmp_path, FLOAT32)
    assert isinstance(step, Step)
    assert step.moved
    assert step.loss > 0.1  # far enough from zero for a relative comparison
    pair = doctor.Pair.open(tmp_path, FLOAT32, FLOAT32)
    trained = [name for name, it in pair.student.named_parameters() if it.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
