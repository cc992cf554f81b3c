"""The peak memory of one stage, measured: of the device where it is a GPU, else of this process.

On CUDA torch counts its own tensors; the count is reset when a stage begins. On Linux the kernel keeps the
largest resident size and can be told to start anew (proc(5), `clear_refs`). Where that is not allowed, and
on other systems, a thread looks at the resident size several times a second and may miss a short peak.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from pathlib import Path

import psutil
import torch

_LOG = logging.getLogger(__name__)

CLEAR_REFS, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
RESET_PEAK = "5"  # what `clear_refs` takes for "reset the peak resident size"
KIB = 1024
LOOK_SECONDS = 0.2


class PeakMemory:
    """Measures one stage after another: `begin`, then `end`.

    Args:
        device: on which the stages compute.
        resettable: False looks at the resident size instead of asking the kernel for its peak.
    """

    def __init__(self, device: torch.device, *, resettable: bool = True) -> None:
        self._device = device
        self._resettable = resettable and sys.platform.startswith("linux")
        self._looks: _Looks | None = None

    def begin(self) -> None:
        """A stage begins."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        _trim()
        if not (self._resettable and _reset()):
            self._looks = _Looks()

    def end(self) -> int | None:
        """Bytes at the peak since `begin`; None when the system does not tell."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        if self._looks is not None:
            looks, self._looks = self._looks, None
            return looks.end()
        return _peak()


class _Looks:
    """A thread that keeps the largest resident size it has seen."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._largest = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="peak memory", daemon=True)
        self._thread.start()

    def end(self) -> int:
        """The largest size; the thread is gone afterwards."""
        self._ended.set()
        self._thread.join()
        return max(self._largest, self._process.memory_info().rss)

    def _loop(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._largest = max(self._largest, self._process.memory_info().rss)


def _trim() -> None:
    """Give back what the allocator kept of earlier stages: it would count as this stage's."""
    if not sys.platform.startswith("linux"):
        return
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError as error:  # a C library other than glibc
        _LOG.debug("Freed memory is not given back: %s", error)


def _reset() -> bool:
    """Let the kernel forget the peak so far; False where it does not."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    except OSError as error:  # not allowed, or a kernel without it
        _LOG.debug("The peak of the resident memory cannot be reset: %s", error)
        return False
    return True


def _peak() -> int | None:
    """The kernel's largest resident size since the last reset."""
    for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    return None
