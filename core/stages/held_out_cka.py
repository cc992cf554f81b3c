"""CKA of student and teacher on the held-out items, measured between the steps of a training.

The probe is fixed: the student's prompts and the items' demonstrations, cut at the longest completion. Both
networks read the same; rows are the states of the counted tokens, as in the loss (`core.stages.aligning`), at most
`PROBE_ROWS` of all, evenly from every item. What a teacher that stays as it is shows is read once.

It is measured on items that decide when the training stops, so it says nothing about unseen ones: accuracies and
the CKA of the recipe's `measure` section do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from core.analysis.cka import SINK_RATIO
from core.analysis.pooled import PooledCka, pooled_cka
from core.data.chat import answer_ids
from core.errors import UserError
from core.lm.activations import capture
from core.recipe.training_specs import SdftSpec
from core.stages.aligning import compared_blocks
from core.stages.context import StageContext
from core.stages.distilling import Shown
from core.stages.probe import Inputs
from core.stages.student import Student
from core.stages.teachers import Teachers

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

PROBE_ROWS = 1024
"""Rows of the probe, unless there are more items; four times the 256 that are wanted (methods.md F3)."""

FEWEST_ITEMS = 8
"""A standard error from fewer items is none; inferred. More are better: 256 are wanted (methods.md F3)."""

Layers = list[NDArray[np.float32]]
"""The rows (n, d) of each compared block."""


class HeldOutCka:
    """Measures when called.

    Args:
        items: held out.
        spec: layers, tokens that are not counted, longest completion.
        student: who learns.
        teachers: one.
        context: of the stage.

    Raises:
        UserError: too few items, or a teacher with another number of blocks.
    """

    def __init__(
        self,
        items: Sequence[Shown],
        spec: SdftSpec,
        student: Student,
        teachers: Teachers,
        context: StageContext,
    ) -> None:
        self._spec, self._student, self._teachers = spec, student, teachers
        self._check_stop = context.check_stop
        self._layers = [f"block_{it}" for it in compared_blocks(spec, student, teachers)]
        per_item = max(1, PROBE_ROWS // max(1, len(items)))
        sequences, spans = [], []
        self._places: list[list[int]] = []
        for item in sorted(items, key=lambda it: len(it.student)):
            answer = answer_ids(student.tokenizer, item.example.demonstration)
            answer = answer[: spec.max_completion_length]
            first = len(item.student) - 1 + spec.num_loss_tokens_to_skip
            places = range(first, len(item.student) + len(answer) - 1)
            if not places:
                continue
            sequences.append((*item.student, *answer))
            spans.append((places.start, places.stop))
            self._places.append(_evenly(places, per_item))
        if len(sequences) < FEWEST_ITEMS:
            raise UserError(
                f"Stage {context.stage} is to measure CKA on held-out items, and has {len(sequences)} with "
                f"tokens that count; at least {FEWEST_ITEMS} are needed.",
                "Raise held_out_items (at most a tenth of all is held out) or the dataset's limit, or set "
                "early_stopping_criterion to loss.",
            )
        self._inputs = Inputs(tuple(sequences), tuple(spans), pooled=False)
        self._items = np.repeat(np.arange(len(sequences)), [len(it) for it in self._places])
        self._kept: Layers | None = None  # of a teacher that stays as it is

    def __call__(self) -> PooledCka:
        """CKA as student and teacher are now, without sink tokens."""
        own, other = self._read(self._student.model), self._taught()
        usual = np.logical_and.reduce([_usual(it) for it in (*own, *other)])
        return pooled_cka(
            [it[usual] for it in own], [it[usual] for it in other], self._items[usual]
        )

    def _taught(self) -> Layers:
        if self._kept is not None:
            return self._kept
        (teacher,) = self._teachers.loaded
        with teacher.at_work() as model:
            found = self._read(model)
        if not self._spec.follows_student:
            self._kept = found
        if self._spec.teacher_cache_steps:
            self._teachers.free()
        return found

    def _read(self, model: PreTrainedModel | PeftModel) -> Layers:
        def select(index: int, states: Tensor) -> Tensor:
            return states[self._places[index]]

        batches = (
            [self._inputs.sequences[index] for index in batch] for batch in self._inputs.batches()
        )
        network = cast("PreTrainedModel", model)  # or one with adapters, which `capture` takes too
        states = capture(network, batches, self._layers, select, self._check_stop)
        return [np.concatenate([it.numpy() for it in states[name]]) for name in self._layers]


def _evenly(places: range, count: int) -> list[int]:
    """At most `count` of the places, evenly spaced."""
    if len(places) <= count:
        return list(places)
    return [places[at * len(places) // count] for at in range(count)]


def _usual(layer: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows are no sinks (methods.md B3)."""
    norms = np.linalg.norm(layer.astype(np.float64), axis=1)
    found: NDArray[np.bool_] = norms <= SINK_RATIO * np.median(norms)
    return found
