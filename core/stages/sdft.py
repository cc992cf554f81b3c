"""Self-distillation fine-tuning: the student's own answers, scored by a teacher that saw the demonstration.

Each step the student samples answers to each prompt (without the demonstration); the teacher reads the
demonstration in its prompt and then the very same tokens; the loss is a divergence at the counted tokens, by
default forward KL over the full vocabulary, mean over sequences of mean over tokens. Nothing is propagated
through sampling or the teacher. By default the teacher is frozen: one that follows the student drifts
(methods.md A2.4).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from core.data.chat import prompt_ids, teacher_messages
from core.data.example import Example
from core.distill.batch import Batch
from core.distill.guards import Guards, has_artefact
from core.distill.rollout import pieces
from core.distill.taught import TeacherTokens
from core.events import CompletionSampled, Event, GuardWarning
from core.lm.checkpoint import Checkpoint
from core.recipe.training_specs import SdftSpec
from core.stages.aligning import Aligned, Aligner
from core.stages.context import StageContext
from core.stages.demonstration_check import SMALLEST_CHECK, check_demonstrations, thinks
from core.stages.distilling import Completion, Distiller, Scores, Shown, telling
from core.stages.held_out import held_out
from core.stages.held_out_cka import HeldOutCka
from core.stages.items import demonstrated, fitting, within
from core.stages.objective import Plan, Share, StepReport
from core.stages.rollouts import Rollouts
from core.stages.student import Student, prepare
from core.stages.teachers import Teachers
from core.stages.training import train
from core.stages.training_state import saved_step

HELD_OUT_STEP = 0
"""The step whose random numbers answer the held-out prompts: always the same, and no step of the training."""

WarningCode = Literal[
    "no_counted_tokens", "artefact_phrases", "truncated_completions", "entropy_collapse"
]


def run(spec: SdftSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Recover the checkpoint by distilling from the teachers that the recipe names.

    Raises:
        UserError: items without demonstration, none that fits, or a teacher with another vocabulary.
    """
    examples = demonstrated(spec.datasets, context)
    student = prepare(spec, checkpoint, context)
    teachers = Teachers(spec, checkpoint, student, context)

    def encode(example: Example, dataset: int) -> Shown:
        return Shown(
            example,
            prompt_ids(student.tokenizer, example.messages),
            prompt_ids(student.tokenizer, teacher_messages(example, spec.teacher_template)),
            dataset,
        )

    def fits(item: Shown) -> bool:
        return within(
            max(len(item.student), len(item.teacher)),
            spec.max_completion_length,
            max_prompt_length=spec.max_prompt_length,
            context_length=student.context_length,
        )

    fitted = fitting(examples, context, encode, fits)
    items, kept_out = held_out(fitted, spec, context.seed, lambda it: it.example.messages)
    facts: dict[str, Any] = {
        "teachers": teachers.facts(),
        "compute_dtype": context.compute.dtype_name,
        "loss_reduction": "mean over sequences of the mean over counted tokens",
        "held_out": len(kept_out),
    }
    objective = SelfDistillation(spec, student, teachers, kept_out, context)
    if thinks(student.tokenizer) and saved_step(context.folder) is None:
        context.emit(GuardWarning(stage=context.stage, code="thinking_model", step=0))
    if context.processes.is_main and len(kept_out) >= SMALLEST_CHECK:
        if saved_step(context.folder) is None:
            objective.checked.update(
                check_demonstrations(kept_out, student, teachers, objective.distiller, context)
            )
        facts["demonstration_check"] = (
            objective.checked
        )  # of a resumed training: recalled by `train`
    cka = HeldOutCka(kept_out, spec, student, teachers, context) if spec.looks_at_cka else None
    return train(spec, checkpoint, context, student, items, objective, facts, cka)


@dataclass(frozen=True)
class Found:
    """What one process found for its share of a step: scores, and for each completion what is counted of it.

    Attributes:
        seconds: of sampling.
        kept: a completion to read, of the share that holds the step's first.
        aligned: what the CKA term came to, where there is one.
    """

    scores: Scores
    lengths: list[int]
    truncated: list[bool]
    artefacts: list[bool]
    by_student: list[bool]
    seconds: float
    kept: CompletionSampled | None
    aligned: Aligned | None


