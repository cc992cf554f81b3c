from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels.gpus import NO_GPU, GpuReading, Gpus
from app.viewmodels.machine import GIB, MachineMonitor, Ring, Sample, gpu_line
from app.views.machine_panel import MachinePanel
from app.widgets.theme import Theme

CARD = GpuReading("RTX 4090", int(7.4 * GIB), 24 * GIB, 93.0, 61.0, 312.0)


def sample(t: float = 0.0, **more: Any) -> Sample:
    given: dict[str, Any] = {
        "cpu": 40.0,
        "threads": 8,
        "memory_used": 11 * GIB,
        "memory_total": 64 * GIB,
        "disk_free": 412 * GIB,
        "disk_total": 1000 * GIB,
    }
    return Sample(t, **{**given, **more})


class NvmlError(Exception):
    """As pynvml's."""


def fake_nvml(**calls: Any) -> ModuleType:
    """A driver with one GPU that tells everything, unless a call is replaced."""
    made: Any = ModuleType("pynvml")
    made.NVMLError = NvmlError
    made.closed = []
    answers: dict[str, Any] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: made.closed.append(True),
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda place: place,
        "nvmlDeviceGetName": lambda handle: "NVIDIA GeForce RTX 4090",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(
            used=CARD.memory_used, total=CARD.memory_total
        ),
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=93),
        "nvmlDeviceGetTemperature": lambda handle, sensor: 61,
        "nvmlDeviceGetPowerUsage": lambda handle: 312_000,
    }
    for name, call in {**answers, **calls}.items():
        setattr(made, name, call)
    return made


def refuse(*_: object) -> None:
    raise NvmlError("Not Supported")


def opened(library: ModuleType) -> Gpus:
    made = Gpus(lambda: library)
    made.open()
    return made


@pytest.fixture
def monitor(tmp_path: Path, qtbot: QtBot) -> Iterator[MachineMonitor]:
    made = MachineMonitor(tmp_path, gpus=lambda: Gpus(lambda: fake_nvml()))
    yield made
    made.close()
    made.deleteLater()


def test_that_a_gpu_is_read_with_its_load_heat_and_power() -> None:
    library: Any = fake_nvml()
    gpus = opened(library)
    assert gpus.read() == (CARD,)
    assert gpus.reason == ""
    gpus.close()
    assert library.closed == [True]


def test_that_what_a_gpu_does_not_tell_is_unknown_and_not_zero() -> None:
    gpus = opened(fake_nvml(nvmlDeviceGetPowerUsage=refuse, nvmlDeviceGetUtilizationRates=refuse))
    reading = gpus.read()[0]
    assert (reading.power, reading.utilisation, reading.temperature) == (None, None, 61.0)
    assert gpu_line(reading) == "RTX 4090: 7.4 / 24.0 GiB, 61 °C"


ASKED = ("MemoryInfo", "UtilizationRates", "Temperature", "PowerUsage")


def lost(places: set[int], real: ModuleType) -> dict[str, Any]:
    """The calls of a driver on which these GPUs have stopped answering."""

    def call(name: str) -> Any:
        def answer(handle: int, *more: object) -> Any:
            if handle in places:
                raise NvmlError("GPU is lost")
            return getattr(real, name)(handle, *more)

        return answer

    return {name: call(name) for name in (f"nvmlDeviceGet{it}" for it in ASKED)}


def test_that_a_gpu_lost_midway_is_left_out_and_the_other_keeps_its_place() -> None:
    gone: set[int] = set()
    library = fake_nvml(nvmlDeviceGetCount=lambda: 2, **lost(gone, fake_nvml()))
    gpus = opened(library)
    assert [it.place for it in gpus.read()] == [0, 1]
    gone.add(0)
    (left,) = gpus.read()
    assert left.place == 1
    assert gpus.reason == ""
    keys = sample(gpus=(left,)).values()
    assert "gpu1.power" in keys
    assert "gpu0.power" not in keys
    gone.add(1)
    assert gpus.read() == ()
    assert gpus.reason == "The GPUs cannot be read: GPU is lost."
    gone.clear()
    assert len(gpus.read()) == 2
    assert gpus.reason == ""


def test_that_one_gpu_that_cannot_be_opened_does_not_hide_the_other() -> None:
    def handle(place: int) -> int:
        if place == 0:
            raise NvmlError("Insufficient Permissions")
        return place

    gpus = opened(fake_nvml(nvmlDeviceGetCount=lambda: 2, nvmlDeviceGetHandleByIndex=handle))
    assert [it.place for it in gpus.read()] == [1]
    assert gpus.reason == ""


def test_that_a_gpu_which_shares_the_memory_of_the_host_is_shown_without_its_own(
    monitor: MachineMonitor,
) -> None:
    (reading,) = opened(fake_nvml(nvmlDeviceGetMemoryInfo=refuse)).read()
    assert gpu_line(reading) == "RTX 4090: 93 % busy, 61 °C, 312 W"
    monitor.take(sample(gpus=(reading,)))
    assert monitor.device_text == "RTX 4090 · memory of the host"
    assert "gpu0.memory" not in monitor.ring.keys()  # noqa: SIM118


def test_that_an_environment_without_the_binding_says_so() -> None:
    def absent() -> ModuleType:
        raise ImportError("No module named 'pynvml'")

    gpus = Gpus(absent)
    gpus.open()
    assert gpus.read() == ()
    assert "pynvml" in gpus.reason
    gpus.close()


