"""Scoring completions against a teacher, micro-batch by micro-batch: what `sdft` and `bootstrap` share.

Teacher and student read the very same completion ids, each after its own prompt (methods.md A2.10). The loss
is the mean over sequences of the mean over counted tokens (A1); the first `num_loss_tokens_to_skip` tokens are
not counted, the token that ends an answer is. A sequence without counted tokens takes part with a loss of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.data.example import Example
from core.distill.batch import Batch, by_length, collate, predicting
from core.distill.divergence import Divergence, divergence, token_weights
from core.distill.head import check_head, head_of, hidden_states
from core.distill.measure import Measure
from core.distill.taught import TaughtCache, TeacherTokens
from core.lm.blocks import watching
from core.recipe.training_specs import DistillSpecBase
from core.stages.context import StageContext
from core.stages.student import Student

STATISTICS = {
    "kl": "kl",
    "reverse_kl": "reverse_kl",
    "student_entropy": "student_entropy",
    "teacher_entropy": "teacher_entropy",
    "top1_agreement": "agreement",
    "covered_mass": "covered",
    "clipped_rate": "clipped",
    "importance_ratio": "ratio",
}
"""Metric -> field of `Divergence`."""
KL, AGREEMENT, RATIO = 0, 4, 7  # their places in STATISTICS


@dataclass(frozen=True)
class Shown:
    """An example with both prompts as token ids.

    Attributes:
        example: what is asked.
        student: the student's prompt.
        teacher: the teacher's, with the demonstration.
        dataset: which of the stage's datasets it comes from.
    """

    example: Example
    student: list[int]
    teacher: list[int]
    dataset: int = 0


@dataclass
class Completion:
    """An answer to be scored.

    Attributes:
        shown: the prompts it answers.
        ids: its tokens.
        ended: whether it ended by itself.
        log_probs: of each token under the student that sampled it; None where there is nothing to correct.
        by_student: False where the teacher sampled it.
        kept: the teacher's likeliest tokens at each of its tokens, where they were taken ahead.
    """

    shown: Shown
    ids: list[int]
    ended: bool
    log_probs: list[float] | None = None
    by_student: bool = True
    kept: TaughtCache | None = None


class Taught(Protocol):
    """Asks the teacher for a micro-batch."""

    def __call__(
        self, route: int | None, batch: Batch, shown: Sequence[Shown]
    ) -> TeacherTokens: ...


class Addition(Protocol):
    """Makes the loss of a micro-batch out of its divergence and the student's states."""

    @property
    def blocks(self) -> Sequence[int]:
        """The blocks whose outputs it looks at."""
        ...

    def __call__(self, number: int, loss: Tensor, states: Sequence[Tensor]) -> Tensor:
        """The loss to be differentiated.

        Args:
            number: of the micro-batch, in the order of `Distiller.groups`.
            loss: its share of the divergence.
            states: of each block (B, C, H), with graph, at the states that predict the completions' tokens.
        """
        ...


