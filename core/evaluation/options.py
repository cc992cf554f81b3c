"""Scorers that compare the likelihoods of an item's options; nothing is generated, and no chat template is used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.data.example import Example
from core.evaluation import multiple_choice
from core.evaluation.exam import Exam
from core.evaluation.protocol import digest
from core.evaluation.scorer import Batch, Examinee, check_items, slices
from core.evaluation.shots import source_of, worked_examples
from core.events import EvaluatedItem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Answer = Callable[
    [Examinee, Sequence[Example], Sequence[Sequence[Example]], int],
    Iterator[multiple_choice.Choice],
]
"""The choices for examples, by their worked examples, with so many rows of a batch."""


@dataclass(frozen=True)
class OptionScorer:
    """Chooses the likeliest option.

    Attributes:
        problem: what keeps items from being scored, "" if nothing does.
        form: everything the prompt is made of besides the item.
        answer: chooses.
        name: of an option by its place, for reading.
        decoding: what is compared.
        with_shots: whether worked examples are shown when the task asks for them.
    """

    problem: Callable[[Sequence[Example]], str]
    form: Sequence[str]
    answer: Answer
    name: Callable[[Example, int], str]
    decoding: str
    with_shots: bool = True

    def check(self, exam: Exam) -> None:
        """See `Scorer`; too few items for the worked examples are an error, too."""
        check_items(exam, self.problem)
        worked_examples(exam, exam.whole, self._count_shots(exam))

    def count(self, exam: Exam) -> int:
        """See `Scorer`."""
        return len(exam.scored)

    def parts(self, exam: Exam, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
        """See `Scorer`."""
        count = self._count_shots(exam)
        return {
            "dataset": exam.items.fingerprint,
            "num_fewshot": str(count),
            **({"fewshot_from": source_of(exam)} if count else {}),
            "form": digest("\n".join(self.form)),
            "chat_template": "none",
            "decoding": self.decoding,
        }

    def batches(self, who: Examinee, exam: Exam, known: Collection[str]) -> Iterator[Batch]:
        """See `Scorer`."""
        for part in slices(exam, known):
            who.check()
            shots = worked_examples(exam, part, self._count_shots(exam))
            choices = self.answer(who, part, shots, exam.task.batch_size)
            yield tuple(
                EvaluatedItem(
                    item=example.id,
                    correct=choice.index == example.gold_choice,
                    score=choice.margin,
                    completion=self.name(example, choice.index),
                    gold=self.name(example, example.gold_choice or 0),
                    values={"mean_margin": choice.margin},
                )
                for example, choice in zip(part, choices, strict=True)
            )

    def _count_shots(self, exam: Exam) -> int:
        return exam.task.num_fewshot if self.with_shots else 0


def _letters(
    who: Examinee, examples: Sequence[Example], shots: Sequence[Sequence[Example]], batch_size: int
) -> Iterator[multiple_choice.Choice]:
    return multiple_choice.answer(
        who.model, who.tokenizer, examples, shots, batch_size=batch_size, check=who.check
    )


def _options(
    who: Examinee, examples: Sequence[Example], shots: Sequence[Sequence[Example]], batch_size: int
) -> Iterator[multiple_choice.Choice]:
    return multiple_choice.choose_option(
        who.model, who.tokenizer, examples, batch_size=batch_size, check=who.check
    )


MULTIPLE_CHOICE = OptionScorer(
    multiple_choice.problem,
    multiple_choice.FORM,
    _letters,
    lambda one, index: multiple_choice.LETTERS[index],
    "log-likelihood of the letter",
)
OPTION_LIKELIHOOD = OptionScorer(
    multiple_choice.problem,
    (multiple_choice.OPTION_FORM,),
    _options,
    lambda one, index: one.choices[index],
    "log-likelihood of the option per character",
    with_shots=False,
)
