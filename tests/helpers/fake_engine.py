"""Stages that behave as the real ones towards the runner, and take no time: for tests of the engine.

A "network" is one line of text that tells how it came about, so a test can read a checkpoint's history.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from core.data.example import Dataset, Example, Message
from core.engine.parts import Parts
from core.engine.resume import PAST_KINDS, SCORED_KINDS
from core.errors import StopRequested
from core.events import (
    CheckpointSaved,
    CkaMeasured,
    Event,
    Metrics,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.lm.checkpoint import Checkpoint, folder_of, identity_of, write_manifest
from core.lm.device import Compute
from core.recipe.sources import DatasetSource, ModelSource
from core.recipe.spec import Recipe
from core.recipe.stage_specs import CkaSpec, EvaluateSpec, StageSpec
from core.recipe.training_specs import SdftSpec, SftSpec
from core.stages.context import StageContext

CORRECT = {"base": 8, "quantize": 4, "sdft": 7, "sft": 6, "prune": 2}
"""Right answers of ten, by the kind of stage that made the checkpoint."""

COMPUTE = Compute(torch.device("cpu"), torch.float32, "tests")


def text_of(checkpoint: Checkpoint) -> str:
    """How the network came about."""
    return (checkpoint.path / "weights.txt").read_text(encoding="utf-8")


def base(
    source: ModelSource,
    checkpoints: Path,
    cache: Path,
    progress: Callable[[int, int], None] | None,
) -> Checkpoint:
    """Registers a base model of the source's name."""
    if progress is not None:
        progress(1, 2)
    identity = identity_of(None, {"kind": "base"}, {"digest": source.label})
    folder = folder_of(checkpoints, identity)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.txt").write_text("base", encoding="utf-8")
    made = Checkpoint(
        identity, folder, None, None, "base", "full", "auto", {}, {}, {"weights": str(folder)}
    )
    write_manifest(made)
    return made


@dataclass
class Fakes:
    """The parts, and a record of what was asked of them.

    Attributes:
        before: called with (stage id, step) before each step of a training, and with step 0 by others.
        ran: ids of the stages executed, in order.
        contexts: of each.
        content: of the datasets; another content is another fingerprint.
        protocol: of all tasks.
    """

    before: Callable[[str, int], None] = lambda stage, step: None
    ran: list[str] = field(default_factory=list)
    contexts: dict[str, StageContext] = field(default_factory=dict)
    content: str = "items"
    protocol: str = "p1"
    step_seconds: float = 0.0

    @property
    def parts(self) -> Parts:
        return Parts(
            stages={
                "quantize": self.rewrite,
                "prune": self.rewrite,
                "sft": self.train,
                "sdft": self.train,
                "evaluate": self.evaluate,
                "cka": self.cka,
            },
            base=base,
            live=lambda recipe, context: None,
            dataset=self.dataset,
            compute=lambda device, dtype: COMPUTE,
            saved_step=saved_step,
            protocols=lambda spec, checkpoint, context: dict.fromkeys(spec.tasks, self.protocol),
        )

    def dataset(self, name: str, source: DatasetSource, root: Path) -> Dataset:
        digest = hashlib.sha256(f"{self.content} {source.file}".encode()).hexdigest()
        example = Example("1", (Message("user", "?"),), demonstration="!")
        return Dataset(name, str(source.file), "messages", digest, (example,))

    def rewrite(self, spec: Any, parent: Checkpoint, context: StageContext) -> Checkpoint:
        self._begin(context)
        return self._finish(spec, parent, context, f"{text_of(parent)} > {spec.kind}")

    def train(
        self, spec: SftSpec | SdftSpec, parent: Checkpoint, context: StageContext
    ) -> Checkpoint:
        """Counts to max_steps; the state is the count."""
        self._begin(context)
        done = saved_step(context.folder) or 0
        total = spec.max_steps or 1
        try:
            while done < total:
                context.check_stop()
                self.before(context.stage, done + 1)
                time.sleep(self.step_seconds)
                done += 1
                values = {"loss": 1.0 / done}
                context.emit(Metrics(stage=context.stage, step=done, values=values))
                if done % spec.save_steps == 0 or context.save_now():
                    self._save(spec, parent, context, done)
        except StopRequested as stop:
            if stop.keep:
                self._save(spec, parent, context, done)
            raise
        words = f"{text_of(parent)} > {spec.kind} {done}"
        if isinstance(spec, SdftSpec):
            words += f" by [{text_of(context.checkpoint_of(spec.teachers[0]))}]"
        return self._finish(spec, parent, context, words)

    def evaluate(
        self, spec: EvaluateSpec, subject: Checkpoint, context: StageContext
    ) -> Checkpoint:
        self._begin(context)
        for task in spec.tasks:
            if (task, None) in context.evaluated:
                continue
            self.before(context.stage, 0)
            context.emit(
                TaskEvaluated(
                    stage=context.stage,
                    subject=context.subject,
                    checkpoint=subject.identity,
                    task=task,
                    n=10,
                    correct=CORRECT[subject.kind],
                    protocol=self.protocol,
                    scorer="s",
                    dataset="d",
                    seed=context.seed,
                )
            )
        return subject

    def cka(self, spec: CkaSpec, subject: Checkpoint, context: StageContext) -> Checkpoint:
        self._begin(context)
        assert context.checkpoint_of(spec.reference).path.is_dir()
        context.emit(
            CkaMeasured(
                stage=context.stage,
                subject=context.subject,
                reference=spec.reference,
                probe=spec.probe,
                mode=spec.mode,
                token=spec.token,
                preprocessing=spec.preprocessing,
                variant=spec.variant,
                rows=("block_0",),
                cols=("block_0",),
                values=(0.9,),
                n=4,
            )
        )
        return subject

    def _begin(self, context: StageContext) -> None:
        self.ran.append(context.stage)
        self.contexts[context.stage] = context
        self.before(context.stage, 0)

    def _save(self, spec: StageSpec, parent: Checkpoint, context: StageContext, step: int) -> None:
        (context.folder / "state").mkdir(exist_ok=True)
        (context.folder / "state" / "step").write_text(str(step), encoding="utf-8")
        context.emit(_saved(spec, parent, context, step=step, final=False))

    def _finish(
        self, spec: Any, parent: Checkpoint, context: StageContext, words: str
    ) -> Checkpoint:
        (context.folder / "weights.txt").write_text(words, encoding="utf-8")
        made = Checkpoint(
            context.identity,
            context.folder,
            parent.identity,
            parent.path,
            spec.kind,
            "full",
            parent.dtype,
            {},
            dict(context.inputs),
            {},
        )
        write_manifest(made)
        context.emit(_saved(spec, parent, context, step=None, final=True))
        return made


