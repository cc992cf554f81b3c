"""Supervised fine-tuning: next-token loss on the demonstrations, or on a teacher's rewrites of them.

The loss of an optimizer step is the mean over all answer tokens of the step (a long answer counts for
more than a short one, and the cut into micro-batches does not matter); prompt tokens carry none. The
paper does not say how its SFT reduces the loss; this is the usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.data.chat import answer_ids, prompt_ids
from core.data.example import Example
from core.distill.batch import by_length, collate, predicting
from core.distill.head import check_head, head_of, hidden_states
from core.distill.likelihood import cross_entropy
from core.lm.checkpoint import Checkpoint
from core.lm.mode import evaluating
from core.recipe.training_specs import SftSpec
from core.stages.context import StageContext
from core.stages.held_out import held_out
from core.stages.items import Source, demonstrated, fitting, within
from core.stages.objective import Plan, StepReport
from core.stages.rewrite import rewritten
from core.stages.student import Student, prepare
from core.stages.training import train

CHUNK_TOKENS = 256  # tokens whose logits exist at once; the default of sdft.chunk_tokens


@dataclass(frozen=True)
class Answered:
    """A prompt and the answer to learn, as token ids; the answer ends its turn."""

    prompt: list[int]
    answer: list[int]


def run(spec: SftSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Train on the demonstrations of the stage's datasets.

    Raises:
        UserError: items without demonstration, or none that fits.
    """
    examples = demonstrated(spec.datasets, context)
    facts: dict[str, Any] = {"loss_reduction": "mean over answer tokens of the optimizer step"}
    if spec.teacher is not None:
        teacher = context.checkpoint_of(spec.teacher)
        if context.processes.is_main:
            examples = rewritten(examples, teacher, spec, context)
        examples = context.processes.decide(examples)
        facts |= {"rewritten_by": spec.teacher, "teacher_identity": teacher.identity}
    fresh = len(examples)
    examples = [*examples, *replayed(spec, fresh, context)]
    facts["replayed"] = len(examples) - fresh
    student = prepare(spec, checkpoint, context)

    def encode(example: Example, dataset: int) -> Answered:
        return Answered(
            prompt_ids(student.tokenizer, example.messages),
            answer_ids(student.tokenizer, example.demonstration),
        )

    def fits(item: Answered) -> bool:
        return len(item.answer) <= spec.max_completion_length and within(
            len(item.prompt),
            len(item.answer),
            max_prompt_length=spec.max_prompt_length,
            context_length=student.context_length,
        )

    fitted = fitting(examples, context, encode, fits)
    items, kept_out = held_out(fitted, spec, context.seed, lambda it: tuple(it.prompt))
    facts["held_out"] = len(kept_out)
    objective = AnswerLikelihood(spec, student, kept_out, context)
    return train(spec, checkpoint, context, student, items, objective, facts)


def replayed(spec: SftSpec, fresh: int, context: StageContext) -> list[Source]:
    """Items of earlier training, drawn without replacement, so that they are `replay_ratio` of all."""
    if not spec.replayed:
        return []
    pool = demonstrated(spec.replayed, context)
    wanted = round(fresh * spec.replay_ratio / (1 - spec.replay_ratio))
    order = np.random.default_rng([context.seed, len(pool)]).permutation(len(pool))
    return [pool[index] for index in sorted(order[:wanted].tolist())]


class AnswerLikelihood:
    """Cross entropy of the answers; an `Objective`."""

    def __init__(
        self,
        spec: SftSpec,
        student: Student,
        kept_out: Sequence[Answered],
        context: StageContext,
    ) -> None:
        self._spec, self._student, self._context = spec, student, context
        self._kept_out = kept_out
        self._head = head_of(student.model)
        check_head(student.model, self._head)

    def accumulate(
        self, step: int, plan: Plan[Answered], backward: Callable[[Tensor], None]
    ) -> list[float]:
        """Add the gradients of a share of an optimizer step; sums over its tokens and their number, for `report`."""
        share = plan.at(step)
        sums = self._sums(share.items, _tokens(share.whole), backward)
        return [*sums.tolist(), _tokens(share.items)]

    def report(self, step: int, found: Sequence[list[float]]) -> StepReport:
        """Means over all answer tokens of the step."""
        *sums, total = (sum(values) for values in zip(*found, strict=True))
        loss, entropy, accuracy = (value / total for value in sums)
        values = {"student_entropy": entropy, "token_accuracy": accuracy}
        return StepReport(loss, int(total), values)

    def _sums(
        self, items: Sequence[Answered], total: int, backward: Callable[[Tensor], None] | None
    ) -> Tensor:
        """Sums over the answers' tokens of loss, entropy and hits (3,), in float64; gradients where asked for."""
        lengths = [len(item.prompt) + len(item.answer) for item in items]
        sums = torch.zeros(3, dtype=torch.float64)
        for group in by_length(lengths, self._spec.per_device_train_batch_size):
            self._context.check_stop()
            batch = collate(
                [items[index].prompt for index in group],
                [items[index].answer for index in group],
                self._student.pad_id,
                self._student.model.device,
            )
            with torch.set_grad_enabled(backward is not None):
                states = hidden_states(self._student.model, batch.input_ids, batch.attention_mask)
                result = cross_entropy(
                    predicting(states, batch)[batch.present],
                    self._head,
                    batch.completion[batch.present],
                    torch.full((int(batch.present.sum()),), 1 / total, device=states.device),
                    chunk_tokens=CHUNK_TOKENS,
                )
            if backward is not None:
                backward(result.loss)
            seen = torch.stack([result.nll, result.entropy, result.correct])
            sums += seen.sum(-1, dtype=torch.float64).cpu()
        return sums

    def updated(self, step: int, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Nothing follows the weights."""

    def held_out_loss(self) -> float | None:
        """Mean negative log-likelihood of the held-out answers' tokens; in eval mode."""
        if not self._kept_out:
            return None
        total = _tokens(self._kept_out)
        with evaluating(self._student.model):
            return float(self._sums(self._kept_out, total, None)[0]) / total

    def notes(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Nothing to keep."""
        return {}

    def recall(self, notes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Nothing was kept."""


def _tokens(items: Sequence[Answered]) -> int:
    return sum(len(item.answer) for item in items)
