"""The machine once a second: processor, memory, disk, workers, GPUs; the last hour is kept.

Sampling is a thread of its own, so that a slow driver or disk never holds the window. Nothing here is
recorded with a run: what a run needed is in its own events.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QThread, Signal, Slot

from app.viewmodels import words
from app.viewmodels.gpus import GpuReading, Gpus

logger = logging.getLogger(__name__)

SECONDS = 1.0
FIRST_SECONDS = 0.2
"""Before the first sample: the share of the processor needs two looks."""
KEPT = 3600
"""Samples in the ring: one hour."""
GIB = 2**30
MIB = 2**20
GPU = "gpu"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """One moment. Bytes, per cent, bytes a second; `workers` is memory by the run's name."""

    t: float
    cpu: float
    threads: int
    memory_used: int
    memory_total: int
    disk_free: int
    disk_total: int
    disk_read: float = 0.0
    disk_write: float = 0.0
    workers: Mapping[str, int] = field(default_factory=dict)
    gpus: tuple[GpuReading, ...] = ()

    def values(self) -> dict[str, float]:
        """By key, what is drawn: per cent, GiB, MiB a second, degrees, watts."""
        found = {
            "cpu": self.cpu,
            "memory": self.memory_used / GIB,
            "workers": sum(self.workers.values()) / GIB,
            "read": self.disk_read / MIB,
            "write": self.disk_write / MIB,
        }
        for gpu in self.gpus:
            for key, value in (
                ("memory", None if gpu.memory_used is None else gpu.memory_used / GIB),
                ("utilisation", gpu.utilisation),
                ("temperature", gpu.temperature),
                ("power", gpu.power),
            ):
                if value is not None:
                    found[f"{GPU}{gpu.place}.{key}"] = value
        return found


class Ring:
    """The last samples' values by key; what was not measured at a moment is NaN there."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._times = np.full(kept, np.nan)
        self._values: dict[str, Floats] = {}
        self._count = 0

    def add(self, t: float, values: Mapping[str, float]) -> None:
        """Put a moment in; the oldest one makes room."""
        place = self._count % self._kept
        self._times[place] = t
        for key in values:
            if key not in self._values:
                self._values[key] = np.full(self._kept, np.nan)
        for key, column in self._values.items():
            column[place] = values.get(key, np.nan)
        self._count += 1

    def keys(self) -> tuple[str, ...]:
        """What was measured at some time, in order of first appearance."""
        return tuple(self._values)

    def series(self, key: str) -> tuple[Floats, Floats]:
        """Seconds before the newest sample (negative, ascending), and the values."""
        count = min(self._count, self._kept)
        if not count or key not in self._values:
            return np.empty(0), np.empty(0)
        order = (np.arange(count) + self._count - count) % self._kept
        times = self._times[order]
        return times - times[-1], self._values[key][order]


class _Sampler(QThread):
    """Looks once a second until it is asked to end."""

    sampled = Signal(object)
    told = Signal(str)  # why there is no GPU, "" where there is one

    def __init__(self, place: Path, gpus: Gpus, parent: QObject) -> None:
        super().__init__(parent)
        self._place = place
        self._gpus = gpus
        self._end = threading.Event()
        self._before: tuple[float, int, int] | None = None
        self.pids: Mapping[str, int] = {}
        self.missed = False
        self._reason: str | None = None

    def end(self) -> None:
        """End the thread and wait for it."""
        self._end.set()
        self.wait()

    def run(self) -> None:
        """The thread's loop."""
        self._gpus.open()
        self._tell()
        psutil.cpu_percent()  # the first call only sets the beginning
        ended = self._end.wait(FIRST_SECONDS)
        while not ended:
            self._sample()
            ended = self._end.wait(SECONDS)
        self._gpus.close()

    def _sample(self) -> None:
        """Look and tell; a disk that is away (a network drive, a stick) may come back."""
        try:
            sample = self._look()
        except OSError as error:
            if not self.missed:
                logger.warning("the machine could not be looked at: %s", error)
            self.missed = True
            return
        self.missed = False
        self._tell()
        self.sampled.emit(sample)

    def _tell(self) -> None:
        """Say why there is no GPU, whenever that has changed."""
        if self._gpus.reason != self._reason:
            self._reason = self._gpus.reason
            self.told.emit(self._reason)

    def _look(self) -> Sample:
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(self._place))
        read, write = self._disk_rates()
        return Sample(
            time.time(),
            psutil.cpu_percent(),
            psutil.cpu_count() or 1,
            memory.total - memory.available,
            memory.total,
            disk.free,
            disk.total,
            read,
            write,
            {name: size for name, pid in self.pids.items() if (size := _resident(pid)) is not None},
            self._gpus.read(),
        )

    def _disk_rates(self) -> tuple[float, float]:
        """Bytes read and written a second by the whole machine since the last look."""
        try:
            counters = psutil.disk_io_counters()
        except NotImplementedError:  # a container that is not told
            counters = None
        if counters is None:  # a machine without disks of its own
            return 0.0, 0.0
        now, before = time.monotonic(), self._before
        self._before = now, counters.read_bytes, counters.write_bytes
        if before is None or now <= before[0]:
            return 0.0, 0.0
        passed = now - before[0]
        return (
            (counters.read_bytes - before[1]) / passed,
            (counters.write_bytes - before[2]) / passed,
        )


