"""Which worked examples stand before a question, and never the question itself.

Either the first ones of its subject, as lm-eval shows MMLU's development split, or for each question some drawn
from all of its subject, as lm-eval does where a task's author says nothing (Winogrande). The draws are the same as
lm-eval's: with its seed, item after item, and one more than needed in case the item itself is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from core.data.example import Example
from core.errors import UserError
from core.evaluation.exam import Exam

DRAW_SEED = 1234
"""lm-eval's (`lm_eval.defaults`, fewshot_random_seed)."""


def worked_examples(exam: Exam) -> dict[str, list[Example]]:
    """Item id -> its worked examples, as many as the task asks for, for all items that the task scores.

    Raises:
        UserError: the pool holds too few on an item's subject.
    """
    count = exam.shots
    if not count:
        return {one.id: [] for one in exam.whole}
    subjects: dict[str, list[Example]] = {}
    for one in exam.pool:
        subjects.setdefault(one.group, []).append(one)
    asked = {_asked(one) for pool in subjects.values() for one in pool}
    random = {subject: Random(DRAW_SEED) for subject in subjects}
    found = {}
    for one in exam.whole:
        pool = subjects.get(one.group, [])
        others = [it for it in pool if _asked(it) != _asked(one)] if _asked(one) in asked else pool
        if len(others) < count or (exam.task.fewshot_sampler == "random" and len(pool) <= count):
            raise _too_few(exam, one, len(others))
        if exam.task.fewshot_sampler == "random":
            found[one.id] = _drawn(random[one.group], pool, others, count, _asked(one))
        else:
            found[one.id] = others[:count]
    return found


def _drawn(
    random: Random,
    pool: Sequence[Example],
    others: Sequence[Example],
    count: int,
    asked: tuple[str, tuple[str, ...]],
) -> list[Example]:
    drawn = [it for it in random.sample(pool, count + 1) if _asked(it) != asked]
    return drawn[:count] if len(drawn) >= count else random.sample(others, count)


def _asked(example: Example) -> tuple[str, tuple[str, ...]]:
    return example.question, tuple(example.choices)


def _too_few(exam: Exam, example: Example, there: int) -> UserError:
    subject = f" on {example.group}" if example.group else ""
    wanted = f"{exam.shots} worked examples{subject} are wanted, and"
    if exam.fewshot is not None:
        return UserError(
            f"Task {exam.name}: {wanted} dataset {exam.task.fewshot_dataset} has {there}.",
            "Name another fewshot_dataset, or lower num_fewshot.",
        )
    return UserError(
        f"Task {exam.name}: {wanted} the dataset has {there} beyond the scored items.",
        "Name a fewshot_dataset, lower the task's limit so that items are left over for examples, or set"
        " num_fewshot to 0.",
    )


def source_of(exam: Exam) -> dict[str, str]:
    """Where the worked examples come from, and how they are chosen, for the protocol."""
    dataset = f"the same dataset beyond item {len(exam.whole)}"
    drawn = exam.task.fewshot_sampler == "random"
    return {
        "fewshot_from": exam.fewshot.fingerprint if exam.fewshot is not None else dataset,
        "fewshot_sampler": f"random, seed {DRAW_SEED}" if drawn else "first of the subject",
    }
