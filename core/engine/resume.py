"""What earlier sessions of a run left in its log, and what of it still counts.

Finished steps stand. A training that was interrupted goes on from its saved state, so what it reported
past that state is forgotten. Of an interrupted evaluation the scored items stand, as long as weights and protocol
are the same (the runner looks); any other interrupted measurement is forgotten and done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from core.analysis.recovery import Accuracy
from core.evaluation.exam import Evaluated
from core.events import (
    CheckpointSaved,
    EvaluatedItem,
    Event,
    ItemsEvaluated,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.lm.checkpoint import folder_of, read_manifest

Scores = dict[str, dict[str, Accuracy]]
"""Subject -> task -> final accuracy."""

Standing = dict[tuple[str, int | None], Evaluated]
"""What stands of an unfinished step's evaluations, by task and training step (None: of a finished checkpoint)."""

PAST_KINDS = ("stage_started", "stage_finished", "checkpoint_saved", "task_evaluated")
SCORED_KINDS = ("items_evaluated", "task_evaluated")


class Log(Protocol):
    """A run's log, as much of it as a session needs."""

    def past(self) -> Iterable[Event]:
        """The events of `PAST_KINDS`, in order."""
        ...

    def scored(self, stage: str) -> Iterable[Event]:
        """The events of `SCORED_KINDS` of one stage, in order."""
        ...

    def purge_after(self, stage: str, step: int) -> None:
        """Forget what a stage reported past a step."""
        ...

    def purge_stage(self, stage: str) -> None:
        """Forget all that a stage reported."""
        ...


@dataclass
class Past:
    """What stands after `rewind`.

    Attributes:
        finished: step id -> identity of the checkpoint it ended with.
        partial: unfinished step whose reports were kept up to a saved state -> identity it was making.
        evaluated: unfinished step -> what it had scored: an evaluation, or a training at its saved step.
        scores: final accuracies.
    """

    finished: dict[str, str | None] = field(default_factory=dict)
    partial: dict[str, str] = field(default_factory=dict)
    evaluated: dict[str, Standing] = field(default_factory=dict)
    scores: Scores = field(default_factory=dict)


def rewind(log: Log, checkpoints: Path, saved_step: Callable[[Path], int | None]) -> Past:
    """Forget what no longer counts, and return what does.

    Args:
        log: of the run.
        checkpoints: folder of all checkpoints.
        saved_step: the step of the training state in a checkpoint's folder.
    """
    past = Past()
    begun: dict[str, str | None] = {}  # with the identity of what it saved
    scores: dict[str, list[TaskEvaluated]] = {}
    for event in log.past():
        match event:
            case StageStarted():
                begun.setdefault(event.stage, None)
                past.finished.pop(event.stage, None)
            case CheckpointSaved():
                begun[event.stage] = event.identity
            case StageFinished(status="done"):
                past.finished[event.stage] = event.checkpoint
            case TaskEvaluated():
                scores.setdefault(event.stage, []).append(event)
    for stage, identity in begun.items():
        if stage in past.finished:
            continue
        folder = None if identity is None else folder_of(checkpoints, identity)
        step = None if folder is None else saved_step(folder)
        # A manifest without the end of the stage: it was killed between its last file and its last event.
        complete = folder is not None and read_manifest(folder) is not None
        if identity is not None and (complete or step is not None):
            past.partial[stage] = identity
            if step is not None and not complete:
                log.purge_after(stage, step)
                past.evaluated[stage] = _standing(log.scored(stage), step)
        elif identity is None and (standing := _standing(log.scored(stage), None)):
            past.evaluated[stage] = standing
        else:
            log.purge_stage(stage)
            scores.pop(stage, None)
    for events in scores.values():
        for event in events:
            add_score(past.scores, event)
    return past


def _standing(events: Iterable[Event], step: int | None) -> Standing:
    """What these events say of evaluations at one step."""
    items: dict[str, dict[str, EvaluatedItem]] = {}
    told: set[str] = set()
    how: dict[str, set[tuple[str | None, str]]] = {}
    for event in events:
        if not isinstance(event, ItemsEvaluated | TaskEvaluated) or event.step != step:
            continue
        how.setdefault(event.task, set()).add((event.checkpoint, event.protocol))
        if isinstance(event, ItemsEvaluated):
            items.setdefault(event.task, {}).update((it.item, it) for it in event.items)
        else:
            told.add(event.task)
    found: Standing = {}
    for task, ways in how.items():
        # An engine before this one did not say by which protocol items were scored: they stand for nothing.
        checkpoint, protocol = next(iter(ways)) if len(ways) == 1 else (None, "")
        found[task, step] = Evaluated(checkpoint, protocol, items.get(task, {}), task in told)
    return found


def add_score(scores: Scores, event: TaskEvaluated) -> None:
    """Take a final score into account; those in the midst of a training are no checkpoint's."""
    if event.step is None and event.n:
        accuracy = Accuracy(event.correct / event.n, event.protocol)
        scores.setdefault(event.subject, {})[event.task] = accuracy
