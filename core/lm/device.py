"""Which device and precision to compute in, and why."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from core.errors import UserError
from core.recipe.sources import Dtype

GIB = 2.0**30
SM_80 = (8, 0)  # first CUDA architecture with fast bfloat16 (Ampere)


@dataclass(frozen=True)
class Compute:
    """A device, a floating-point type, and the reason for the choice."""

    device: torch.device
    dtype: torch.dtype
    why: str

    @property
    def dtype_name(self) -> str:
        """The dtype as recipes spell it, for example "float32"."""
        return str(self.dtype).removeprefix("torch.")


def choose(device: str = "auto", dtype: Dtype = "auto") -> Compute:
    """Resolve a recipe's `device` and `dtype`.

    Args:
        device: "auto", "cpu" or "cuda:N".
        dtype: "auto", or a floating-point type taken as it is.

    Raises:
        UserError: a CUDA device was asked for that is not there.
    """
    if device == "auto":
        chosen = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    else:
        chosen = torch.device("cuda:0" if device == "cuda" else device)
    if chosen.type == "cuda" and (
        not torch.cuda.is_available() or (chosen.index or 0) >= torch.cuda.device_count()
    ):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        raise UserError(
            f"Device {device} is not available; this machine offers {count} CUDA device(s).",
            "Set device to auto or cpu.",
        )
    if dtype != "auto":
        return Compute(chosen, getattr(torch, dtype), "as the recipe says")
    if chosen.type == "cpu":
        return Compute(chosen, torch.float32, "bfloat16 is unusably slow on most CPUs")
    if torch.cuda.get_device_capability(chosen) >= SM_80:
        return Compute(chosen, torch.bfloat16, "the device computes bfloat16 at full rate")
    return Compute(chosen, torch.float16, "the device has no fast bfloat16")


def memory(device: torch.device) -> float:
    """GiB that this process takes now: reserved for tensors on a GPU, resident on a CPU."""
    if device.type == "cuda":
        return float(torch.cuda.memory_reserved(device)) / GIB
    return float(psutil.Process().memory_info().rss) / GIB
