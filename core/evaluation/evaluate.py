"""Score one task on one network: check, ask what is not known yet, and name the protocol.

What a scorer does is its own (`core.evaluation.scorer`); here is which one belongs to which id, and how the
items of a task, wherever they come from, make its score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import BugError
from core.evaluation.answers import EXACT_MATCH, SCIENCE, TOOLUSE_OFFICIAL, TOOLUSE_STRICT
from core.evaluation.exam import Exam
from core.evaluation.foreign import LM_EVAL
from core.evaluation.options import MULTIPLE_CHOICE, OPTION_LIKELIHOOD, WINOGRANDE
from core.evaluation.protocol import fingerprint
from core.evaluation.scorer import Examinee, OnItems, Scorer
from core.events import EvaluatedItem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SCORERS: Mapping[str, Scorer] = {
    "tooluse_official_v1": TOOLUSE_OFFICIAL,
    "tooluse_strict_v1": TOOLUSE_STRICT,
    "science_exact_v1": SCIENCE,
    "exact_match_v1": EXACT_MATCH,
    "multiple_choice_v1": MULTIPLE_CHOICE,
    "winogrande_v1": WINOGRANDE,
    "option_likelihood_v1": OPTION_LIKELIHOOD,
    "lm_eval": LM_EVAL,
}


@dataclass(frozen=True)
class TaskScore:
    """A task's score.

    Attributes:
        n: items scored.
        correct: of these.
        parts: of the protocol.
        values: what else was found, the means of the items' own values by name. Of generated answers
            `ended_rate` and `mean_completion_tokens`; of tool use and science `lenient_accuracy`; of tool use
            `strict_accuracy`, or `official_accuracy` where the score itself is the strict one; of science and of
            answers by a pattern `format_rate`; of choices by likelihood `mean_margin` (nats) and `cut_rate`, the
            share of items that were longer than the network reads.
    """

    n: int
    correct: int
    parts: dict[str, str]
    values: dict[str, float] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """Fingerprint of how it was scored; 64 hexadecimal digits."""
        return fingerprint(self.parts)


def check(exam: Exam) -> int:
    """See that a task can be scored, and count its items.

    Raises:
        UserError: its data do not suit the scorer.
    """
    scorer = SCORERS[exam.task.scorer]
    scorer.check(exam)
    return scorer.count(exam)


def protocol_of(exam: Exam, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Everything that decides what the score means: rule, items, prompt form, worked examples, decoding."""
    scorer = SCORERS[exam.task.scorer]
    return {
        "scorer": exam.task.scorer,
        "items": str(scorer.count(exam)),
        **scorer.parts(exam, tokenizer),
    }


def evaluate(
    who: Examinee,
    exam: Exam,
    *,
    known: Mapping[str, EvaluatedItem] | None = None,
    on_items: OnItems = lambda items: None,
) -> TaskScore:
    """Score a task.

    The score does not depend on how many of its items were known before: counts are whole numbers, and
    sums of values are rounded once.

    Args:
        who: is asked.
        exam: the task with its data.
        known: items by id that were scored before, by this protocol and on these weights.
        on_items: called with each newly scored batch, longest prompts first.

    Raises:
        UserError: the data do not suit the scorer.
    """
    scorer = SCORERS[exam.task.scorer]
    expected = check(exam)
    items = dict(known or {})

    def take(batch: tuple[EvaluatedItem, ...]) -> None:
        items.update((item.item, item) for item in batch)
        on_items(batch)

    scorer.score(who, exam, frozenset(items), take)
    if len(items) != expected:
        raise BugError(f"task {exam.name}: {len(items)} items scored of {expected}")
    return TaskScore(
        n=len(items),
        correct=sum(item.correct for item in items.values()),
        parts=protocol_of(exam, who.tokenizer),
        values=_means(list(items.values())),
    )


def _means(items: list[EvaluatedItem]) -> dict[str, float]:
    """The mean of each value over the items that have it; equal whatever the order of the items."""
    names = dict.fromkeys(name for item in items for name in item.values)
    found = {name: [it.values[name] for it in items if name in it.values] for name in names}
    return {name: math.fsum(values) / len(values) for name, values in found.items()}
