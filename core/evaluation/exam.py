"""A task with the data it is scored on, and what is known of it already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.data.example import Dataset, Example
from core.errors import UserError
from core.events import EvaluatedItem
from core.recipe.sources import Task


@dataclass(frozen=True)
class Exam:
    """What is asked.

    Attributes:
        name: of the task, for messages.
        task: scorer and settings.
        dataset: that the task names, loaded; None where its scorer brings its own items.
        fewshot: that the worked examples come from; None when they come from beyond the scored items.
        limit: score fewer items than the task says, for a look while training.
    """

    name: str
    task: Task
    dataset: Dataset | None = None
    fewshot: Dataset | None = None
    limit: int | None = None

    @property
    def whole(self) -> tuple[Example, ...]:
        """The items that the task scores: the first of the dataset, as many as its limit allows."""
        return self.items.examples[: self.task.limit]

    @property
    def scored(self) -> tuple[Example, ...]:
        """Those of them that are scored now."""
        return self.whole[: self.limit]

    @property
    def pool(self) -> tuple[Example, ...]:
        """What worked examples may be taken from: another dataset, or the items beyond all that the task scores."""
        if self.fewshot is not None:
            return self.fewshot.examples
        return self.items.examples[len(self.whole) :]

    @property
    def shots(self) -> int:
        """Worked examples before each item, out of the pool."""
        return self.task.num_fewshot or 0

    @property
    def at_most(self) -> int | None:
        """The lower of both limits; None without any."""
        limits = [count for count in (self.task.limit, self.limit) if count is not None]
        return min(limits) if limits else None

    @property
    def items(self) -> Dataset:
        """The dataset.

        Raises:
            UserError: the task names none.
        """
        if self.dataset is None:
            raise UserError(
                f"Task {self.name} names no dataset.", "Name the dataset with its evaluation items."
            )
        return self.dataset


@dataclass(frozen=True)
class Evaluated:
    """What earlier sessions of a run found of one task on one network.

    Attributes:
        checkpoint: identity of the weights; None while they were in training.
        protocol: fingerprint by which the items were scored.
        items: by id.
        told: whether the score itself was reported, too.
    """

    checkpoint: str | None = None
    protocol: str = ""
    items: Mapping[str, EvaluatedItem] = field(default_factory=dict)
    told: bool = False
