"""What a run failed with, told to a person: its class, what happened, what to do."""

from __future__ import annotations

import errno

import torch

from core.errors import Diverged, OutOfMemory, UserError
from core.events import Failure, FailureClass

MEMORY_HINT = (
    "Lower per_device_train_batch_size (and raise gradient_accumulation_steps by the same factor), "
    "max_completion_length or a task's batch_size, or switch gradient_checkpointing on; then resume."
)
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


def classify(error: Exception, log: str) -> Failure:
    """The failure that `error` is.

    Args:
        error: what ended the run.
        log: where its traceback is, for errors of ours.
    """
    if isinstance(error, UserError):
        kind: FailureClass = "data"
        if isinstance(error, Diverged):
            kind = "diverged"
        elif isinstance(error, OutOfMemory):
            kind = "out_of_memory"
        return Failure(failure=kind, message=error.message, hint=error.hint)
    if _ran_out_of_memory(error):
        reason = str(error).strip().splitlines()
        detail = f" ({reason[0]})" if reason else ""
        return Failure(
            failure="out_of_memory", message=f"Memory ran out{detail}.", hint=MEMORY_HINT
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return Failure(
            failure="data",
            message="The disk is full.",
            hint="Free some space, for example by deleting checkpoints, then resume.",
        )
    return Failure(
        failure="bug",
        message=f"{type(error).__name__}: {error}".strip(),
        hint=f"This is a defect of Rekindle, not of your input; the traceback is in {log}.",
    )


def _ran_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU allocator and some CUDA libraries raise a bare RuntimeError.
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _MEMORY_WORDS
    )