def _resident(pid: int) -> int | None:
    """Memory of a process; None once it has ended."""
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None


class MachineMonitor(QObject):
    """The newest sample and the hour before it.

    Args:
        place: a folder on the disk whose free space counts; it must exist when `begin` is called.
        gpus: reads the GPUs.
    """

    sampled = Signal()

    def __init__(
        self, place: Path, parent: QObject | None = None, *, gpus: Callable[[], Gpus] = Gpus
    ) -> None:
        super().__init__(parent)
        self.latest: Sample | None = None
        self.gpu_reason = "Looking for GPUs."
        self.ring = Ring()
        self._sampler = _Sampler(place, gpus(), self)
        self._sampler.sampled.connect(self.take)
        self._sampler.told.connect(self._tell)

    def begin(self) -> None:
        """Start sampling."""
        self._sampler.start()

    def close(self) -> None:
        """End sampling."""
        self._sampler.end()

    def watch(self, workers: Mapping[str, int]) -> None:
        """Measure these processes, by the name of their run."""
        self._sampler.pids = dict(workers)

    @Slot(object)
    def take(self, sample: Sample) -> None:
        """Keep a sample and tell of it."""
        self.latest = sample
        self.ring.add(sample.t, sample.values())
        self.sampled.emit()

    @Slot(str)
    def _tell(self, reason: str) -> None:
        self.gpu_reason = reason

    @property
    def device_text(self) -> str:
        """ "RTX 4090 · 7.4 / 24.0 GiB", or the processor and the host's memory; "" before the first sample."""
        if self.latest is None:
            return ""
        if self.latest.gpus:
            first = self.latest.gpus[0]
            more = f" · {len(self.latest.gpus)} GPUs" if len(self.latest.gpus) > 1 else ""
            return f"{first.name} · {_memory(first) or 'memory of the host'}{more}"
        host = words.of(self.latest.memory_used, self.latest.memory_total)
        return f"CPU {self.latest.threads} threads · {host}"

    @property
    def host_text(self) -> str:
        """ "host 11.2 / 64.0 GiB · disk 412 GiB free"; "" before the first sample."""
        if self.latest is None:
            return ""
        host = words.of(self.latest.memory_used, self.latest.memory_total)
        return f"host {host} · disk {words.size(self.latest.disk_free)} free"

    def lines(self) -> tuple[str, ...]:
        """The machine now, a line for each part: tooltip, settings page, screen reader."""
        sample = self.latest
        if sample is None:
            return ("Looking at the machine.",)
        memory = words.of(sample.memory_used, sample.memory_total)
        return (
            f"CPU: {sample.threads} threads, {sample.cpu:.0f} % busy",
            f"Host memory: {memory}",
            f"Disk: {words.size(sample.disk_free)} of {words.size(sample.disk_total)} free",
            *(
                f"Worker of {name}: {words.size(size)}"
                for name, size in sorted(sample.workers.items())
            ),
            *(gpu_line(gpu) for gpu in sample.gpus),
            *((self.gpu_reason,) if self.gpu_reason else ()),
        )


def gpu_line(gpu: GpuReading) -> str:
    """ "RTX 4090: 7.4 / 24.0 GiB, 93 % busy, 61 °C, 312 W"; what is not known is left out."""
    parts = [_memory(gpu)]
    if gpu.utilisation is not None:
        parts.append(f"{gpu.utilisation:.0f} % busy")
    if gpu.temperature is not None:
        parts.append(f"{gpu.temperature:.0f} °C")
    if gpu.power is not None:
        parts.append(f"{gpu.power:.0f} W")
    return f"{gpu.name}: {', '.join(filter(None, parts))}"


def _memory(gpu: GpuReading) -> str:
    if gpu.memory_used is None or gpu.memory_total is None:
        return ""
    return words.of(gpu.memory_used, gpu.memory_total)
