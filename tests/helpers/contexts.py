"""A stage's context for tests, with what it emits kept in a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from core.data.example import Dataset
from core.events import Event
from core.lm.checkpoint import Checkpoint
from core.recipe.sources import Task
from core.stages.context import StageContext
from tests.helpers.tiny import CPU32

E = TypeVar("E")


@dataclass
class Stand:
    """What a run would provide: checkpoints, datasets and tasks by name, and the events that came."""

    folder: Path
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    stop: Callable[[], bool | None] = lambda: None

    def context(self, stage: str, subject: str = "base") -> StageContext:
        """The context of one stage; its checkpoint goes to `checkpoints/<stage>`."""
        place = self.folder / "checkpoints" / stage
        place.mkdir(parents=True, exist_ok=True)
        return StageContext(
            stage=stage,
            subject=subject,
            identity=(stage.encode().hex() + "0" * 64)[:64],
            folder=place,
            seed=7,
            compute=CPU32,
            inputs={"seed": 7},
            datasets=self.datasets.__getitem__,
            tasks=self.tasks,
            checkpoint_of=self.checkpoints.__getitem__,
            emit=self.events.append,
            stop=lambda: self.stop(),
            save_now=lambda: False,
        )

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]
