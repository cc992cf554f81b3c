"""Walks the plan of a recipe: finds or makes each checkpoint, measures it, and tells what happened.

It knows neither processes nor the store: events leave by `emit`, the past comes in as a `Past`. Errors of
a stage pass through, after the stage has been reported as failed.
"""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from core.analysis.recovery import recovered_fractions
from core.data.example import Dataset
from core.engine.helper import Work
from core.engine.identity import inputs_of, seed_of, stage_identity
from core.engine.lock import exclusive
from core.engine.parts import Foresee, Meter, Parts
from core.engine.resume import Log, Past, Standing, add_score
from core.errors import BugError, StopRequested
from core.events import (
    CheckpointSaved,
    Event,
    Progress,
    RunFinished,
    StageFinished,
    StageStarted,
    StageStatus,
    TaskEvaluated,
)
from core.lm.checkpoint import Checkpoint, folder_of, read_manifest
from core.lm.device import Compute
from core.recipe.field import FOLLOWING
from core.recipe.plan import Step, plan, scored_tasks
from core.recipe.sources import ModelSource
from core.recipe.spec import Recipe
from core.recipe.stage_specs import CheckpointSpec, EvaluateSpec, StageSpec
from core.recipe.training_specs import BootstrapSpec, SdftSpec, SftSpec, TrainSpec
from core.stages.context import StageContext
from core.stages.processes import ALONE, Processes
from core.store.home import Home

STATE_FOLDER = "state"


