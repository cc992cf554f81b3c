"""A running average of what a network trains: the weights of the teacher `ema`.

It is kept in float32 and starts as a copy of the trainable weights, so at first the teacher is the student. (TRL's
average of an adapter starts at zero: its teacher starts at the base, and since both factors of LoRA are
averaged, it lags by the square; methods.md A2.12.) Only trainable weights are averaged, never packed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Shadow:
    """The averages, by parameter name; for a network whose trainable weights they have the shapes of."""

    def __init__(self, model: nn.Module) -> None:
        self._parameters = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        self._averages = {
            name: parameter.detach().float().clone() for name, parameter in self._parameters.items()
        }

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor], rate: float) -> None:
        """Move by `rate` towards the weights, which are the optimizer's float32 ones, by name."""
        for name, average in self._averages.items():
            average.lerp_(weights[name].detach(), rate)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the network computes with the averages. Nothing is copied in float32."""
        own = {name: parameter.data for name, parameter in self._parameters.items()}
        try:
            for name, parameter in self._parameters.items():
                parameter.data = self._averages[name].to(parameter.dtype)
            yield
        finally:
            for name, parameter in self._parameters.items():
                parameter.data = own[name]

    def of(self, tensor: Tensor) -> Tensor:
        """The average of a weight of the network, or the tensor itself where it is not trained."""
        for name, parameter in self._parameters.items():
            if parameter is tensor:
                return self._averages[name].to(parameter.dtype)
        return tensor

    def tensors(self) -> dict[str, Tensor]:
        """The averages, for a file."""
        return dict(self._averages)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        for name, average in self._averages.items():
            average.copy_(tensors[name])