def test_that_a_driver_that_fails_midway_is_told_while_it_lasts(
    tmp_path: Path, qtbot: QtBot
) -> None:
    gone: set[int] = set()
    library = fake_nvml(**lost(gone, fake_nvml()))
    made = MachineMonitor(tmp_path, gpus=lambda: Gpus(lambda: library))
    try:
        with qtbot.waitSignal(made.sampled):
            made.begin()
        assert made.gpu_reason == ""
        gone.add(0)
        qtbot.waitUntil(lambda: "GPU is lost" in made.gpu_reason, timeout=10_000)
        assert "GPU is lost" in made.lines()[-1]
    finally:
        made.close()
        made.deleteLater()


def test_that_a_machine_without_the_library_says_why_it_shows_no_gpu() -> None:
    gpus = opened(fake_nvml(nvmlInit=refuse))
    assert gpus.read() == ()
    assert gpus.reason.startswith(NO_GPU)
    assert "Not Supported" in gpus.reason
    gpus.close()


def test_that_the_real_binding_ends_in_gpus_or_a_reason() -> None:
    gpus = Gpus()
    gpus.open()
    assert bool(gpus.read()) != bool(gpus.reason)
    gpus.close()


@pytest.mark.gpu
def test_that_a_real_gpu_tells_its_memory() -> None:
    gpus = Gpus()
    gpus.open()
    if gpus.reason:
        pytest.skip(gpus.reason)
    for reading in gpus.read():
        assert reading.name
        assert 0 < reading.memory_used <= reading.memory_total
    gpus.close()


def test_that_the_ring_keeps_the_newest_and_counts_back_from_them() -> None:
    ring = Ring(kept=3)
    for t in range(5):
        ring.add(float(t), {"cpu": 10.0 * t})
    x, y = ring.series("cpu")
    assert x.tolist() == [-2.0, -1.0, 0.0]
    assert y.tolist() == [20.0, 30.0, 40.0]
    assert ring.series("never")[0].size == 0


def test_that_what_was_not_measured_at_a_moment_is_a_gap() -> None:
    ring = Ring(kept=3)
    ring.add(0.0, {"cpu": 1.0})
    ring.add(1.0, {"gpu0.power": 300.0})
    assert np.isnan(ring.series("cpu")[1][1])
    assert np.isnan(ring.series("gpu0.power")[1][0])
    assert ring.keys() == ("cpu", "gpu0.power")


def test_that_the_chip_names_the_gpu_and_without_one_the_processor(
    monitor: MachineMonitor,
) -> None:
    assert monitor.device_text == ""
    monitor.take(sample())
    assert monitor.device_text == "CPU 8 threads · 11.0 / 64.0 GiB"
    assert monitor.host_text == "host 11.0 / 64.0 GiB · disk 412 GiB free"
    monitor.take(sample(1.0, gpus=(CARD,)))
    assert monitor.device_text == "RTX 4090 · 7.4 / 24.0 GiB"
    monitor.take(sample(2.0, gpus=(CARD, CARD)))
    assert monitor.device_text.endswith("2 GPUs")


def test_that_the_thread_samples_this_machine_and_a_worker(
    monitor: MachineMonitor, qtbot: QtBot
) -> None:
    monitor.watch({"mine": os.getpid(), "gone": 2**22 + 1})
    before = set(threading.enumerate())
    with qtbot.waitSignal(monitor.sampled, timeout=10_000):
        monitor.begin()
    latest = monitor.latest
    assert latest is not None
    assert 0 < latest.memory_used <= latest.memory_total
    assert set(latest.workers) == {"mine"}
    assert latest.gpus == (CARD,)
    assert monitor.gpu_reason == ""
    assert any("Worker of mine" in line for line in monitor.lines())
    assert set(threading.enumerate()) >= before


def test_that_a_disk_that_is_away_ends_nothing_and_may_come_back(
    tmp_path: Path, qtbot: QtBot
) -> None:
    place = tmp_path / "stick"
    monitor = MachineMonitor(place, gpus=lambda: Gpus(lambda: fake_nvml()))
    monitor.begin()
    qtbot.waitUntil(lambda: monitor._sampler.missed, timeout=10_000)
    assert monitor.latest is None
    place.mkdir()
    qtbot.waitUntil(lambda: monitor.latest is not None, timeout=10_000)
    assert not monitor._sampler.missed
    monitor.close()
    monitor.deleteLater()


def test_that_closing_before_the_beginning_is_no_trouble(monitor: MachineMonitor) -> None:
    monitor.close()
    assert monitor.latest is None


def test_that_the_panel_draws_what_was_sampled_and_says_when_there_is_no_gpu(
    monitor: MachineMonitor, theme: Theme, qtbot: QtBot
) -> None:
    panel = MachinePanel(theme, monitor)
    qtbot.addWidget(panel)
    panel.resize(480, 320)
    panel.show()
    qtbot.waitExposed(panel)
    monitor.gpu_reason = NO_GPU
    monitor.take(sample(0.0))
    assert not panel.charts["heat"].isVisible()
    assert panel.no_gpu.isVisible()
    assert panel.no_gpu.text() == NO_GPU
    monitor.take(sample(1.0, gpus=(CARD,)))
    assert panel.charts["heat"].isVisible()
    assert not panel.no_gpu.isVisible()
    keys = {line.key for line in panel.charts["load"]._lines}
    assert keys == {"cpu", "gpu0.utilisation"}
    drawn = panel.charts["memory"].draws
    panel.charts["memory"].redraw()
    assert panel.charts["memory"].draws > drawn


def test_that_a_hidden_panel_is_not_fed(
    monitor: MachineMonitor, theme: Theme, qtbot: QtBot
) -> None:
    panel = MachinePanel(theme, monitor)
    qtbot.addWidget(panel)
    monitor.take(sample())
    assert all(line.x.size == 0 for line in panel.charts["load"]._lines)