@dataclass
class Runner:
    """One session of one run.

    Attributes:
        recipe: checked.
        home: where checkpoints and the run's folder lie.
        uid: of the run.
        parts: stages and what they need.
        log: for forgetting what a step that is done again had reported.
        past: what earlier sessions left, see `core.engine.resume.rewind`.
        emit: reports an event.
        stop: None, or how a stop was asked for: True to keep, False to discard.
        save_now: True once for each request to save.
        root: folder of relative data paths.
        processes: this one, which is the main one, and those that train along.
        settle: returns when all that was emitted is on disk.
    """

    recipe: Recipe
    home: Home
    uid: str
    parts: Parts
    log: Log
    past: Past
    emit: Callable[[Event], None]
    stop: Callable[[], bool | None]
    save_now: Callable[[], bool]
    root: Path
    processes: Processes = ALONE
    settle: Callable[[], None] = lambda: None
    _made: dict[str, Checkpoint] = field(default_factory=dict)
    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _compute: Compute = field(init=False)
    _meter: Meter = field(init=False)
    _foresee: Foresee = field(init=False)

    def run(self) -> RunFinished:
        """Execute what is left of the plan; the result says done or stopped.

        Raises:
            Exception: whatever a stage failed with.
        """
        began = time.monotonic()
        steps = plan(self.recipe)
        status: StageStatus = "done"
        try:
            with self.processes:
                device = self.processes.device(self.recipe.device)
                self._compute = self.parts.compute(device, self.recipe.base.dtype)
                self._meter = self.parts.meter(self._compute)
                self._foresee = self.parts.foresee(
                    self.recipe, self._compute, self._dataset, self.home.cache
                )
                for step in steps:
                    self._check_stop()
                    self._made[step.id] = self._execute(step)
                self.processes.decide(None)
        except StopRequested:
            status = "stopped"
        return RunFinished(
            status=status,
            seconds=time.monotonic() - began,
            recovered_fraction=recovered_fractions(steps, self.past.scores),
        )

    def _execute(self, step: Step) -> Checkpoint:
        """The checkpoint with which the step ends."""
        if step.spec is None or step.source is None:
            source = self.recipe.models.get(step.id, self.recipe.base)
            return self._base(step, source)
        if isinstance(step.spec, CheckpointSpec):
            return self._make(step, step.spec, self._made[step.source])
        return self._measure(step, step.spec, self._made[step.source])

    def _base(self, step: Step, source: ModelSource) -> Checkpoint:
        checkpoints, cache = self.home.checkpoints, self.home.cache
        if step.id in self.past.finished:
            checkpoint = self.parts.base(source, checkpoints, cache, None)
            if self._settled(step, checkpoint.identity):
                return checkpoint

        def report(done: int, total: int) -> None:
            self._check_stop()
            self.emit(Progress(stage=step.id, done=done, total=total, unit="byte"))

        with self._reported(step) as ended:
            checkpoint = self.parts.base(source, checkpoints, cache, report)
            self._tell_saved(step, checkpoint)
            ended(checkpoint)
        return checkpoint

    def _teachers_of(self, spec: CheckpointSpec) -> list[str]:
        if isinstance(spec, SdftSpec):
            names = spec.teachers
        elif isinstance(spec, BootstrapSpec | SftSpec) and spec.teacher is not None:
            names = (spec.teacher,)
        else:
            names = ()
        return [name if name in FOLLOWING else self._made[name].identity for name in names]

    def _fingerprints(self, names: Sequence[str]) -> list[str]:
        return [self._dataset(name).fingerprint for name in names]

    def _make(self, step: Step, spec: CheckpointSpec, parent: Checkpoint) -> Checkpoint:
        """Find the checkpoint that `spec` makes from `parent`, or make it."""
        inputs = inputs_of(
            spec,
            seed=seed_of(spec, self.recipe.seed),
            dtype=self._compute.dtype_name,
            datasets=self._fingerprints(spec.datasets if isinstance(spec, TrainSpec) else ()),
            replayed=self._fingerprints(spec.replayed if isinstance(spec, SftSpec) else ()),
            teachers=self._teachers_of(spec),
        )
        identity = stage_identity(parent.identity, spec, inputs)
        folder = folder_of(self.home.checkpoints, identity)
        lock = folder.with_suffix(".lock")
        with exclusive(lock, waiting=self._check_stop):
            settled = self._settled(step, identity)
            found = self._found(folder, identity)
            if found is not None and not settled:
                with self._reported(step, reused=True) as ended:
                    self._tell_saved(step, found)
                    ended(found)
            if found is not None:
                return found
            if settled or self.parts.saved_step(folder) is None:
                self._forget(step)  # its checkpoint, or the state to go on from, is gone
            context = self._context(step, spec, identity=identity, folder=folder, inputs=inputs)
            context = replace(context, evaluated=self.past.evaluated.pop(step.id, {}))
            if isinstance(spec, TrainSpec):
                context = replace(context, measure=self.parts.live(self.recipe, context))
            _clear(folder)
            with self._reported(step) as ended:
                try:
                    if isinstance(spec, TrainSpec):
                        self.processes.decide(Work.of(spec, parent, context, self._made))
                    made = self.parts.stages[spec.kind](spec, parent, context)
                except StopRequested as stop:
                    if not stop.keep:
                        shutil.rmtree(folder)
                    raise
                self._check_made(step, made, identity)
                ended(made)
            _free_memory()
            with suppress(PermissionError):  # Windows: another run that waits has it open
                lock.unlink()  # whoever takes the lock from now on finds the manifest
        return made

    def _measure(self, step: Step, spec: StageSpec, subject: Checkpoint) -> Checkpoint:
        if self._settled(step, subject.identity):
            return subject
        context = self._context(step, spec, identity="", folder=self.home.run(self.uid), inputs={})
        if isinstance(spec, EvaluateSpec):
            context = replace(context, evaluated=self._standing(step, spec, subject, context))
        with self._reported(step) as ended:
            self.parts.stages[spec.kind](spec, subject, context)
            ended(subject)
        _free_memory()
        return subject

    def _standing(
        self, step: Step, spec: EvaluateSpec, subject: Checkpoint, context: StageContext
    ) -> Standing:
        """What an earlier session scored of these tasks; forgotten where weights or a protocol have changed."""
        found = self.past.evaluated.pop(step.id, {})
        if not found:
            return {}
        protocols = self.parts.protocols(spec, subject, context)
        if all(
            it.checkpoint == subject.identity and it.protocol == protocols.get(task)
            for (task, _), it in found.items()
        ):
            return found
        self.log.purge_stage(step.id)
        return {}

    def _settled(self, step: Step, identity: str) -> bool:
        """Whether an earlier session ended the step with this checkpoint; work on another is forgotten."""
        if self.past.partial.get(step.id, identity) != identity:
            self._forget(step)
        if self.past.finished.get(step.id, identity) != identity:
            self._forget(step)
        return step.id in self.past.finished

    def _forget(self, step: Step) -> None:
        """Take back what earlier sessions reported of the step, if anything."""
        self.past.evaluated.pop(step.id, None)
        finished = self.past.finished.pop(step.id, None)
        partial = self.past.partial.pop(step.id, None)
        if finished is not None or partial is not None:
            self.log.purge_stage(step.id)

    def _found(self, folder: Path, identity: str) -> Checkpoint | None:
        found = read_manifest(folder)
        if found is not None and found.identity != identity:
            raise BugError(f"{folder} holds {found.identity}, not {identity}")
        return found

    def _check_made(self, step: Step, made: Checkpoint, identity: str) -> None:
        if made.identity != identity or read_manifest(made.path) is None:
            raise BugError(f"stage {step.id} did not write the checkpoint {identity}")

    def _context(
        self,
        step: Step,
        spec: StageSpec,
        *,
        identity: str,
        folder: Path,
        inputs: Mapping[str, object],
    ) -> StageContext:
        assert step.source is not None  # only the base has none, and it gets no context
        seed = self.recipe.seed
        if isinstance(spec, CheckpointSpec):
            seed = seed_of(spec, seed)
        return StageContext(
            stage=step.id,
            subject=step.source,
            identity=identity,
            folder=folder,
            seed=seed,
            compute=self._compute,
            inputs=inputs,
            datasets=self._dataset,
            tasks=scored_tasks(self.recipe),
            checkpoint_of=self._made.__getitem__,
            emit=self._emit,
            stop=self.stop,
            save_now=self.save_now,
            processes=self.processes,
            settle=self.settle,
        )

    @contextmanager
    def _reported(
        self, step: Step, *, reused: bool = False
    ) -> Iterator[Callable[[Checkpoint], None]]:
        """Report start and end of a step; the block calls what it is given when it has succeeded."""
        began = time.monotonic()
        status: StageStatus = "failed"
        identity: str | None = None

        def ended(checkpoint: Checkpoint) -> None:
            nonlocal status, identity
            status, identity = "done", checkpoint.identity

        compute = self._compute
        # The base holds no network, and what is found again computes nothing.
        expected = None if reused or step.spec is None else self._foresee(step.id)
        self.emit(
            StageStarted(
                stage=step.id,
                device=str(compute.device),
                dtype=compute.dtype_name,
                why=compute.why,
                estimated_memory=expected.memory if expected is not None else None,
                estimated_seconds=expected.seconds if expected is not None else None,
            )
        )
        self._meter.begin()
        try:
            yield ended
        except StopRequested:
            status = "stopped"
            raise
        finally:
            peak = self._meter.end()
            self.emit(
                StageFinished(
                    stage=step.id,
                    status=status,
                    checkpoint=identity,
                    reused=reused,
                    seconds=time.monotonic() - began,
                    peak_memory=None if reused or step.spec is None else peak,
                )
            )

    def _tell_saved(self, step: Step, checkpoint: Checkpoint) -> None:
        """Report a checkpoint that no stage of this session wrote."""
        weights = Path(checkpoint.facts.get("weights", checkpoint.path))
        files = [file for file in weights.rglob("*") if file.is_file()]
        self.emit(
            CheckpointSaved(
                stage=step.id,
                identity=checkpoint.identity,
                parent=checkpoint.parent,
                stage_kind=checkpoint.kind,
                path=checkpoint.path.relative_to(self.home.path).as_posix(),
                bytes=sum(file.stat().st_size for file in files),
            )
        )

    def _emit(self, event: Event) -> None:
        if isinstance(event, TaskEvaluated):
            add_score(self.past.scores, event)
        self.emit(event)

    def _dataset(self, name: str) -> Dataset:
        if name not in self._datasets:
            source = self.recipe.datasets[name]
            self._datasets[name] = self.parts.dataset(name, source, self.root)
        return self._datasets[name]

    def _check_stop(self) -> None:
        keep = self.stop()
        if keep is not None:
            raise StopRequested(keep)


def _clear(folder: Path) -> None:
    """Make the folder, or remove what an interrupted session left in it besides its training state."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.name == STATE_FOLDER:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _free_memory() -> None:
    """Return the networks of the last step: the next one may need the room."""
    gc.collect()
    torch.cuda.empty_cache()
