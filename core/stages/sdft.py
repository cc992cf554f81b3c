"""Self-distillation fine-tuning: the student's own answers, scored by a teacher that saw the demonstration.

Each step the student samples one answer to each prompt (without the demonstration); the frozen teacher
reads the demonstration in its prompt and then the very same tokens; the loss is forward KL over the full
vocabulary at the counted tokens, mean over sequences of mean over tokens. The first
`num_loss_tokens_to_skip` tokens are not counted, the token that ends an answer is. Nothing is propagated
through sampling or the teacher. One rollout serves one optimizer step, so no importance weights are
needed. The teacher stays frozen: one that follows the student drifts (methods.md A2.4).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from core.data.chat import end_of_turn_id, prompt_ids, teacher_messages
from core.data.example import Example
from core.distill.batch import by_length, collate, predicting
from core.distill.divergence import Divergence, forward_kl, token_weights
from core.distill.guards import Guards, has_artefact
from core.distill.head import check_head, head_of, hidden_states
from core.distill.rollout import GROWTH, Rollout, pieces
from core.distill.teacher import Teacher, open_teacher
from core.errors import UserError
from core.events import CompletionSampled, Event, GuardWarning
from core.lm.adapter import plain_model
from core.lm.checkpoint import Checkpoint
from core.lm.generate import Generated, end_ids
from core.lm.load import load_tokenizer
from core.recipe.stage_specs import SdftSpec
from core.stages.context import StageContext
from core.stages.items import demonstrated, fitting, within
from core.stages.student import Student, prepare
from core.stages.training import StepReport, train

STATISTICS = {
    "kl": "kl",
    "reverse_kl": "reverse_kl",
    "student_entropy": "student_entropy",
    "teacher_entropy": "teacher_entropy",
    "top1_agreement": "agreement",
}
"""Metric -> field of `Divergence`."""
KL, AGREEMENT = 0, 4  # their places in STATISTICS

WarningCode = Literal[
    "no_counted_tokens", "artefact_phrases", "truncated_completions", "entropy_collapse"
]


@dataclass(frozen=True)
class Shown:
    """An example with both prompts as token ids: the student's, and the teacher's with demonstration."""

    example: Example
    student: list[int]
    teacher: list[int]


def run(spec: SdftSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Recover the checkpoint by distilling from the teacher that the recipe names.

    Raises:
        UserError: items without demonstration, none that fits, or a teacher with another vocabulary.
    """
    examples = demonstrated(spec, context)
    teacher_checkpoint = context.checkpoint_of(spec.teacher)
    student = prepare(spec, checkpoint, context)
    _require_same_tokens(spec, student, teacher_checkpoint)

    def encode(example: Example) -> Shown:
        return Shown(
            example,
            prompt_ids(student.tokenizer, example.messages),
            prompt_ids(student.tokenizer, teacher_messages(example)),
        )

    def fits(item: Shown) -> bool:
        return within(
            max(len(item.student), len(item.teacher)),
            spec.max_completion_length,
            max_prompt_length=spec.max_prompt_length,
            context_length=student.context_length,
        )

    items = fitting(examples, context, encode, fits)
    teacher = open_teacher(teacher_checkpoint, checkpoint, student.model, context.compute)
    facts = {
        "teacher": spec.teacher,
        "teacher_identity": teacher_checkpoint.identity,
        "teacher_storage": teacher_checkpoint.storage,
        "teacher_shares_network": teacher.shared,
        "compute_dtype": context.compute.dtype_name,
        "loss_reduction": "mean over sequences of the mean over counted tokens",
    }
    objective = SelfDistillation(spec, student, teacher, context)
    return train(spec, checkpoint, context, student, items, objective, facts)


def _require_same_tokens(spec: SdftSpec, student: Student, teacher: Checkpoint) -> None:
    if load_tokenizer(teacher).get_vocab() != student.tokenizer.get_vocab():
        raise UserError(
            f"The teacher {spec.teacher} and the student of stage {spec.id} number their tokens "
            "differently.",
            "Choose a teacher with the same tokenizer.",
        )


