"""The training loop that `sft` and `sdft` share: optimizer steps, metrics, saving, stopping, resuming.

An `Objective` turns the items of one optimizer step into gradients; everything around that is here and
does not know what the loss is. Several processes share the items of every step (see
`core.stages.processes`); each learns what all have found, the main one alone measures, reports and writes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from core.analysis.pooled import PooledCka
from core.errors import Diverged, OutOfMemory, StopRequested, UserError
from core.events import CheckpointSaved, GuardWarning, Metrics, Progress
from core.lm.checkpoint import Checkpoint
from core.lm.device import memory
from core.recipe.training_specs import TrainSpec
from core.stages.best_weights import BestWeights
from core.stages.context import StageContext
from core.stages.objective import Objective, Share
from core.stages.optimizer import MasterAdamW
from core.stages.schedule import DataOrder, learning_rate
from core.stages.student import Student, finish
from core.stages.training_state import (
    STATE_FOLDER,
    RandomState,
    TrainingState,
    load_state,
    remove_state,
    save_state,
)

Item = TypeVar("Item")
Found = TypeVar("Found")

_OBJECTIVE = "objective."  # before the names of the objective's own tensors in a saved state


def train(
    spec: TrainSpec,
    checkpoint: Checkpoint,
    context: StageContext,
    student: Student,
    items: Sequence[Item],
    objective: Objective[Item, Found],
    facts: Mapping[str, Any],
    held_out_cka: Callable[[], PooledCka] | None = None,
) -> Checkpoint:
    """Train to the end, or to a stop, and write the new checkpoint.

    A state left in `context.folder` by an interrupted run is taken up; on a CPU the outcome is bitwise
    that of an uninterrupted training.

    Args:
        spec: settings of the stage.
        checkpoint: the parent.
        context: of the stage.
        student: the network, prepared by `core.stages.student.prepare`.
        items: what to train on, in the order of the datasets.
        objective: the loss.
        facts: for the manifest, beside what the loop knows.
        held_out_cka: measured whenever the held-out loss is, and looked at before stopping early; None: not.

    Raises:
        StopRequested: a person stopped it; the state is saved when they keep it.
        Diverged: loss or gradients are not finite; the state before that step is saved.
        OutOfMemory: of the device; likewise.
        UserError: there is nothing to train on.
    """
    if not items:
        raise UserError(
            f"Stage {context.stage} has no items to train on.",
            "Choose a dataset with items, or raise its limit.",
        )
    loop = _Loop(spec, checkpoint, context, student, items, objective, held_out_cka)
    try:
        loop.run()
    except StopRequested as stop:
        if stop.keep:
            loop.save()
        raise
    except Diverged:
        if loop.looked == loop.step:  # else the weights of this very step give no numbers
            loop.save()
        raise
    except OutOfMemory:  # of another process
        loop.save()
        raise
    except torch.OutOfMemoryError as error:
        loop.save()
        raise OutOfMemory(
            f"The device ran out of memory in step {loop.step + 1} of stage {context.stage}.",
            "Lower per_device_train_batch_size (and raise gradient_accumulation_steps by the same "
            "factor) or max_completion_length, or switch gradient_checkpointing on; then resume.",
        ) from error
    trained = {
        "trained_steps": loop.step,
        "trained_tokens": loop.tokens,
        "trainable_parameters": student.trainable,
        "items": len(items),
        **loop.best.facts(),
    }
    made: Checkpoint | None = None
    if context.processes.is_main:
        made = finish(spec, checkpoint, context, student, {**facts, **trained})
        remove_state(context.folder)
        size = sum(file.stat().st_size for file in made.path.rglob("*") if file.is_file())
        context.emit(loop.saved(size, final=True))
    made = context.processes.decide(made)
    assert made is not None  # the main process made it
    return made


class _Loop(Generic[Item, Found]):
    """The moving parts of one training; between two steps it is always in a state worth saving."""

    def __init__(
        self,
        spec: TrainSpec,
        checkpoint: Checkpoint,
        context: StageContext,
        student: Student,
        items: Sequence[Item],
        objective: Objective[Item, Found],
        held_out_cka: Callable[[], PooledCka] | None,
    ) -> None:
        self.held_out_cka = held_out_cka
        self.spec, self.parent, self.context = spec, checkpoint, context
        self.processes = context.processes
        self.student, self.items, self.objective = student, items, objective
        self.order = DataOrder.plan(
            len(items),
            spec.per_device_train_batch_size * spec.gradient_accumulation_steps,
            max_steps=spec.max_steps,
            epochs=spec.num_train_epochs,
            seed=context.seed,
            repeats=getattr(spec, "num_iterations", 1),
        )
        self.optimizer = MasterAdamW(student.model, spec.weight_decay)
        self.best = BestWeights(spec)
        self.step = 0
        self.tokens = 0
        self.measured = -1  # the last step with its live measurement
        self.looked = -1  # and with its held-out one
        self.on_disk = (0, -1, -1)  # step, measured, looked of the state on disk
        self.random = RandomState.capture()
        self._notes = objective.notes()

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.order.steps

    def at(self, step: int) -> Share[Item]:
        """The items of a step; see `Plan`."""
        whole = [self.items[index] for index in self.order.batch(step - 1)]
        return Share(whole, *self.processes.share(whole))

    def run(self) -> None:
        """Take up a saved state, then all remaining steps; the network ends with the best weights."""
        self._restore()
        started, first = time.perf_counter(), self.step
        self._report_progress(None)
        self._look()
        while self.step < self.steps and not self.best.enough:
            self.context.check_stop()
            self.processes.exchange(None)  # nobody begins a step that the main process stops before
            self._advance()
            self._report_progress((self.step - first) / (time.perf_counter() - started))
            self._look()
            due = self.spec.save_steps and self.step % self.spec.save_steps == 0
            if self.context.save_now() or (due and self.step < self.steps):
                self.save()
        if self.step < self.steps:
            self._tell_stopped_early()
        self.best.put_back(self.optimizer, self.step)

    def save(self) -> None:
        """Write the state after the last finished step, unless it is on disk or nothing was trained."""
        now = (self.step, self.measured, self.looked)
        if self.step == 0 or now == self.on_disk or not self.processes.is_main:
            return
        tensors = {**self.optimizer.tensors(), **self.best.tensors()}
        tensors |= {_OBJECTIVE + name: it for name, it in self.objective.tensors().items()}
        notes = {
            "objective": self._notes,
            "best": self.best.notes(),
            "measured": self.measured,
            "looked": self.looked,
        }
        state = TrainingState(self.step, self.tokens, tensors, self.random, notes)
        self.context.settle()  # a killed worker must not have a state whose metrics nobody has seen
        size = save_state(self.context.folder, state)
        self.on_disk = now
        self.context.emit(self.saved(size, final=False))

    def saved(self, size: int, *, final: bool) -> CheckpointSaved:
        """The event that weights reached the disk."""
        folder = self.context.folder if final else self.context.folder / STATE_FOLDER
        return CheckpointSaved(
            stage=self.context.stage,
            identity=self.context.identity,
            parent=self.parent.identity,
            stage_kind=self.spec.kind,
            path=folder.relative_to(self.context.folder.parent.parent).as_posix(),
            bytes=size,
            step=self.step,
            final=final,
        )

    def _restore(self) -> None:
        state = load_state(self.context.folder)
        if state is None:
            return
        self.optimizer.restore(state.tensors)
        self.best.recall(state.notes["best"], state.tensors)
        self.measured, self.looked = state.notes["measured"], state.notes["looked"]
        own = {
            name.removeprefix(_OBJECTIVE): tensor
            for name, tensor in state.tensors.items()
            if name.startswith(_OBJECTIVE)
        }
        self.objective.recall(state.notes["objective"], own)
        state.random.restore()
        self.step = state.step
        self.on_disk = (self.step, self.measured, self.looked)
        self.tokens, self.random = state.tokens, state.random
        self._notes = dict(state.notes["objective"])

    def _advance(self) -> None:
        started = time.perf_counter()
        self.optimizer.zero_grad()
        mine = self.objective.accumulate(self.step + 1, self, self._backward)
        report = self.objective.report(self.step + 1, self.processes.exchange(mine))
        norm = self.optimizer.clip(self.spec.max_grad_norm, self.processes.sum_gradients)
        if not (math.isfinite(report.loss) and math.isfinite(norm)):
            raise Diverged(
                f"In step {self.step + 1} of stage {self.context.stage} the loss is {report.loss:g} and "
                f"the gradient norm {norm:g}.",
                "Lower learning_rate or max_grad_norm; on a GPU, choose bfloat16 or float32 as dtype.",
            )
        rate = learning_rate(self.step, self.steps, self.spec.learning_rate, self.spec.warmup_ratio)
        if report.tokens:
            self.optimizer.step(rate)
        self.step += 1
        self.objective.updated(self.step, self.optimizer.weights)
        self.tokens += report.tokens
        self.random, self._notes = RandomState.capture(), self.objective.notes()
        seconds = time.perf_counter() - started
        values = {
            "loss": report.loss,
            **report.values,
            "grad_norm": norm,
            "learning_rate": rate,
            "tokens_per_second": report.tokens / seconds,
            "step_seconds": seconds,
            "memory": memory(self.student.model.device),
        }
        self.context.emit(
            Metrics(stage=self.context.stage, step=self.step, values=values, tokens=self.tokens)
        )
        for event in report.events:
            self.context.emit(event)

    def _backward(self, loss: Tensor) -> None:
        (loss * self.optimizer.loss_scale).backward()  # type: ignore[no-untyped-call]

    def _look(self) -> None:
        """Everything that is measured between two steps and was not before a stop."""
        if self.measured < self.step:
            self._measure()
            self.measured = self.step
        if self.looked < self.step:
            self._look_at_held_out()
            self.looked = self.step

    def _measure(self) -> None:
        if self.context.measure is not None:
            self.context.measure(self.student.model, self.student.tokenizer, self.step, self.steps)

    def _look_at_held_out(self) -> None:
        """Measure the loss on the held-out items when it is due, and remember the best weights."""
        every = self.spec.eval_steps
        if not every or (self.step % every and self.step < self.steps):
            return
        loss = self.objective.held_out_loss() if self.processes.is_main else None
        loss = self.processes.decide(loss)
        if loss is None:
            return
        if not math.isfinite(loss):
            raise Diverged(
                f"After step {self.step} of stage {self.context.stage} the held-out loss is {loss:g}.",
                "Lower learning_rate or max_grad_norm; on a GPU, choose bfloat16 or float32 as dtype.",
            )
        values = {"held_out_loss": loss}
        cka = None
        if self.held_out_cka is not None:
            cka = self.held_out_cka() if self.processes.is_main else None
            cka = self.processes.decide(cka)
            assert cka is not None  # the main process measured it
            found = {"held_out_cka": cka.value, "held_out_cka_se": cka.standard_error}
            values |= {name: value for name, value in found.items() if math.isfinite(value)}
        self.best.observe(loss, self.step, self.optimizer, cka)
        self.context.emit(
            Metrics(stage=self.context.stage, step=self.step, values=values, tokens=self.tokens)
        )

    def _tell_stopped_early(self) -> None:
        values = {
            "best_step": float(self.best.step),
            "held_out_loss": self.best.loss,
            "measurements": float(self.best.in_vain),
        }
        if self.best.trend.smoothed is not None:
            values["held_out_cka"] = self.best.trend.smoothed
        self.context.emit(
            GuardWarning(
                stage=self.context.stage, code="stopped_early", step=self.step, values=values
            )
        )

    def _report_progress(self, rate: float | None) -> None:
        self.context.emit(
            Progress(
                stage=self.context.stage,
                done=self.step,
                total=self.steps,
                unit="step",
                rate=rate,
                eta=(self.steps - self.step) / rate if rate else None,
            )
        )