class Distiller:
    """Scores completions and, where asked to, adds the gradients.

    Args:
        spec: distance, chunks, micro-batches.
        student: who learns.
        taught: asks the teacher.
        route: which teacher alone scores an item; None: all together.
        context: of the stage.
    """

    def __init__(
        self,
        spec: DistillSpecBase,
        student: Student,
        taught: Taught,
        route: Callable[[Shown], int | None],
        context: StageContext,
    ) -> None:
        self._spec, self._student, self._context = spec, student, context
        self._taught, self._route = taught, route
        self._head = head_of(student.model)
        check_head(student.model, self._head)
        self._pad_id = student.pad_id
        self._measure = measure_of(spec)

    def score(
        self,
        completions: Sequence[Completion],
        sequences: int,
        backward: Callable[[Tensor], None] | None,
        addition: Addition | None = None,
    ) -> Scores:
        """Score all completions.

        Args:
            completions: to be scored.
            sequences: how many the mean is over; more than these when others score the rest.
            backward: takes the micro-batches' losses, which add up to the loss; None: no gradients.
            addition: makes another loss of each micro-batch's; only with gradients.
        """
        scores = Scores(len(completions))
        watched = () if addition is None else addition.blocks
        with torch.set_grad_enabled(backward is not None):
            for number, (route, group) in enumerate(self.groups(completions)):
                self._context.check_stop()
                part = [completions[index] for index in group]
                found, counted, states = self._one(route, part, sequences, watched)
                if backward is not None:
                    loss = found.loss
                    backward(loss if addition is None else addition(number, loss, states))
                scores.add(group, [len(it.ids) for it in part], counted, found)
        return scores

    @property
    def vocabulary(self) -> int:
        """Entries of the student's head."""
        return self._head.vocabulary

    def groups(self, completions: Sequence[Completion]) -> list[tuple[int | None, list[int]]]:
        """Micro-batches: indices of like length that the same teacher scores, with that teacher."""
        routes: dict[int | None, list[int]] = {}
        for index, it in enumerate(completions):
            routes.setdefault(self._route(it.shown), []).append(index)
        found: list[tuple[int | None, list[int]]] = []
        for route, members in routes.items():
            lengths = [
                max(len(it.shown.student), len(it.shown.teacher)) + len(it.ids)
                for it in (completions[index] for index in members)
            ]
            found += [
                (route, [members[place] for place in places])
                for places in by_length(lengths, self._spec.per_device_train_batch_size)
            ]
        return found

    def ask(self, route: int | None, part: Sequence[Completion]) -> tuple[TeacherTokens, Batch]:
        """What the teacher says at the tokens of a micro-batch, and that batch."""
        batch = self._collated([it.shown.teacher for it in part], part)
        return self._taught(route, batch, [it.shown for it in part]), batch

    def on_students_prompt(self, part: Sequence[Completion]) -> tuple[Batch, Tensor]:
        """A micro-batch as the student reads it, and which tokens are counted (B, C)."""
        batch = self._collated([it.shown.student for it in part], part)
        counted = batch.present.clone()
        counted[:, : self._spec.num_loss_tokens_to_skip] = False
        return batch, counted

    def _one(
        self,
        route: int | None,
        part: Sequence[Completion],
        sequences: int,
        watched: Sequence[int],
    ) -> tuple[Divergence, Tensor, list[Tensor]]:
        """The divergence over the B * C tokens of a micro-batch, which are counted (B, C), and states.

        These are of each watched block the outputs (B, C, H) at the states that predict the tokens.
        """
        spec = self._spec
        if all(it.kept is not None for it in part):
            taught: TeacherTokens | TaughtCache = joined(
                [it.kept for it in part if it.kept is not None], self._student.model.device
            )
        else:
            taught, _ = self.ask(route, part)
        batch, counted = self.on_students_prompt(part)
        with watching(self._student.model, watched) as seen:
            states = predicting(
                hidden_states(self._student.model, batch.input_ids, batch.attention_mask), batch
            )
        found = divergence(
            states.flatten(0, 1),
            self._head,
            taught,
            token_weights(counted, sequences).flatten(),
            self._measure,
            temperature=spec.temperature,
            chunk_tokens=spec.chunk_tokens,
            targets=batch.completion.flatten(),
            sampled_log_prob=self._sampled(part, batch),
            is_clip=getattr(spec, "distillation_is_clip", None),
        )
        return found, counted, [predicting(seen[it], batch) for it in watched]

    def _collated(self, prompts: Sequence[Sequence[int]], part: Sequence[Completion]) -> Batch:
        return collate(prompts, [it.ids for it in part], self._pad_id, self._student.model.device)

    def _sampled(self, part: Sequence[Completion], batch: Batch) -> Tensor | None:
        """Log-probabilities (B * C,) at sampling; NaN where there is nothing to correct."""
        if all(it.log_probs is None for it in part):
            return None
        found = torch.full(batch.completion.shape, torch.nan)
        for row, it in enumerate(part):
            if it.log_probs is not None:
                found[row, : len(it.ids)] = torch.tensor(it.log_probs)
        return found.flatten().to(batch.completion.device)


