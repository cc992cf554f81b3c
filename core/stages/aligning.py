"""CKA of student and teacher as a part of SDFT's loss: which rows, how strong, and its way into the gradients.

Both networks read the student's prompt, without the demonstration, and the completion: else the geometry of
different contexts would be compared (methods.md F2). Rows are the states that predict the counted tokens, the
very ones on which the divergence acts, without sinks. They are pooled over the whole optimizer step, over its
micro-batches and processes: CKA of a few rows says little, a mean of CKAs is not the CKA of all, and so neither
the cut into micro-batches nor the number of processes changes the loss. The states of all micro-batches with
their graphs do not exist at once; therefore a first pass without graph finds the gradient with respect to the
rows, and the pass that trains hands each micro-batch its part of it. The two passes compute the same states, so
this is the gradient itself, not an approximation.

What it costs, a step: one more forward pass of the teacher and one of the student, without head or graph, over
the student's prompts and completions. Every `BALANCE_STEPS` steps two backward passes more, down to the first
compared block. Rows beyond `LARGEST_ROWS` are thinned evenly, which bounds the cost of CKA itself.

Teachers that are routed have rows of their own; the CKAs are weighed by their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.distill.batch import predicting
from core.distill.cka_loss import Compared, Direction, Rows, compare
from core.distill.head import hidden_states, wide
from core.errors import UserError
from core.lm.blocks import block, block_count, evenly, watching
from core.recipe.training_specs import SdftSpec
from core.stages.context import StageContext
from core.stages.distilling import Completion, Distiller
from core.stages.optimizer import FLOAT16_LOSS_SCALE
from core.stages.processes import Processes
from core.stages.student import Student
from core.stages.teachers import Teachers

LARGEST_ROWS = 2048
"""Rows of one step that are compared; eight times the 256 that are wanted (methods.md F2)."""

BALANCE_STEPS = 10
"""Steps between measurements of the gradients' norms; inferred: the ratio moves slowly."""

BALANCE_RATE = 0.5
"""How far the logarithm of the balance moves to a new measurement; inferred."""

LARGEST_BALANCE = 1000.0
"""A CKA at its extremum has no gradient (an average of the student at the start): it is not blown up; inferred."""


def compared_blocks(spec: SdftSpec, student: Student, teachers: Teachers) -> tuple[int, ...]:
    """Which blocks' outputs are compared.

    Raises:
        UserError: a teacher has another number of blocks, so its layers have no counterparts.
    """
    count = block_count(student.model)
    for name, teacher in zip(spec.teachers, teachers.loaded, strict=True):
        if teacher.blocks != count:
            raise UserError(
                f"The teacher {name} of stage {spec.id} has {teacher.blocks} blocks and the student {count}: "
                "CKA compares block with block.",
                "Choose a teacher with as many blocks, or set cka_loss to off and early_stopping_criterion to "
                "loss.",
            )
    return evenly(spec.cka_layers, count)


@dataclass(frozen=True)
class Slopes:
    """The gradient of the term at the rows of one micro-batch.

    Attributes:
        rows: which of its B * C states these are: (k,).
        by_block: the gradient (k, d) at each compared block; empty where CKA is undefined.
    """

    rows: Tensor
    by_block: list[Tensor]


@dataclass(frozen=True)
class Pull:
    """What the CKA term does in one optimizer step; an `Addition` to the divergence.

    Attributes:
        blocks: that are compared.
        factor: of the term: weight, balance and ramp.
        divergence_share: 1, or 0 where CKA alone is learned.
        compared: rows, and what they gave.
        parts: of the micro-batches.
        norms: of the gradients, where they are measured.
    """

    blocks: tuple[int, ...]
    factor: float
    divergence_share: float
    compared: Compared
    parts: list[Slopes]
    norms: Norms | None

    def __call__(self, number: int, loss: Tensor, states: Sequence[Tensor]) -> Tensor:
        """The micro-batch's share of the loss: its gradient is what counts, its value means nothing."""
        part = self.parts[number]
        term = torch.zeros((), dtype=loss.dtype, device=loss.device)
        for own, slope in zip(states, part.by_block, strict=bool(part.by_block)):
            term = term + (own.flatten(0, 1)[part.rows].to(slope.dtype) * slope).sum()
        if self.norms is not None:
            self.norms.add(loss, term)
        return self.divergence_share * loss + self.factor * term


@dataclass(frozen=True)
class Aligned:
    """What is told of the term of one step; the same in every process.

    Attributes:
        divergence_share: see `Pull`.
        term: with its factor.
        values: metrics.
    """

    divergence_share: float
    term: float
    values: dict[str, float]

    def loss(self, divergence: float) -> float:
        """The loss of the step, whose micro-batches' divergences add up to `divergence`."""
        return self.divergence_share * divergence + self.term


