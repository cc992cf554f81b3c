"""Off-policy distillation from a larger teacher: stage 1 of the paper's section 5.3, before SDFT.

A model too small to learn in context cannot teach itself. Here teacher and student are both shown the
demonstration, and the student learns the teacher's distribution at fixed tokens: the demonstration's own, or
answers that the teacher samples once, before the training. The paper says "off-policy" and not whose tokens;
the demonstration's are the default. Stage 2 is the stage `sdft`, by default taught by this stage's checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from core.data.chat import answer_ids, prompt_ids, teacher_messages
from core.data.example import Example
from core.distill.batch import Batch
from core.distill.head import head_of
from core.distill.rollout import GROWTH, Rollout
from core.distill.taught import TeacherTokens
from core.distill.teacher import Teacher, open_teacher
from core.lm.checkpoint import Checkpoint
from core.lm.mode import evaluating
from core.recipe.training_specs import BootstrapSpec
from core.stages.context import StageContext
from core.stages.distilling import Completion, Distiller, Scores, Shown, telling
from core.stages.held_out import held_out
from core.stages.items import demonstrated, fitting, within
from core.stages.objective import Plan, StepReport
from core.stages.progress import Counter
from core.stages.student import Student, prepare
from core.stages.teachers import require_same_tokens
from core.stages.training import train

SAMPLING_STEP = 0
"""The teacher samples once, before the first step."""


def run(spec: BootstrapSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Train the checkpoint on the teacher's distributions.

    Raises:
        UserError: items without demonstration, none that fits, or a teacher with another vocabulary.
    """
    examples = demonstrated(spec.datasets, context)
    student = prepare(spec, checkpoint, context)
    teacher_checkpoint = context.checkpoint_of(spec.teacher)
    require_same_tokens(spec.teacher, teacher_checkpoint, student, context.stage)
    teacher = open_teacher(teacher_checkpoint, checkpoint, student.model, context.compute)

    def encode(example: Example, dataset: int) -> Completion:
        prompt = prompt_ids(student.tokenizer, teacher_messages(example, spec.teacher_template))
        ids = answer_ids(student.tokenizer, example.demonstration)
        return Completion(Shown(example, prompt, prompt, dataset), ids, True)

    def fits(item: Completion) -> bool:
        longest = len(item.ids) if spec.completions == "demonstration" else 0
        return longest <= spec.max_completion_length and within(
            len(item.shown.teacher),
            spec.max_completion_length,
            max_prompt_length=spec.max_prompt_length,
            context_length=student.context_length,
        )

    items = fitting(examples, context, encode, fits)
    if spec.completions == "teacher":
        if context.processes.is_main:
            items = _answered(items, spec, student, teacher, context)
        items = context.processes.decide(items)
    kept, kept_out = held_out(items, spec, context.seed, lambda it: it.shown.example.messages)
    facts: dict[str, Any] = {
        "teachers": [
            {
                "name": spec.teacher,
                "network": teacher.network,
                "identity": teacher_checkpoint.identity,
                "storage": teacher_checkpoint.storage,
                "dtype": teacher_checkpoint.dtype,
            }
        ],
        "compute_dtype": context.compute.dtype_name,
        "loss_reduction": "mean over sequences of the mean over counted tokens",
        "held_out": len(kept_out),
    }
    objective = Bootstrap(spec, student, teacher, kept_out, context)
    return train(spec, checkpoint, context, student, kept, objective, facts)


def _answered(
    items: Sequence[Completion],
    spec: BootstrapSpec,
    student: Student,
    teacher: Teacher,
    context: StageContext,
) -> list[Completion]:
    """The items with answers that the teacher samples, at the stage's temperature."""
    progress = Counter(context, "item")
    progress.expect(len(items))
    rollout = Rollout(
        temperature=spec.temperature,
        max_new_tokens=spec.max_completion_length,
        batch_size=GROWTH * spec.per_device_train_batch_size,
        eos_ids=student.eos_ids,
        pad_id=student.pad_id,
        seed=context.seed,
        vocabulary=min(head_of(student.model).vocabulary, teacher.vocabulary),
    )
    found: list[Completion] = []
    with teacher.at_work() as model:
        for start in range(0, len(items), rollout.batch_size):
            part = items[start : start + rollout.batch_size]
            answers = rollout.sample(
                model,
                [it.shown.teacher for it in part],
                SAMPLING_STEP,
                context.check_stop,
                positions=range(start, start + len(part)),
            )
            found += [
                Completion(it.shown, answer.ids, answer.ended, by_student=False)
                for it, answer in zip(part, answers, strict=True)
            ]
            progress.advance(len(part))
    return found


class Bootstrap:
    """Divergence at fixed tokens; an `Objective`."""

    def __init__(
        self,
        spec: BootstrapSpec,
        student: Student,
        teacher: Teacher,
        kept_out: Sequence[Completion],
        context: StageContext,
    ) -> None:
        self._spec, self._student = spec, student
        self._teacher, self._kept_out = teacher, kept_out
        self._distiller = Distiller(spec, student, self._taught, lambda shown: None, context)

    def accumulate(
        self, step: int, plan: Plan[Completion], backward: Callable[[Tensor], None]
    ) -> Scores:
        """Score the tokens of a share of an optimizer step and add the gradients."""
        share = plan.at(step)
        return self._distiller.score(share.items, len(share.whole), backward)

    def report(self, step: int, found: Sequence[Scores]) -> StepReport:
        """Means over all counted tokens of the step."""
        scores = Scores.joined(found)
        return StepReport(scores.loss, scores.counted, telling(scores, self._spec, stale=False))

    def updated(self, step: int, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Nothing follows the weights."""

    def held_out_loss(self) -> float | None:
        """The divergence at the held-out items' tokens; in eval mode."""
        if not self._kept_out:
            return None
        with evaluating(self._student.model):
            return self._distiller.score(self._kept_out, len(self._kept_out), None).loss

    def notes(self) -> dict[str, Any]:
        """Nothing to keep: the tokens are the same every time."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def recall(self, notes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Nothing was kept."""

    def _taught(self, route: int | None, batch: Batch, shown: Sequence[Shown]) -> TeacherTokens:
        return self._teacher.taught(batch)
