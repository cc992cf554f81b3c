"""AdamW whose weights and moments are float32, whatever the network computes in.

A bfloat16 weight has 8 bits: an update of a hundred-thousandth of it is rounded away. Parameters that
are not float32 therefore get a float32 master; the update happens there and is rounded into the
network. An adapter is float32 already and is its own master.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

FLOAT16_LOSS_SCALE = 4096.0
"""Keeps float16 gradients above the smallest number; a fixed power of two, since losses are means."""


class MasterAdamW:
    """AdamW over the trainable parameters of a model.

    Weight decay applies to matrices, not to biases and norms.
    """

    def __init__(self, model: nn.Module, weight_decay: float) -> None:
        self.parameters = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }
        self.masters = {
            name: parameter
            if parameter.dtype == torch.float32
            else nn.Parameter(parameter.detach().float())
            for name, parameter in self.parameters.items()
        }
        matrices = [master for master in self.masters.values() if master.ndim > 1]
        vectors = [master for master in self.masters.values() if master.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW([group for group in groups if group["params"]])
        half = any(parameter.dtype == torch.float16 for parameter in model.parameters())
        self.loss_scale = FLOAT16_LOSS_SCALE if half else 1.0

    def clip(
        self, max_norm: float, combine: Callable[[Iterable[Tensor]], None] = lambda masters: None
    ) -> float:
        """Bring the collected gradients to the masters, clip them, and return the norm before clipping.

        Args:
            max_norm: the largest norm that is left.
            combine: given the masters before their norm is taken, adds what other processes collected.
        """
        for name, parameter in self.parameters.items():
            master = self.masters[name]
            if master is not parameter and parameter.grad is not None:
                master.grad = parameter.grad.float()
                parameter.grad = None
            if self.loss_scale != 1.0 and master.grad is not None:
                master.grad.div_(self.loss_scale)
        combine(self.masters.values())
        return float(nn.utils.clip_grad_norm_(self.masters.values(), max_norm))

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the masters and round them into the network."""
        for group in self.adam.param_groups:
            group["lr"] = learning_rate
        self.adam.step()
        for name, parameter in self.parameters.items():
            if self.masters[name] is not parameter:
                parameter.copy_(self.masters[name])

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for name, parameter in self.parameters.items():
            parameter.grad = None
            self.masters[name].grad = None

    def weights(self) -> dict[str, Tensor]:
        """The float32 weights by name; not copies."""
        return {name: master.detach() for name, master in self.masters.items()}

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Give masters and network these weights."""
        for name, parameter in self.parameters.items():
            master = self.masters[name]
            master.copy_(weights[name])
            if master is not parameter:
                parameter.copy_(master)

    def tensors(self) -> dict[str, Tensor]:
        """Masters, moments and step counts, for a file."""
        found: dict[str, Tensor] = {}
        for name, master in self.masters.items():
            found[f"weight.{name}"] = master.detach()
            for key, value in self.adam.state.get(master, {}).items():
                found[f"{key}.{name}"] = value
        return found

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        self.set_weights({name: tensors[f"weight.{name}"] for name in self.parameters})
        for name, master in self.masters.items():
            if f"step.{name}" in tensors:
                self.adam.state[master] = {
                    "step": tensors[f"step.{name}"].clone(),
                    "exp_avg": tensors[f"exp_avg.{name}"].to(master.device).clone(),
                    "exp_avg_sq": tensors[f"exp_avg_sq.{name}"].to(master.device).clone(),
                }
