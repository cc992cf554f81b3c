"""The teachers that a stage names: opened, checked against the student, and told apart in the record.

Several teachers are one distribution (methods.md F1): their probabilities are averaged, or their
log-probabilities, or each has its own dataset. They read the same prompt, because they number their tokens
alike; vocabularies that differ by padding are cropped where they are compared.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from core.data.chat import answer_ids, prompt_ids
from core.data.example import Example
from core.distill.batch import Batch, collate, predicting
from core.distill.head import hidden_states
from core.distill.likelihood import cross_entropy
from core.distill.shadow import Shadow
from core.distill.taught import Pool, TaughtMixture, TeacherTokens
from core.distill.teacher import Teacher, open_teacher
from core.errors import UserError
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_tokenizer
from core.recipe.field import EMA, FOLLOWING
from core.recipe.training_specs import SdftSpec
from core.stages.context import StageContext
from core.stages.student import Student


@dataclass
class Teachers:
    """The teachers of one stage.

    Attributes:
        spec: which, and how they become one.
        checkpoint: the student's parent.
        student: whose network some of them are.
        context: of the stage.
        shadow: the running average, where one of them is `ema`.
    """

    spec: SdftSpec
    checkpoint: Checkpoint
    student: Student
    context: StageContext
    shadow: Shadow | None = None
    _open: list[Teacher] = field(default_factory=list)
    _weights: dict[Example, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.spec.teachers:
            if name not in FOLLOWING:
                require_same_tokens(
                    name, self.context.checkpoint_of(name), self.student, self.context.stage
                )
        if EMA in self.spec.teachers:
            self.shadow = Shadow(self.student.model)

    def __len__(self) -> int:
        return len(self.spec.teachers)

    @property
    def loaded(self) -> list[Teacher]:
        """The networks, opened when they are first needed."""
        if not self._open:
            self._open = [self._opened(name) for name in self.spec.teachers]
        return self._open

    def free(self) -> None:
        """Let go of the networks; they are opened again when they are needed."""
        self._open = []
        gc.collect()
        if self.context.compute.device.type == "cuda":
            torch.cuda.empty_cache()

    def facts(self) -> list[dict[str, Any]]:
        """For the record: of each its name, network, identity, storage, precision and place."""
        found: list[dict[str, Any]] = []
        for name, teacher in zip(self.spec.teachers, self.loaded, strict=True):
            fact: dict[str, Any] = {"name": name, "network": teacher.network}
            if name not in FOLLOWING:
                checkpoint = self.context.checkpoint_of(name)
                fact |= {
                    "identity": checkpoint.identity,
                    "storage": checkpoint.storage,
                    "dtype": checkpoint.dtype,
                    "path": checkpoint.path.name,
                }
            found.append(fact)
        return found

    def route(self, dataset: int) -> int | None:
        """Which teacher alone scores items of the n-th dataset; None: all of them together."""
        if len(self) == 1:
            return 0
        return dataset if self.spec.teacher_pool == "routed" else None

    def weights(self, example: Example) -> list[float]:
        """The teachers' shares for one item; they add up to one."""
        if self.spec.teacher_weighting == "likelihood" and len(self) > 1:
            if example not in self._weights:
                self._weights[example] = self._by_likelihood(example)
            return self._weights[example]
        given = self.spec.teacher_weights or [1.0] * len(self)
        return [weight / sum(given) for weight in given]

    def taught(
        self, route: int | None, batch: Batch, weights: Sequence[Sequence[float]]
    ) -> TeacherTokens:
        """What is taught at the B * C tokens of a batch.

        Args:
            route: see `route`.
            batch: teacher prompts with completions.
            weights: of each of the B sequences, see `weights`.
        """
        if route is not None:
            return self.loaded[route].taught(batch)
        width = batch.completion.shape[1]
        shares = torch.tensor(weights, device=batch.completion.device)  # (B, M)
        by_token = shares.repeat_interleave(width, 0)  # (B * C, M)
        pool: Pool = "log_linear" if self.spec.teacher_pool == "log_linear" else "linear"
        return TaughtMixture([teacher.taught(batch) for teacher in self.loaded], by_token, pool)

    def updated(self, step: int, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Let a running average follow the student, whose float32 weights `weights` gives."""
        if self.spec.follows_student:
            self._weights.clear()  # a teacher that moves finds demonstrations likelier, or less so
        if self.shadow is not None and step % self.spec.teacher_sync_steps == 0:
            self.shadow.update(weights(), self.spec.teacher_update_rate)

    def _opened(self, name: str) -> Teacher:
        if name == EMA:
            return Teacher(self.student.model, "ema", self.shadow)
        if name in FOLLOWING:
            return Teacher(self.student.model, "live")
        return open_teacher(
            self.context.checkpoint_of(name),
            self.checkpoint,
            self.student.model,
            self.context.compute,
        )

    def _by_likelihood(self, example: Example) -> list[float]:
        """Softmax over the teachers of the mean log-likelihood of the demonstration's tokens (methods.md F1)."""
        tokenizer = self.student.tokenizer
        batch = collate(
            [prompt_ids(tokenizer, example.messages)],
            [answer_ids(tokenizer, example.demonstration)],
            self.student.pad_id,
            self.student.model.device,
        )
        targets = batch.completion[0]
        shares = torch.full(targets.shape, 1 / len(targets), device=targets.device)
        likelihoods = []
        for teacher in self.loaded:
            with teacher.at_work() as model, torch.no_grad():
                states = predicting(
                    hidden_states(model, batch.input_ids, batch.attention_mask), batch
                )
                found = cross_entropy(
                    states[0], teacher.head, targets, shares, chunk_tokens=self.spec.chunk_tokens
                )
            likelihoods.append(-float(found.loss))
        return [float(share) for share in torch.tensor(likelihoods, dtype=torch.float64).softmax(0)]


def require_same_tokens(name: str, teacher: Checkpoint, student: Student, stage: str) -> None:
    """See that teacher and student mean the same by each token id.

    Raises:
        UserError: their tokenizers differ.
    """
    if load_tokenizer(teacher).get_vocab() != student.tokenizer.get_vocab():
        raise UserError(
            f"The teacher {name} and the student of stage {stage} number their tokens differently.",
            "Choose a teacher with the same tokenizer.",
        )
