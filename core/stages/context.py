"""What a stage is given, and the shape every stage has.

A degrading or recovering stage returns a new checkpoint; a measuring stage returns the one it received.
Stages speak only by `emit`; they know neither the store nor the window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.data.example import Dataset
from core.errors import StopRequested
from core.evaluation.exam import Evaluated
from core.events import Event
from core.lm.checkpoint import Checkpoint
from core.recipe.sources import Task
from core.stages.processes import ALONE, Processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.lm.device import Compute


class LiveMeasure(Protocol):
    """Called by training stages after each optimizer step, and with step 0 before the first.

    Evaluates and probes when due, emits the events, and leaves the model's mode, its gradients and all
    random states as it found them. `steps` is how many the training has.
    """

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int, steps: int
    ) -> None: ...


@dataclass(frozen=True)
class StageContext:
    """Everything a stage may use besides its spec and the checkpoint it reads.

    Attributes:
        stage: the stage's id in the plan.
        subject: id of the stage whose checkpoint is read.
        identity: identity of the checkpoint to make; "" for measuring stages.
        folder: where the new checkpoint's files go; exists and is empty, or holds `state/` of an interrupted run.
        seed: of this stage.
        compute: device and dtype with the reason for both.
        inputs: dataset fingerprints, teacher identity, seed: for the manifest.
        datasets: loads a dataset of the recipe by name; cached.
        tasks: the evaluation tasks that the run scores.
        checkpoint_of: the finished checkpoint of an earlier stage, or of "base".
        emit: reports an event.
        settle: returns when all that was emitted is on disk: what a resume goes on from must never be ahead
            of the log.
        stop: None, or how a stop was asked for: True to keep, False to discard.
        save_now: True once each time a person asked for a checkpoint.
        measure: live measurement while training; None when the recipe asks for none.
        evaluated: what earlier sessions of the run have scored of this stage's tasks, by task and training
            step (None: on the finished checkpoint).
        processes: those that execute a training stage together. In all but the main one `emit` does
            nothing, no stop is seen and nothing is measured.
    """

    stage: str
    subject: str
    identity: str
    folder: Path
    seed: int
    compute: Compute
    inputs: Mapping[str, Any]
    datasets: Callable[[str], Dataset]
    tasks: Mapping[str, Task]
    checkpoint_of: Callable[[str], Checkpoint]
    emit: Callable[[Event], None]
    stop: Callable[[], bool | None]
    save_now: Callable[[], bool]
    measure: LiveMeasure | None = None
    evaluated: Mapping[tuple[str, int | None], Evaluated] = field(default_factory=dict)
    processes: Processes = ALONE
    settle: Callable[[], None] = lambda: None

    def check_stop(self) -> None:
        """Raise StopRequested when a stop was asked for. Cheap: call it once per batch of work."""
        keep = self.stop()
        if keep is not None:
            raise StopRequested(keep)
