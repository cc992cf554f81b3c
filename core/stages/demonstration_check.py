"""Does the demonstration help? SDFT rests on it: a teacher that learns nothing from it teaches nothing.

Before the training, the held-out items are answered greedily: by the student without and with the
demonstration, and by the teacher with it. Where the items carry an answer key the accuracies are compared;
and at the student's answers the mean KL(teacher || student) is taken with the teacher shown the demonstration
and not shown it (methods.md A2.8). Models too small to learn in context should be bootstrapped first
(section 5.3 of the paper).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from core.evaluation.answers import is_correct
from core.events import GuardWarning, Metrics
from core.lm.generate import Generated, generate
from core.stages.context import StageContext
from core.stages.distilling import Completion, Distiller, Shown
from core.stages.student import Student
from core.stages.teachers import Teachers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LEAST_LIFT = 0.1
"""A demonstration that lifts the accuracy by less does not help; methods.md A2.8, inferred there."""

SMALLEST_CHECK = 8
"""Fewer items than this say nothing about a lift of a tenth; inferred."""

THINKING = "<think>"
"""Stands in the chat template of models that think aloud; privileged context shortens it (methods.md A2.5)."""


def thinks(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model behind this tokenizer thinks aloud before it answers."""
    return THINKING in str(tokenizer.chat_template)


def check_demonstrations(
    items: Sequence[Shown],
    student: Student,
    teachers: Teachers,
    distiller: Distiller,
    context: StageContext,
) -> dict[str, float]:
    """Measure, report as metrics of step 0, warn where it does not help; returns what was found, for the record."""
    spec = teachers.spec
    ask = _Asker(student, spec.max_completion_length, spec.per_device_train_batch_size, context)
    plain = ask(student.model, [it.student for it in items])
    shown = ask(student.model, [it.teacher for it in items])
    by_teacher: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        by_teacher.setdefault(_answering(teachers, item), []).append(index)
    found: dict[int, Generated] = {}
    for who, places in by_teacher.items():
        with teachers.loaded[who].at_work() as model:
            answers = ask(model, [items[index].teacher for index in places])
        found.update(zip(places, answers, strict=True))
    taught = [found[index] for index in range(len(items))]
    values = {"demonstration_items": float(len(items))}
    for name, answers in (
        ("accuracy_without_demonstration", plain),
        ("accuracy_with_demonstration", shown),
        ("teacher_accuracy", taught),
    ):
        judged = [
            is_correct(item.example, ask.text(answer))
            for item, answer in zip(items, answers, strict=True)
        ]
        if None not in judged:
            values[name] = fmean(map(bool, judged))
    asked = [Completion(item, it.ids, it.ended) for item, it in zip(items, plain, strict=True)]
    bare = [replace(it, shown=replace(it.shown, teacher=it.shown.student)) for it in asked]
    for name, completions in (
        ("kl_with_demonstration", asked),
        ("kl_without_demonstration", bare),
    ):
        means = distiller.score(completions, len(completions), None).means()
        if "kl" in means:
            values[name] = means["kl"]
    context.emit(Metrics(stage=context.stage, step=0, values=values))
    if not _helps(values):
        context.emit(
            GuardWarning(
                stage=context.stage,
                code="demonstration_no_help",
                step=0,
                values={**values, "least_lift": LEAST_LIFT},
            )
        )
    return values


def _answering(teachers: Teachers, item: Shown) -> int:
    """Which teacher answers an item: its own, or the one of the largest share."""
    route = teachers.route(item.dataset)
    if route is not None:
        return route
    weights = teachers.weights(item.example)
    return weights.index(max(weights))


def _helps(values: dict[str, float]) -> bool:
    """Whether the teacher, shown the demonstration, answers better than the student, or both answer nearly all.

    True where it cannot be told.
    """
    if "teacher_accuracy" not in values:
        return True
    before, taught = values["accuracy_without_demonstration"], values["teacher_accuracy"]
    return taught - before >= LEAST_LIFT or min(before, taught) > 1 - LEAST_LIFT


class _Asker:
    """Greedy answers to prompts, in batches."""

    def __init__(
        self, student: Student, max_new_tokens: int, batch_size: int, context: StageContext
    ) -> None:
        self._tokenizer, self._context = student.tokenizer, context
        self._max_new_tokens, self._batch_size = max_new_tokens, batch_size
        self._eos_ids, self._pad_id = student.eos_ids, student.pad_id

    def __call__(self, model: Any, prompts: Sequence[Sequence[int]]) -> list[Generated]:
        found: list[Generated] = []
        for start in range(0, len(prompts), self._batch_size):
            found += generate(
                model,
                prompts[start : start + self._batch_size],
                max_new_tokens=self._max_new_tokens,
                eos_ids=self._eos_ids,
                pad_id=self._pad_id,
                check=self._context.check_stop,
            )
        return found

    def text(self, answer: Generated) -> str:
        """What was said, without special tokens."""
        return str(self._tokenizer.decode(answer.text_ids, skip_special_tokens=True))