def measure_of(spec: DistillSpecBase) -> Measure:
    """The distance that the settings name."""
    return Measure(
        kind=spec.divergence,
        alpha=spec.distillation_alpha,
        normalised=spec.jsd_normalised,
        top_k=spec.distillation_topk,
        clip=spec.distillation_clip,
    )


def split(cache: TaughtCache, batch: Batch) -> list[TaughtCache]:
    """The cache of B * C tokens as one for each sequence, without padding, in host memory."""
    width = batch.completion.shape[1]
    found = []
    for row, length in enumerate(batch.present.sum(-1).tolist()):
        rows = slice(row * width, row * width + int(length))
        tail = None if cache.log_tail is None else cache.log_tail[rows].cpu()
        found.append(
            TaughtCache(
                cache.ids[rows].cpu(),
                cache.log_p[rows].cpu(),
                cache.temperature,
                cache.vocabulary,
                tail,
            )
        )
    return found


def joined(caches: Sequence[TaughtCache], device: torch.device) -> TaughtCache:
    """Caches of B sequences as one of B * C tokens; padding repeats the first entry and is not counted."""
    width = max(cache.ids.shape[0] for cache in caches)

    def padded(parts: Sequence[Tensor]) -> Tensor:
        rows = [
            torch.nn.functional.pad(it, [0] * (2 * it.ndim - 1) + [width - len(it)]) for it in parts
        ]
        return torch.stack(rows).flatten(0, 1).to(device)

    tails = [cache.log_tail for cache in caches if cache.log_tail is not None]
    return TaughtCache(
        padded([cache.ids for cache in caches]),
        padded([cache.log_p for cache in caches]),
        caches[0].temperature,
        caches[0].vocabulary,
        padded(tails) if len(tails) == len(caches) else None,
    )


class Scores:
    """What the micro-batches of one step add up to."""

    def __init__(self, sequences: int) -> None:
        self.loss = 0.0
        self.counted = 0
        self.kl: list[list[float]] = [
            [] for _ in range(sequences)
        ]  # a value a token; NaN: not counted
        self.agreement = [0.0] * sequences  # mean over the counted tokens of a sequence
        self.sums = [0.0] * len(STATISTICS)
        self.largest_ratio = 1.0

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
        self.sums = [
            before + new for before, new in zip(self.sums, zeroed.sum((1, 2)).tolist(), strict=True)
        ]
        self.largest_ratio = max(
            self.largest_ratio, float(zeroed[RATIO].max()) if mask.any() else 1.0
        )
        agreement = zeroed[AGREEMENT].sum(-1) / mask.sum(-1).clamp(min=1)
        for row, (index, length) in enumerate(zip(group, lengths, strict=True)):
            self.kl[index] = seen[KL, row, :length].tolist()
            self.agreement[index] = float(agreement[row])

    def means(self) -> dict[str, float]:
        """Means over all counted tokens of the step; what is not known is left out."""
        if not self.counted:
            return {}
        found = {
            name: total / self.counted for name, total in zip(STATISTICS, self.sums, strict=True)
        }
        return {name: value for name, value in found.items() if not math.isnan(value)}

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of all shares of a step, in the order of their sequences."""
        whole = cls(0)
        for part in parts:
            whole.loss += part.loss
            whole.counted += part.counted
            whole.kl += part.kl
            whole.agreement += part.agreement
            whole.sums = [a + b for a, b in zip(whole.sums, part.sums, strict=True)]
            whole.largest_ratio = max(whole.largest_ratio, part.largest_ratio)
        return whole


def telling(scores: Scores, spec: DistillSpecBase, *, stale: bool) -> dict[str, float]:
    """The means without those that say nothing with these settings.

    Args:
        scores: of a step.
        spec: of the stage.
        stale: whether importance ratios are at work.
    """
    found = scores.means()
    for name, silent in (
        ("covered_mass", spec.distillation_topk is None),
        ("clipped_rate", spec.distillation_clip is None),
        ("importance_ratio", not stale),
    ):
        if silent:
            found.pop(name, None)
    if "importance_ratio" in found:
        found["largest_importance_ratio"] = scores.largest_ratio
    return found
