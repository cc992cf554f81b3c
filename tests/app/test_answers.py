"""Answers over thousands of draws are worked out elsewhere and kept until a new score of their task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.viewmodels.answers import Answers
from core.analysis.comparison import Comparison
from core.events import EvaluatedItem, ItemsEvaluated, TaskEvaluated

ITEMS = 20


class Elsewhere:
    """Another thread that works when told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], object], Callable[[Any], None]]] = []
        self.told = 0

    def __call__(self, job: Callable[[], object], done: Callable[[Any], None]) -> None:
        self.jobs.append((job, done))

    def tell(self) -> None:
        self.told += 1

    def work(self) -> None:
        for job, done in self.jobs:
            done(job())
        self.jobs.clear()


def score(answers: Answers, subject: str, right: int, task: str = "tooluse") -> None:
    """A finished evaluation whose first items are right."""
    items = tuple(
        EvaluatedItem(item=str(i), correct=i < right, score=0.0, group=f"g{i % 6}")
        for i in range(ITEMS)
    )
    stage = f"{subject}.evaluate"
    answers.add_items(ItemsEvaluated(stage=stage, subject=subject, task=task, items=items))
    answers.add_score(
        TaskEvaluated(
            stage=stage,
            subject=subject,
            checkpoint=subject,
            task=task,
            n=ITEMS,
            correct=right,
            protocol="p",
            scorer="s",
            dataset="d",
            seed=0,
        )
    )


def scored(answers: Answers) -> None:
    for subject, right in (("base", 18), ("nf4", 6), ("back", 15)):
        score(answers, subject, right)


def test_that_an_answer_worked_out_elsewhere_is_that_worked_out_at_once() -> None:
    elsewhere = Elsewhere()
    here, there = Answers(), Answers(elsewhere, elsewhere.tell)
    for answers in (here, there):
        scored(answers)
    asked = [
        lambda it: it.compared("tooluse", "nf4", "back"),
        lambda it: it.recovered("tooluse", "base", "nf4", "back"),
    ]
    for ask in asked:
        assert ask(there) is None
        assert ask(there) is None  # asked for once
    assert len(elsewhere.jobs) == len(asked)
    elsewhere.work()
    assert elsewhere.told == len(asked)
    for ask in asked:
        assert ask(there) == ask(here)
        assert ask(here) is not None
    assert not elsewhere.jobs


def test_that_an_answer_about_an_older_score_is_dropped() -> None:
    elsewhere = Elsewhere()
    answers = Answers(elsewhere, elsewhere.tell)
    scored(answers)
    assert answers.compared("tooluse", "nf4", "back") is None
    score(answers, "back", 10)
    elsewhere.work()
    assert elsewhere.told == 0
    assert answers.compared("tooluse", "nf4", "back") is None
    elsewhere.work()
    found = answers.compared("tooluse", "nf4", "back")
    assert isinstance(found, Comparison)
    assert found.gained == 4


def test_that_a_new_score_of_one_task_leaves_the_answers_of_others() -> None:
    answers = Answers()
    scored(answers)
    first = answers.compared("tooluse", "nf4", "back")
    score(answers, "base", 3, task="science")
    assert answers.compared("tooluse", "nf4", "back") is first
