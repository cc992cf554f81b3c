"""What NVIDIA's management library says of the GPUs. A machine without it has none, and that is no error.

The library is imported and used in the sampling thread only: its first call may take a second. Values that
a GPU does not tell (the power in a virtual machine, memory of its own where it shares the host's) are None,
not zero. A GPU that stops answering is left out until it answers again; the others keep their places.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)

NO_GPU = "No NVIDIA GPU was found."
MILLIWATTS = 1000


@dataclass(frozen=True)
class GpuReading:
    """One GPU at one moment: per cent, bytes, degrees Celsius, watts; `place` is the driver's number for it."""

    name: str
    memory_used: int | None = None
    memory_total: int | None = None
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None
    place: int = 0


def load() -> ModuleType:
    """The library's Python side."""
    return importlib.import_module("pynvml")


class Gpus:
    """Reads all GPUs; open it, read it and close it in one thread.

    Args:
        library: gives the module `pynvml`; tests give another.

    Attributes:
        reason: why there is none to read, "" while there are some.
    """

    def __init__(self, library: Callable[[], ModuleType] = load) -> None:
        self._library = library
        self._nvml: Any = None
        self._handles: list[tuple[int, Any, str]] = []
        self.reason = NO_GPU
        self._said = ""  # by the driver, when it last refused an answer

    def open(self) -> None:
        """Load the driver's library; `reason` says why not."""
        try:
            nvml: Any = self._library()
        except ImportError as error:
            self.reason = f"GPUs cannot be looked for: {error}."
            logger.warning("no GPU metrics: %s", error)
            return
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            self.reason = f"{NO_GPU} NVIDIA's management library says: {error}."
            logger.info("no GPU metrics: %s", error)
            return
        self._nvml = nvml
        for place in range(self._ask("nvmlDeviceGetCount") or 0):
            handle = self._ask("nvmlDeviceGetHandleByIndex", place)
            name = None if handle is None else self._ask("nvmlDeviceGetName", handle)
            if name is not None:
                self._handles.append((place, handle, _text(name)))
        if self._said:
            logger.warning("not every GPU can be read: %s", self._said)
        self._judge(bool(self._handles))

    def read(self) -> tuple[GpuReading, ...]:
        """All GPUs now; one that does not answer is left out, and `reason` says when none does."""
        self._said = ""
        asked = (self._read(place, handle, name) for place, handle, name in self._handles)
        found = tuple(reading for reading in asked if reading is not None)
        if self._handles:
            self._judge(bool(found))
        return found

    def _judge(self, some: bool) -> None:
        if some:
            self.reason = ""
        elif self._said:
            self.reason = f"The GPUs cannot be read: {self._said}."

    def _read(self, place: int, handle: Any, name: str) -> GpuReading | None:
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
        heat = self._ask("nvmlDeviceGetTemperature", handle, 0)  # 0: the core's sensor
        power = self._ask("nvmlDeviceGetPowerUsage", handle)
        if memory is rates is heat is power is None:
            return None
        return GpuReading(
            name,
            None if memory is None else int(memory.used),
            None if memory is None else int(memory.total),
            None if rates is None else float(rates.gpu),
            None if heat is None else float(heat),
            None if power is None else power / MILLIWATTS,
            place,
        )

    def close(self) -> None:
        """Let the library go."""
        if self._nvml is not None:
            self._ask("nvmlShutdown")
            self._nvml = None
            self._handles = []

    def _ask(self, name: str, *arguments: Any) -> Any:
        """A call's answer, None where this GPU or driver does not give one."""
        try:
            return getattr(self._nvml, name)(*arguments)
        except self._nvml.NVMLError as error:
            self._said = str(error)
            return None


def _text(name: str | bytes) -> str:
    """Older libraries answer in bytes; the maker's name is left out."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return text.removeprefix("NVIDIA ").removeprefix("GeForce ")
