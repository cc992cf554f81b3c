"""Which worked examples stand before a question: the first of its subject, and never the question itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from core.data.example import Example
from core.errors import UserError
from core.evaluation.exam import Exam


def worked_examples(exam: Exam, examples: Sequence[Example]) -> list[list[Example]]:
    """The worked examples of each item, as many as the task asks for, out of the exam's pool.

    Raises:
        UserError: the pool holds too few on an item's subject.
    """
    count = exam.shots
    if not count:
        return [[] for _ in examples]
    subjects: dict[str, list[Example]] = {}
    for one in exam.pool:
        subjects.setdefault(one.group, []).append(one)
    return [_of(exam, one, subjects.get(one.group, []), count) for one in examples]


def _of(exam: Exam, example: Example, pool: Sequence[Example], count: int) -> list[Example]:
    others = (it for it in pool if (it.question, it.choices) != (example.question, example.choices))
    found = list(islice(others, count))
    if len(found) == count:
        return found
    subject = f" on {example.group}" if example.group else ""
    wanted = f"{count} worked examples{subject} are wanted, and"
    if exam.fewshot is not None:
        raise UserError(
            f"Task {exam.name}: {wanted} dataset {exam.task.fewshot_dataset} has {len(found)}.",
            "Name another fewshot_dataset, or lower num_fewshot.",
        )
    raise UserError(
        f"Task {exam.name}: {wanted} the dataset has {len(found)} beyond the scored items.",
        "Name a fewshot_dataset, lower the task's limit so that items are left over for examples, or set"
        " num_fewshot to 0.",
    )


def source_of(exam: Exam) -> str:
    """Where the worked examples come from, for the protocol."""
    if exam.fewshot is not None:
        return exam.fewshot.fingerprint
    return f"the same dataset beyond item {len(exam.whole)}"
