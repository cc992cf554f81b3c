"""Several processes that train one network together, each on its share of every optimizer step.

Each process holds a whole copy of the network and computes gradients for its share; the sums of the
gradients are the same everywhere, so the copies stay equal, and a run is the same however many processes
execute it (up to float rounding). `accelerate launch` starts the processes and `PartialState` joins them.
DistributedDataParallel is not used: the losses here never call the model's own forward, so its reducer
would not be armed; nor are the weights sharded.

What goes wrong in one process is raised in all of them at their next `exchange`, so none waits for one
that has given up. Alone, every method is free.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import Tensor

from core.errors import BugError, StopRequested, UserError

T = TypeVar("T")

BUCKET = 1 << 24
"""Numbers of small gradients that are summed in one message: 64 MiB, where bandwidth outweighs latency."""
PATIENCE = timedelta(days=30)
"""The others wait for the main process while it measures; one that died is noticed by its connection."""


class Processes:
    """The processes of a run, as one of them sees them.

    Used as a context manager around all they do together: an error that leaves the block is told to
    the others.

    Args:
        rank: of this process, from 0; 0 is the main process, which alone reports and writes.
        count: how many there are.
        group: a group of `torch.distributed` for small objects; None when there is one process.
    """

    def __init__(self, rank: int = 0, count: int = 1, group: Any = None) -> None:
        self.rank, self.count, self._group = rank, count, group
        self._over = False  # an error has been told, or a process is gone

    @property
    def is_main(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self.count > 1 and not self._over:
            with suppress(RuntimeError):  # the others are gone: `error` is what counts
                self._gather(None, _portable(error, self.rank))
        self.leave()

    def leave(self) -> None:
        """Part from the others. Left to the end of the interpreter, gloo's threads can abort it."""
        if self.count == 1:
            return
        self._over = True
        if dist.is_initialized():
            dist.destroy_process_group()

    def share(self, items: Sequence[T]) -> tuple[Sequence[T], int]:
        """This process's items, which lie together, and the place of the first; shares may be empty."""
        first = len(items) * self.rank // self.count
        return items[first : len(items) * (self.rank + 1) // self.count], first

    def exchange(self, value: T) -> list[T]:
        """What each process gives, in the order of ranks; waits for all of them.

        Raises:
            Exception: what another process failed with.
        """
        if self.count == 1:
            return [value]
        found = self._gather(value, None)
        for _, error in found:
            if error is not None:
                raise error
        self._over = False
        return [given for given, _ in found]

    def decide(self, value: T) -> T:
        """The main process's value, in every process."""
        return self.exchange(value if self.is_main else None)[0]  # type: ignore[return-value]

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its sum over the processes, in float32.

        A parameter without a gradient anywhere stays without.
        """
        if self.count == 1:
            return
        listed = list(parameters)
        flags = self.exchange([parameter.grad is not None for parameter in listed])
        touched = [it for it, *flag in zip(listed, *flags, strict=True) if any(flag)]
        for parameter in touched:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for gradients in _buckets([it.grad for it in touched if it.grad is not None]):
            if len(gradients) == 1 and _plain(gradients[0]):
                dist.all_reduce(gradients[0])
                continue
            flat = torch.cat([gradient.float().flatten() for gradient in gradients])
            dist.all_reduce(flat)
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, summed in zip(gradients, torch.split(flat, sizes), strict=True):
                gradient.copy_(summed.view_as(gradient))

    def device(self, asked: str) -> str:
        """The device of this process, where a recipe asks for `asked`; several share no GPU."""
        if self.count == 1 or asked == "cpu" or not torch.cuda.is_available():
            return asked
        return f"cuda:{torch.cuda.current_device()}"

    def _gather(
        self, value: T, error: BaseException | None
    ) -> list[tuple[T, BaseException | None]]:
        if self._over:
            raise BugError("the processes have parted already")
        self._over = True  # and stays so when the connection breaks, or an error is told
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, (value, error), group=self._group)
        return found


ALONE = Processes()
"""The only process of a run."""


def join(device: str) -> Processes:
    """Meet the other processes that the launcher has started; returns when all have come.

    Args:
        device: of the recipe. Gradients travel by gloo on a CPU, by NCCL between CUDA devices.

    Raises:
        UserError: there are more processes than CUDA devices.
    """
    cpu = device == "cpu" or not torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if not cpu and local > torch.cuda.device_count():
        raise UserError(
            f"{local} processes were started, but this machine offers {torch.cuda.device_count()} "
            "CUDA device(s).",
            "Start one process for each device, or set device to cpu.",
        )
    state = PartialState(cpu=cpu, timeout=PATIENCE)
    if state.num_processes == 1:
        return ALONE
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes, group)


def _portable(error: BaseException, rank: int) -> BaseException:
    """The error as another process can raise it; the traceback of a defect is in the log."""
    if isinstance(error, UserError | StopRequested | BugError):
        return error
    return BugError(f"process {rank} failed with {type(error).__name__}: {error}")


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The gradients in lists of about BUCKET numbers; a larger one comes alone."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and size + gradient.numel() > BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.numel()
    if bucket:
        yield bucket


def _plain(gradient: Tensor) -> bool:
    """Whether it can be summed in place, which spares a copy of a large one."""
    return gradient.dtype == torch.float32 and gradient.is_contiguous()
