"""What a training loop asks of a loss: an `Objective` turns the items of optimizer steps into gradients.

Shapes only. The loop is `core.stages.training`; the losses are the stages `sft`, `sdft` and `bootstrap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from core.events import Event

Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True)
class StepReport:
    """What an objective found in one optimizer step.

    Attributes:
        loss: the one that was differentiated, over the whole step.
        tokens: tokens that carried loss; a step without any leaves the weights as they are.
        values: further metrics.
        events: to report when the step is done: completions, warnings.
    """

    loss: float
    tokens: int
    values: Mapping[str, float] = field(default_factory=dict)
    events: Sequence[Event] = ()


@dataclass(frozen=True)
class Share(Generic[Item]):
    """The items of one optimizer step, and which of them this process takes.

    Attributes:
        whole: all items of the step; sums and means of the loss are over these.
        items: those of this process: all of them when it is alone, perhaps none.
        first: place of `items[0]` in `whole`.
    """

    whole: Sequence[Item]
    items: Sequence[Item]
    first: int = 0

    @property
    def positions(self) -> range:
        """The place of each of this process's items in the step."""
        return range(self.first, self.first + len(self.items))


class Plan(Protocol[Item]):
    """Which items each step takes; steps count from 1."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        ...

    def at(self, step: int) -> Share[Item]:
        """The items of a step."""
        ...


class Objective(Protocol[Item, Found]):
    """Turns items into gradients."""

    def accumulate(self, step: int, plan: Plan[Item], backward: Callable[[Tensor], None]) -> Found:
        """Call `backward` with the micro-batches' losses; over all processes they add up to the loss of the step.

        Args:
            step: counts from 1.
            plan: the items of this step, and of later ones where they are looked at ahead.
            backward: adds the gradients of a loss.

        Returns:
            what `report` needs to know of this share; it is pickled on its way to other processes.
        """
        ...

    def report(self, step: int, found: Sequence[Found]) -> StepReport:
        """What the whole step has come to; called with the same in every process.

        Args:
            step: counts from 1.
            found: what `accumulate` gave for each share, in the order of the items.
        """
        ...

    def updated(self, step: int, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Told when the weights have changed; `weights` gives the float32 ones by name."""
        ...

    def held_out_loss(self) -> float | None:
        """The loss on the items held out, now; None when there are none. Asked in the main process only."""
        ...

    def notes(self) -> dict[str, Any]:
        """What a resumed training needs of this objective, as JSON."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What it needs besides, as tensors by name."""
        ...

    def recall(self, notes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take over what `notes` and `tensors` gave."""
        ...
