"""The weights at the lowest held-out loss so far, and whether to go on (methods.md A2.4: SDFT collapses late).

The loss alone decides which weights are best: CKA to the teacher, where it is looked at, only keeps a training
going (`core.stages.cka_trend`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from core.analysis.pooled import PooledCka
from core.recipe.training_specs import TrainSpec
from core.stages.cka_trend import CkaTrend
from core.stages.optimizer import MasterAdamW

_PREFIX = "best."


class BestWeights:
    """Watches the held-out loss of one training.

    Attributes:
        loss: the lowest so far.
        step: at which it was measured.
        in_vain: measurements since the loss last fell, or CKA last rose where that counts.
        trend: of the CKA on the held-out items.
    """

    def __init__(self, spec: TrainSpec) -> None:
        self._spec = spec
        self.loss = math.inf
        self.step = 0
        self.in_vain = 0
        self.trend = CkaTrend()
        self._weights: dict[str, Tensor] = {}

    def observe(
        self, loss: float, step: int, optimizer: MasterAdamW, cka: PooledCka | None = None
    ) -> None:
        """Take in a measurement, and the weights when its loss is the lowest."""
        rises = cka is not None and self.trend.rises(loss, cka)
        if loss < self.loss - self._spec.early_stopping_threshold:
            self.loss, self.step, self.in_vain = loss, step, 0
            if self._spec.load_best_model_at_end:
                self._weights = {name: it.clone() for name, it in optimizer.weights().items()}
        else:
            self.in_vain = 0 if rises else self.in_vain + 1

    @property
    def enough(self) -> bool:
        """Whether the training should end here."""
        patience = self._spec.early_stopping_patience
        return patience is not None and self.in_vain >= patience

    def put_back(self, optimizer: MasterAdamW, step: int) -> None:
        """At the end: give the network the best weights, if these are others than its own."""
        if self._weights and self.step != step:
            optimizer.set_weights(self._weights)

    def facts(self) -> dict[str, Any]:
        """For the record; empty when nothing was measured."""
        if math.isinf(self.loss):
            return {}
        found = {"best_step": self.step, "best_held_out_loss": self.loss}
        cka = self.trend.facts()
        return {**found, "held_out_cka": cka} if cka else found

    def notes(self) -> dict[str, Any]:
        """What a resumed training needs, as JSON; the weights are in `tensors`."""
        loss = None if math.isinf(self.loss) else self.loss
        return {
            "loss": loss,
            "step": self.step,
            "in_vain": self.in_vain,
            "cka": self.trend.notes(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The weights, for a file."""
        return {_PREFIX + name: tensor for name, tensor in self._weights.items()}

    def recall(self, notes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `notes` and `tensors` gave."""
        self.loss = math.inf if notes["loss"] is None else notes["loss"]
        self.step, self.in_vain = notes["step"], notes["in_vain"]
        if "cka" in notes:  # a state of an earlier version has none
            self.trend = CkaTrend.recalled(notes["cka"])
        self._weights = {
            name.removeprefix(_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(_PREFIX)
        }