def _saved(
    spec: StageSpec, parent: Checkpoint, context: StageContext, *, step: int | None, final: bool
) -> CheckpointSaved:
    return CheckpointSaved(
        stage=context.stage,
        identity=context.identity,
        parent=parent.identity,
        stage_kind=spec.kind,
        path=f"checkpoints/{context.folder.name}",
        bytes=1,
        step=step,
        final=final,
    )


def saved_step(folder: Path) -> int | None:
    """The step of the fake training state."""
    file = folder / "state" / "step"
    return int(file.read_text(encoding="utf-8")) if file.is_file() else None


@dataclass
class ListLog:
    """A run's log as a list, with the store's rules for forgetting."""

    events: list[Event] = field(default_factory=list)

    def past(self) -> Iterable[Event]:
        return [event for event in self.events if event.kind in PAST_KINDS]

    def scored(self, stage: str) -> Iterable[Event]:
        return [
            event
            for event in self.events
            if event.kind in SCORED_KINDS and getattr(event, "stage", "") == stage
        ]

    def purge_after(self, stage: str, step: int) -> None:
        self.events = [
            event
            for event in self.events
            if getattr(event, "stage", "") != stage or (getattr(event, "step", None) or 0) <= step
        ]

    def purge_stage(self, stage: str) -> None:
        self.events = [event for event in self.events if getattr(event, "stage", "") != stage]

    def of(self, kind: str, stage: str) -> list[Any]:
        """Events of one kind and stage."""
        return [e for e in self.events if e.kind == kind and getattr(e, "stage", "") == stage]

    def started(self) -> list[str]:
        """Stages begun, in order."""
        return [event.stage for event in self.events if isinstance(event, StageStarted)]

    def ended(self) -> dict[str, str]:
        """Stage -> how it ended last."""
        return {
            event.stage: event.status for event in self.events if isinstance(event, StageFinished)
        }


def a_recipe(stages: Sequence[dict[str, Any]] | None = None, **fields: Any) -> Recipe:
    """NF4, then SDFT of six steps; a task and CKA on every checkpoint."""
    return Recipe.model_validate(
        {
            "name": "a recipe",
            "base": {"name": "tiny"},
            "datasets": {"science": {"file": "."}, "probe": {"file": "."}},
            "tasks": {"science": {"scorer": "science_exact_v1", "dataset": "science"}},
            "stages": list(
                stages
                if stages is not None
                else [
                    {"id": "nf4", "kind": "quantize"},
                    {
                        "id": "back",
                        "kind": "sdft",
                        "dataset": "science",
                        "max_steps": 6,
                        "save_steps": 2,
                    },
                ]
            ),
            "measure": {"tasks": ["science"], "cka": {"probe": "probe"}},
            **fields,
        }
    )


def recipe_json(recipe: Recipe) -> str:
    """The recipe as the store keeps it."""
    return json.dumps(recipe.model_dump(mode="json", by_alias=True))
