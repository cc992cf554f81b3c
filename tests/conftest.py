"""Settings that must hold before Qt or torch is loaded by any test."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["HF_HUB_OFFLINE"] = "1"  # no test reaches for the network
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if (
    "PYTEST_XDIST_WORKER_COUNT" in os.environ
):  # processes that share the cores do not fight for them
    threads = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads)))


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the home folder of the person who runs it."""
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _collects_on_this_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """As in the window (app/collector.py): no other thread destroys what a test of widgets has left behind."""
    if "qapp" not in request.fixturenames:
        yield
        return
    gc.disable()
    yield
    gc.collect()
    gc.enable()


def pytest_collection_finish() -> None:
    """What is imported by now is no garbage of any test."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip `gpu` tests where no CUDA device is: asked of the driver, without importing torch."""
    if Path("/dev/nvidiactl").exists():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)
