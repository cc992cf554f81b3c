"""What a process does that is not the main one of its run: it trains along, and nothing else.

The main process walks the plan, owns the run's row and reports. For each training stage it sends a
`Work`; all others wait for the next one, see no stop and write nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.data.example import Dataset
from core.events import Event
from core.lm.checkpoint import Checkpoint
from core.lm.device import Compute
from core.recipe.spec import Recipe
from core.recipe.stage_specs import CheckpointSpec
from core.stages.context import StageContext
from core.stages.processes import Processes

Stage = Callable[..., Checkpoint]
"""`(spec, checkpoint, context) -> Checkpoint`, the spec being that of its kind."""


@dataclass(frozen=True)
class Work:
    """A training stage that all processes execute together; the fields are those of `StageContext`."""

    spec: CheckpointSpec
    parent: Checkpoint
    stage: str
    subject: str
    identity: str
    folder: Path
    seed: int
    inputs: Mapping[str, Any]
    made: Mapping[str, Checkpoint]

    @classmethod
    def of(
        cls,
        spec: CheckpointSpec,
        parent: Checkpoint,
        context: StageContext,
        made: Mapping[str, Checkpoint],
    ) -> Work:
        """The stage that the main process is about to execute."""
        return cls(
            spec,
            parent,
            context.stage,
            context.subject,
            context.identity,
            context.folder,
            context.seed,
            dict(context.inputs),
            dict(made),
        )


def follow(
    recipe: Recipe,
    stages: Mapping[str, Stage],
    dataset: Callable[[str], Dataset],
    compute: Compute,
    processes: Processes,
) -> None:
    """Execute what the main process sends, until it sends None.

    Args:
        recipe: of the run.
        stages: stage kind -> stage.
        dataset: loads a dataset of the recipe by name.
        compute: device and dtype of this process.
        processes: it and the others.

    Raises:
        Exception: what this process, or any of the others, failed with.
    """
    while (work := processes.decide(_nothing_yet())) is not None:
        context = StageContext(
            stage=work.stage,
            subject=work.subject,
            identity=work.identity,
            folder=work.folder,
            seed=work.seed,
            compute=compute,
            inputs=work.inputs,
            datasets=dataset,
            tasks=recipe.tasks,
            checkpoint_of=work.made.__getitem__,
            emit=_unheard,
            stop=lambda: None,
            save_now=lambda: False,
            processes=processes,
        )
        stages[work.spec.kind](work.spec, work.parent, context)
        del context
        gc.collect()
        torch.cuda.empty_cache()


def _nothing_yet() -> Work | None:
    return None


def _unheard(event: Event) -> None:
    """The main process reports for all."""