class SelfDistillation:
    """Rollout, teacher and divergence of one optimizer step; an `Objective`."""

    def __init__(
        self, spec: SdftSpec, student: Student, teacher: Teacher, context: StageContext
    ) -> None:
        self._spec, self._student, self._teacher, self._context = spec, student, teacher, context
        self._head = head_of(student.model)
        check_head(student.model, self._head)
        self._pad_id = int(student.tokenizer.pad_token_id or 0)
        self._rollout = Rollout(
            temperature=spec.temperature,
            max_new_tokens=spec.max_completion_length,
            batch_size=GROWTH * spec.per_device_train_batch_size,
            eos_ids=end_ids(plain_model(student.model), student.tokenizer)
            | {end_of_turn_id(student.tokenizer)},
            pad_id=self._pad_id,
            seed=context.seed,
        )
        self._guards = Guards()

    def accumulate(
        self, step: int, items: Sequence[Shown], backward: Callable[[Tensor], None]
    ) -> StepReport:
        """Sample, score and add the gradients of one optimizer step."""
        model, started = self._student.model, time.perf_counter()
        prompts = [item.student for item in items]
        answers = self._rollout.sample(model, prompts, step, self._context.check_stop)
        seconds = time.perf_counter() - started
        scores = self._score(items, answers, backward)
        texts = [
            str(self._student.tokenizer.decode(answer.ids, skip_special_tokens=True))
            for answer in answers
        ]
        artefacts = [has_artefact(text) for text in texts]
        truncated = [not answer.ended for answer in answers]
        means = scores.means()
        values = {
            **means,
            "completion_length": sum(len(answer.ids) for answer in answers) / len(answers),
            "ended_rate": 1 - sum(truncated) / len(answers),
            "truncated_rate": sum(truncated) / len(answers),
            "artefact_rate": sum(artefacts) / len(answers),
            "rollout_seconds": seconds,
        }
        events: list[Event] = []
        if scores.counted == 0:
            events.append(self._warning("no_counted_tokens", step, {"completions": len(answers)}))
        for code, numbers in self._guards.observe(
            artefacts, truncated, means.get("student_entropy")
        ):
            events.append(self._warning(code, step, numbers))
        if step == 1 or step % self._spec.logging_completions == 0:
            kept = self._kept(step, items[0], answers[0], scores.kl[0], scores.agreement[0])
            events.append(kept)
        return StepReport(scores.loss, scores.counted, values, events)

    def notes(self) -> dict[str, Any]:
        """What the guards have seen."""
        return self._guards.to_json()

    def recall(self, notes: Mapping[str, Any]) -> None:
        """Let the guards go on."""
        self._guards = Guards.from_json(notes)

    def _score(
        self,
        items: Sequence[Shown],
        answers: Sequence[Generated],
        backward: Callable[[Tensor], None],
    ) -> _Scores:
        spec, device = self._spec, self._student.model.device
        scores = _Scores(len(items))
        lengths = [
            max(len(item.student), len(item.teacher)) + len(answer.ids)
            for item, answer in zip(items, answers, strict=True)
        ]
        for group in by_length(lengths, spec.per_device_train_batch_size):
            self._context.check_stop()
            completions = [answers[index].ids for index in group]
            asked = [items[index].student for index in group]
            shown = [items[index].teacher for index in group]
            batch = collate(asked, completions, self._pad_id, device)
            taught = self._teacher.states(collate(shown, completions, self._pad_id, device))
            states = predicting(
                hidden_states(self._student.model, batch.input_ids, batch.attention_mask), batch
            )
            counted = batch.present.clone()  # (B, C)
            counted[:, : spec.num_loss_tokens_to_skip] = False
            result = forward_kl(
                states.flatten(0, 1),
                self._head,
                taught.flatten(0, 1),
                self._teacher.head,
                token_weights(counted, len(items)).flatten(),
                temperature=spec.temperature,
                chunk_tokens=spec.chunk_tokens,
            )
            backward(result.loss)
            scores.add(group, [len(ids) for ids in completions], counted, result)
        return scores

    def _kept(
        self, step: int, item: Shown, answer: Generated, kl: list[float], agreement: float
    ) -> CompletionSampled:
        counted = [value for value in kl if not math.isnan(value)]
        return CompletionSampled(
            stage=self._context.stage,
            step=step,
            item=item.example.id,
            prompt=item.example.prompt,
            demonstration=item.example.demonstration,
            tokens=tuple(pieces(self._student.tokenizer, answer.ids)),
            divergence=tuple(None if math.isnan(value) else value for value in kl),
            kl=sum(counted) / len(counted) if counted else 0.0,
            teacher_top1_agreement=agreement,
            ended=answer.ended,
        )

    def _warning(self, code: WarningCode, step: int, values: Mapping[str, float]) -> GuardWarning:
        return GuardWarning(stage=self._context.stage, code=code, step=step, values=dict(values))


class _Scores:
    """What the micro-batches of one step add up to."""

    def __init__(self, sequences: int) -> None:
        self.loss = 0.0
        self.counted = 0
        self.kl: list[list[float]] = [
            [] for _ in range(sequences)
        ]  # a value a token; NaN: not counted
        self.agreement = [0.0] * sequences  # mean over the counted tokens of a sequence
        self._sums = [0.0] * len(STATISTICS)

    def add(
        self, group: Sequence[int], lengths: Sequence[int], counted: Tensor, result: Divergence
    ) -> None:
        """Take in a micro-batch.

        Args:
            group: which sequences its rows are.
            lengths: of their completions.
            counted: (B, C).
            result: over the B * C tokens.
        """
        self.loss += float(result.loss.detach())
        columns = torch.stack([getattr(result, name) for name in STATISTICS.values()])
        seen = columns.double().cpu().view(-1, *counted.shape)  # (statistics, B, C)
        mask = counted.cpu()
        self.counted += int(mask.sum())
        zeroed = torch.where(mask, seen, 0.0)
        self._sums = [
            before + new
            for before, new in zip(self._sums, zeroed.sum((1, 2)).tolist(), strict=True)
        ]
        agreement = zeroed[AGREEMENT].sum(-1) / mask.sum(-1).clamp(min=1)
        for row, (index, length) in enumerate(zip(group, lengths, strict=True)):
            self.kl[index] = seen[KL, row, :length].tolist()
            self.agreement[index] = float(agreement[row])

    def means(self) -> dict[str, float]:
        """Means over all counted tokens of the step; empty when there are none."""
        if not self.counted:
            return {}
        return {
            name: total / self.counted for name, total in zip(STATISTICS, self._sums, strict=True)
        }