class Norms:
    """The norms of two gradients at some weights, over all micro-batches and processes of a step."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = list(weights)
        self._sums = tuple(
            [torch.zeros_like(it, dtype=torch.float32) for it in weights] for _ in range(2)
        )

    def add(self, divergence: Tensor, term: Tensor) -> None:
        """Take in a micro-batch, whose graph is kept."""
        for loss, sums in zip((divergence, term), self._sums, strict=True):
            found = torch.autograd.grad(
                loss * FLOAT16_LOSS_SCALE, self._weights, retain_graph=True, allow_unused=True
            )
            for total, gradient in zip(sums, found, strict=True):
                if gradient is not None:
                    total += gradient

    def ratio(self, processes: Processes) -> float | None:
        """The norm of the divergence's gradient over that of the term's; None where one of them vanishes."""
        norms = []
        for sums in self._sums:
            holders = [it.detach() for it in sums]
            for holder, gradient in zip(holders, sums, strict=True):
                holder.grad = gradient
            processes.sum_gradients(holders)
            norms.append(math.sqrt(sum(float(it.double().square().sum()) for it in sums)))
        if not all(0 < it < math.inf for it in norms):
            return None
        return min(norms[0] / norms[1], LARGEST_BALANCE)


class Aligner:
    """Finds the CKA term of every optimizer step, and keeps the balance of the gradients.

    Raises:
        UserError: a teacher has another number of blocks.
    """

    def __init__(
        self,
        spec: SdftSpec,
        student: Student,
        teachers: Teachers,
        distiller: Distiller,
        context: StageContext,
    ) -> None:
        self._spec, self._student, self._teachers = spec, student, teachers
        self._distiller, self._processes = distiller, context.processes
        self._check_stop = context.check_stop
        self._blocks = compared_blocks(spec, student, teachers)
        self._direction: Direction = "repel" if spec.cka_loss == "repel" else "attract"
        self._balanced = spec.cka_balance and spec.cka_loss != "only"
        self._balance: float | None = None  # None: not measured yet, and the term rests

    def pull(self, step: int, completions: Sequence[Completion]) -> Pull:
        """The term of one step, from this process's completions and those of the others.

        Args:
            step: counts from 1.
            completions: of this process.
        """
        own, places = self._read(completions)
        compared = compare(self._processes.exchange(own), self._processes.rank, self._direction)
        norms = None
        due = self._balance is None or (step - 1) % BALANCE_STEPS == 0
        if self._balanced and due and compared.slopes:
            weights = block(self._student.model, self._blocks[0]).parameters()
            norms = Norms([it for it in weights if it.requires_grad])
        share = 0.0 if self._spec.cka_loss == "only" else 1.0
        parts = list(_parts(compared, places))
        return Pull(self._blocks, self._factor(step), share, compared, parts, norms)

    def finished(self, pull: Pull) -> Aligned:
        """Take in what a step has measured, and say what it came to."""
        found = {"cka_loss_rows": float(pull.compared.rows)}
        if pull.compared.slopes:
            found |= {"cka_loss": pull.compared.value, "teacher_cka": pull.compared.similarity}
        if self._balanced and self._balance is not None:
            found["cka_balance"] = self._balance
        ratio = None if pull.norms is None else pull.norms.ratio(self._processes)
        if ratio is not None:
            before = ratio if self._balance is None else self._balance
            self._balance = before * (ratio / before) ** BALANCE_RATE
        return Aligned(pull.divergence_share, pull.factor * pull.compared.value, found)

    def notes(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"balance": self._balance}

    def recall(self, notes: Mapping[str, Any]) -> None:
        """Take over what `notes` gave."""
        self._balance = notes["balance"]

    def _factor(self, step: int) -> float:
        spec = self._spec
        if spec.cka_loss == "only":
            return 1.0
        balance = (self._balance or 0.0) if self._balanced else 1.0
        ramp = min(1.0, step / spec.cka_ramp_steps) if spec.cka_ramp_steps else 1.0
        return spec.cka_weight * balance * ramp

    @torch.no_grad()
    def _read(self, completions: Sequence[Completion]) -> tuple[Rows, list[tuple[int, Tensor]]]:
        """The rows of these completions, and of each micro-batch its route and which states its rows are."""
        skipped = self._spec.num_loss_tokens_to_skip
        count = sum(max(0, len(it.ids) - skipped) for it in completions)
        limit = LARGEST_ROWS // self._processes.count
        found: dict[int, list[tuple[list[Tensor], list[Tensor]]]] = {}
        places: list[tuple[int, Tensor]] = []
        first = 0
        for route, group in self._distiller.groups(completions):
            assert route is not None  # the recipe has been checked
            self._check_stop()
            batch, counted = self._distiller.on_students_prompt([completions[it] for it in group])
            at = counted.flatten().nonzero().squeeze(-1)
            numbers = torch.arange(first, first + len(at), device=at.device)
            first += len(at)
            if count > limit:  # evenly, and `limit` of all
                at = at[(numbers + 1) * limit // count > numbers * limit // count]
            places.append((route, at))
            taught = self._teachers.loaded[route].block_states(batch, self._blocks)
            with watching(self._student.model, self._blocks) as seen:
                hidden_states(self._student.model, batch.input_ids, batch.attention_mask)
            learned = [predicting(seen[it], batch) for it in self._blocks]
            pairs = found.setdefault(route, [([], []) for _ in self._blocks])
            for pair, *states in zip(pairs, learned, taught, strict=True):
                for kept, some in zip(pair, states, strict=True):
                    kept.append(self._portable(some.flatten(0, 1)[at]))
        rows = {
            route: [(torch.cat(own), torch.cat(other)) for own, other in pairs]
            for route, pairs in found.items()
        }
        return rows, places

    def _portable(self, rows: Tensor) -> Tensor:
        """Rows as they are compared; in host memory where other processes want them."""
        wider = rows.to(wide(rows.dtype))
        return wider if self._processes.count == 1 else wider.cpu()


def _parts(compared: Compared, places: Sequence[tuple[int, Tensor]]) -> Iterator[Slopes]:
    """The gradient of each micro-batch, whose rows follow each other by route."""
    taken = dict.fromkeys(compared.slopes, 0)
    for route, at in places:
        if route not in taken:
            yield Slopes(at, [])
            continue
        start = taken[route]
        taken[route] = stop = start + len(at)
        yield Slopes(at, [it[start:stop].to(at.device) for it in compared.slopes[route]])
