"""Scorers that compare the likelihoods of an item's options; nothing is generated, and no chat template is used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.data.example import Example
from core.errors import UserError
from core.evaluation import multiple_choice, winogrande
from core.evaluation.exam import Exam
from core.evaluation.likelihood import Likelihood, item_likelihoods
from core.evaluation.multiple_choice import Choice
from core.evaluation.protocol import digest
from core.evaluation.scorer import Examinee, OnItems, check_items, slices
from core.evaluation.shots import source_of, worked_examples
from core.events import EvaluatedItem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHARED_BATCHES = 8
"""Batches asked together where worked examples stand before the questions: these are read once for all of them."""


@dataclass(frozen=True)
class OptionScorer:
    """Chooses the likeliest option.

    Attributes:
        problem: what keeps items from being scored, "" if nothing does.
        requests: context and continuation of each option, for an item and its worked examples.
        choose: by the likelihoods of an item's requests.
        name: of an option by its place, for reading.
        form: everything the prompt is made of besides the items.
        decoding: what is compared.
    """

    problem: Callable[[Sequence[Example]], str]
    requests: Callable[[Example, Sequence[Example]], list[tuple[str, str]]]
    choose: Callable[[Example, Sequence[Likelihood]], Choice]
    name: Callable[[Example, int], str]
    form: Sequence[str]
    decoding: str

    def check(self, exam: Exam) -> None:
        """See `Scorer`; too few items for the worked examples are an error, too."""
        check_items(exam, self.problem)
        shown = worked_examples(exam).values()
        found = self.problem(list({shot.id: shot for shots in shown for shot in shots}.values()))
        if found:
            raise UserError(
                f"Task {exam.name} cannot show worked examples out of dataset {exam.task.fewshot_dataset}: {found}.",
                "Name another fewshot_dataset.",
            )

    def count(self, exam: Exam) -> int:
        """See `Scorer`."""
        return len(exam.scored)

    def parts(self, exam: Exam, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
        """See `Scorer`."""
        count = exam.shots
        return {
            "dataset": exam.items.fingerprint,
            "num_fewshot": str(count),
            **(source_of(exam) if count else {}),
            "form": digest("\n".join(self.form)),
            "chat_template": "none",
            "decoding": self.decoding,
        }

    def score(self, who: Examinee, exam: Exam, known: Collection[str], on_items: OnItems) -> None:
        """See `Scorer`."""
        for batch in self.likelihoods(who, exam, known):
            on_items(tuple(self._item(one, found) for one, found in batch))

    def likelihoods(
        self, who: Examinee, exam: Exam, known: Collection[str] = ()
    ) -> Iterator[list[tuple[Example, list[Likelihood]]]]:
        """Each item that is not known with the likelihoods of its requests, batch by batch."""
        size = exam.task.batch_size
        shared = exam.shots > 0
        shots = worked_examples(exam)
        for part in slices(exam, known, SHARED_BATCHES * size if shared else size, by_group=shared):
            who.check()
            asked = [self.requests(one, shots[one.id]) for one in part]
            found = dict(
                item_likelihoods(who.model, who.tokenizer, asked, batch_size=size, check=who.check)
            )
            yield [(one, found[place]) for place, one in enumerate(part)]

    def _item(self, example: Example, likelihoods: Sequence[Likelihood]) -> EvaluatedItem:
        choice = self.choose(example, likelihoods)
        cut = any(each.cut for each in likelihoods)
        return EvaluatedItem(
            item=example.id,
            correct=choice.index == example.gold_choice,
            score=choice.margin,
            completion=self.name(example, choice.index),
            gold=self.name(example, example.gold_choice or 0),
            group=example.group,
            values={"mean_margin": choice.margin, "cut_rate": float(cut)},
        )


def _letter(example: Example, index: int) -> str:
    return multiple_choice.LETTERS[index]


def _option(example: Example, index: int) -> str:
    return example.choices[index]


MULTIPLE_CHOICE = OptionScorer(
    multiple_choice.problem,
    multiple_choice.requests,
    multiple_choice.choice,
    _letter,
    multiple_choice.FORM,
    "log-likelihood of the letter",
)
WINOGRANDE = OptionScorer(
    winogrande.problem,
    winogrande.requests,
    multiple_choice.choice,
    _option,
    winogrande.FORM,
    winogrande.DECODING,
)
OPTION_LIKELIHOOD = OptionScorer(
    multiple_choice.problem,
    multiple_choice.option_requests,
    multiple_choice.choice_per_character,
    _option,
    (multiple_choice.OPTION_FORM,),
    "log-likelihood of the option per character",
)
