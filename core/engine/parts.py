"""What a run is composed of: stages, the base model, live measurement, data, device, estimate, meter.

Shapes only; `core.engine.stages` puts the real ones together, and tests put in their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.data.example import Dataset
from core.engine.estimate import StageEstimate
from core.engine.helper import Stage
from core.lm.checkpoint import Checkpoint
from core.lm.device import Compute
from core.recipe.sources import DatasetSource, Dtype, ModelSource
from core.recipe.spec import Recipe
from core.recipe.stage_specs import EvaluateSpec
from core.stages.context import LiveMeasure, StageContext

Foresee = Callable[[str], StageEstimate | None]
"""What the step of this id will need."""


def unforeseen(
    recipe: Recipe, compute: Compute, dataset: Callable[[str], Dataset], cache: Path
) -> Foresee:
    """Says of no step what it will need."""
    return lambda stage: None


BaseStage = Callable[
    [ModelSource, Path, Path, Callable[[int, int], None] | None],
    Checkpoint,
]


class Meter(Protocol):
    """Measures the peak memory of one stage after another; `core.engine.peak.PeakMemory`."""

    def begin(self) -> None: ...
    def end(self) -> int | None: ...


class NoMeter:
    """The `Meter` that measures nothing."""

    def begin(self) -> None:
        """A stage begins."""

    def end(self) -> int | None:
        """Nothing was measured."""
        return None


@dataclass(frozen=True)
class Parts:
    """What the runner is composed of; tests put in parts of their own.

    Attributes:
        stages: stage kind -> stage.
        base: registers the base model: (source, checkpoints, cache, progress).
        live: live measurement of a training stage, or None when the recipe wants none.
        dataset: loads a dataset by (name, source, folder of relative paths).
        compute: chooses by (device, dtype).
        saved_step: the step of the training state in a checkpoint's folder.
        foresee: makes, for (recipe, compute, a loader of datasets by name, cache), what says what a step of the
            plan will need, by its id; None when it cannot be said.
        meter: measures the peak memory on a device.
        protocols: the fingerprint of each task's protocol as an evaluation would score it now, by task.
    """

    stages: Mapping[str, Stage]
    base: BaseStage
    live: Callable[[Recipe, StageContext], LiveMeasure | None]
    dataset: Callable[[str, DatasetSource, Path], Dataset]
    compute: Callable[[str, Dtype], Compute]
    saved_step: Callable[[Path], int | None]
    foresee: Callable[[Recipe, Compute, Callable[[str], Dataset], Path], Foresee] = unforeseen
    meter: Callable[[Compute], Meter] = lambda compute: NoMeter()
    protocols: Callable[[EvaluateSpec, Checkpoint, StageContext], Mapping[str, str]] = (
        lambda spec, checkpoint, context: {}
    )
