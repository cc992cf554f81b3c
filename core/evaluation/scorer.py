"""What a scorer is: one rule from items to scored items, with everything that decides what its score means."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from core.data.example import Example
from core.errors import UserError
from core.evaluation.exam import Exam
from core.events import EvaluatedItem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

OnItems = Callable[[tuple[EvaluatedItem, ...]], None]


@dataclass(frozen=True)
class Examinee:
    """Who is asked.

    Attributes:
        model: in eval mode; it is only read.
        tokenizer: the model's.
        check: called before each batch and each generated token; may raise StopRequested.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    check: Callable[[], None] = lambda: None


class Scorer(Protocol):
    """How the tasks of one scorer id are scored."""

    def check(self, exam: Exam) -> None:
        """See that the exam has what the rule reads; no network is needed.

        Raises:
            UserError: it has no items, or one that this scorer cannot judge.
        """

    def count(self, exam: Exam) -> int:
        """How many items are scored."""

    def parts(self, exam: Exam, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
        """What decides the score besides scorer and number of items; see `core.evaluation.protocol`."""

    def score(self, who: Examinee, exam: Exam, known: Collection[str], on_items: OnItems) -> None:
        """Score the items whose ids are not known, and hand each batch to `on_items`.

        What an item comes to does not depend on which others are known, up to rounding. Among an item's
        `values`, those of one name are averaged over the items.
        """


def check_items(exam: Exam, problem: Callable[[Sequence[Example]], str]) -> None:
    """The check of a scorer that reads the items of a dataset.

    Raises:
        UserError: there are none, or `problem` says what is wrong with them.
    """
    if not exam.whole:
        raise UserError(
            f"Task {exam.name} has nothing to score: dataset {exam.task.dataset} is empty.",
            "Name another dataset for the task.",
        )
    found = problem(exam.whole)
    if found:
        raise UserError(
            f"Task {exam.name} cannot score dataset {exam.task.dataset} with {exam.task.scorer}: {found}.",
            "Choose the scorer that fits the dataset, or another dataset.",
        )


def slices(
    exam: Exam, known: Collection[str], size: int, *, by_group: bool = False
) -> Iterator[list[Example]]:
    """The items still to be scored in batches, longest prompts first.

    The batches are those of the whole exam without what is known: whole batches that are known leave the others
    as they would have been, to the last bit.

    Args:
        exam: what is scored.
        known: ids of items that are left out.
        size: items of a batch.
        by_group: keep items of one subject together, whose worked examples are the same.
    """
    longest: dict[str, int] = {}
    for one in exam.scored:
        longest[one.group] = max(longest.get(one.group, 0), len(one.prompt))

    def place(one: Example) -> tuple[int, str, int]:
        return (
            (-longest[one.group], one.group, -len(one.prompt))
            if by_group
            else (-len(one.prompt), "", 0)
        )

    ordered = sorted(exam.scored, key=place)
    for start in range(0, len(ordered), size):
        if left := [one for one in ordered[start : start + size] if one.id not in known]:
            yield left
