"""What NVIDIA's management library says of the GPUs. A machine without it has none, and that is no error.

The library is imported and used in the sampling thread only: its first call may take a second. Values that
a GPU does not tell (a power limit in a virtual machine, a temperature) are None, not zero.
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
    """One GPU at one moment: per cent, bytes, degrees Celsius, watts."""

    name: str
    memory_used: int
    memory_total: int
    utilisation: float | None = None
    temperature: float | None = None
    power: float | None = None


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
        self._handles: list[tuple[Any, str]] = []
        self.reason = NO_GPU

    def open(self) -> None:
        """Load the driver's library; `reason` says why not."""
        nvml: Any = self._library()
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            self.reason = f"{NO_GPU} NVIDIA's management library says: {error}."
            logger.info("no GPU metrics: %s", error)
            return
        self._nvml = nvml
        try:
            for place in range(nvml.nvmlDeviceGetCount()):
                handle = nvml.nvmlDeviceGetHandleByIndex(place)
                self._handles.append((handle, _text(nvml.nvmlDeviceGetName(handle))))
        except nvml.NVMLError as error:
            self.reason = f"The GPUs cannot be read: {error}."
            logger.warning("no GPU metrics: %s", error)
            return
        if self._handles:
            self.reason = ""

    def read(self) -> tuple[GpuReading, ...]:
        """All GPUs now; one that has vanished is left out."""
        found = []
        for handle, name in self._handles:
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            if memory is None:
                continue
            rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
            heat = self._ask("nvmlDeviceGetTemperature", handle, 0)  # 0: the core's sensor
            power = self._ask("nvmlDeviceGetPowerUsage", handle)
            found.append(
                GpuReading(
                    name,
                    int(memory.used),
                    int(memory.total),
                    None if rates is None else float(rates.gpu),
                    None if heat is None else float(heat),
                    None if power is None else power / MILLIWATTS,
                )
            )
        return tuple(found)

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
        except self._nvml.NVMLError:
            return None


def _text(name: str | bytes) -> str:
    """Older libraries answer in bytes; the maker's name is left out."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return text.removeprefix("NVIDIA ").removeprefix("GeForce ")