class SelfDistillation:
    """Rollout, teacher and divergence of one optimizer step; an `Objective`.

    Attributes:
        distiller: scores completions.
        checked: what the check of the demonstrations has found.
    """

    def __init__(
        self,
        spec: SdftSpec,
        student: Student,
        teachers: Teachers,
        kept_out: Sequence[Shown],
        context: StageContext,
    ) -> None:
        self._spec, self._student, self._context = spec, student, context
        self._teachers, self._kept_out = teachers, kept_out
        self.distiller = Distiller(
            spec, student, self._taught, lambda shown: teachers.route(shown.dataset), context
        )
        self._rollouts = Rollouts(spec, student, teachers, self.distiller, context)
        self._aligner: Aligner | None = None
        if spec.cka_loss != "off":
            self._aligner = Aligner(spec, student, teachers, self.distiller, context)
        self._guards = Guards()
        self.checked: dict[str, float] = {}

    def accumulate(self, step: int, plan: Plan[Shown], backward: Callable[[Tensor], None]) -> Found:
        """Sample, score and add the gradients of a share of one optimizer step."""
        started = time.perf_counter()
        completions = self._rollouts.at(step, plan)
        seconds = time.perf_counter() - started
        share = plan.at(step)
        sequences = len(share.whole) * self._spec.num_generations
        pull = None if self._aligner is None else self._aligner.pull(step, completions)
        scores = self.distiller.score(completions, sequences, backward, pull)
        aligned = None
        if self._aligner is not None and pull is not None:
            aligned = self._aligner.finished(pull)
        due = step == 1 or step % self._spec.logging_completions == 0
        kept = None
        if due and share.first == 0 and completions:
            kept = self._kept(step, completions[0], scores.kl[0], scores.agreement[0])
        decode = self._student.tokenizer.decode
        return Found(
            scores,
            [len(it.ids) for it in completions],
            [not it.ended for it in completions],
            [has_artefact(str(decode(it.ids, skip_special_tokens=True))) for it in completions],
            [it.by_student for it in completions],
            seconds,
            kept,
            aligned,
        )

    def report(self, step: int, found: Sequence[Found]) -> StepReport:
        """Means over the whole step, and what there is to show or to warn of."""
        scores = Scores.joined([it.scores for it in found])
        lengths = [length for it in found for length in it.lengths]
        truncated = [flag for it in found for flag in it.truncated]
        artefacts = [flag for it in found for flag in it.artefacts]
        count = len(lengths)
        values = {
            **telling(scores, self._spec, stale=self._rollouts.corrects),
            "completion_length": sum(lengths) / count,
            "ended_rate": 1 - sum(truncated) / count,
            "truncated_rate": sum(truncated) / count,
            "artefact_rate": sum(artefacts) / count,
            "rollout_seconds": max(it.seconds for it in found),
        }
        if self._spec.lmbda < 1:
            values["on_policy_rate"] = sum(flag for it in found for flag in it.by_student) / count
        loss, aligned = scores.loss, found[0].aligned
        if aligned is not None:
            loss = aligned.loss(loss)
            values |= aligned.values
        events: list[Event] = []
        if scores.counted == 0:
            events.append(self._warning("no_counted_tokens", step, {"completions": count}))
        for code, numbers in self._guards.observe(
            artefacts, truncated, values.get("student_entropy")
        ):
            events.append(self._warning(code, step, numbers))
        events += [it.kept for it in found if it.kept is not None]
        return StepReport(loss, scores.counted, values, events)

    def updated(self, step: int, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Let a running average follow."""
        self._teachers.updated(step, weights)

    def held_out_loss(self) -> float | None:
        """The divergence on fresh answers to the held-out prompts, always by the same random numbers."""
        if not self._kept_out:
            return None
        share = Share(self._kept_out, self._kept_out)
        completions = self._rollouts.of(share, HELD_OUT_STEP)
        loss = self.distiller.score(completions, len(completions), None).loss
        if self._spec.teacher_cache_steps:
            self._teachers.free()
        return loss

    def notes(self) -> dict[str, Any]:
        """What the guards and the check have seen, and completions that later steps learn from."""
        return {
            "guards": self._guards.to_json(),
            "rollouts": self._rollouts.notes(),
            "checked": self.checked,
            "aligner": None if self._aligner is None else self._aligner.notes(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The running average, where one teaches."""
        return {} if self._teachers.shadow is None else self._teachers.shadow.tensors()

    def recall(self, notes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Let guards, completions and running average go on."""
        self._guards = Guards.from_json(notes["guards"])
        self.checked.update(notes["checked"])
        self._rollouts.recall(notes["rollouts"])
        if self._aligner is not None:
            self._aligner.recall(notes["aligner"])
        if self._teachers.shadow is not None:
            self._teachers.shadow.restore(tensors)

    def _taught(self, route: int | None, batch: Batch, shown: Sequence[Shown]) -> TeacherTokens:
        weights = [self._teachers.weights(it.example) for it in shown] if route is None else []
        return self._teachers.taught(route, batch, weights)

    def _kept(
        self, step: int, completion: Completion, kl: list[float], agreement: float
    ) -> CompletionSampled:
        counted = [value for value in kl if not math.isnan(value)]
        example = completion.shown.example
        return CompletionSampled(
            stage=self._context.stage,
            step=step,
            item=example.id,
            prompt=example.prompt,
            demonstration=example.demonstration,
            tokens=tuple(pieces(self._student.tokenizer, completion.ids)),
            divergence=tuple(None if math.isnan(value) else value for value in kl),
            kl=sum(counted) / len(counted) if counted else 0.0,
            teacher_top1_agreement=agreement,
            ended=completion.ended,
        )

    def _warning(self, code: WarningCode, step: int, values: Mapping[str, float]) -> GuardWarning:
        return GuardWarning(stage=self._context.stage, code=code, step=step, values=dict(values))
