"""Evaluation mode for a while, and every module's own mode afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put all modules in eval mode inside the block.

    Modes are restored module by module: `model.train()` would also wake the frozen parts, and a module
    shared between student and teacher must come back as it was (methods.md A2, pitfall 11).
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
