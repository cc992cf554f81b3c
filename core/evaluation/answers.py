"""Scorers that read a generated answer: the chat template, greedy decoding, and a rule for the text."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.data.chat import end_of_turn_id, prompt_ids
from core.data.example import Example
from core.evaluation import exact_match, science, tooluse, tooluse_strict
from core.evaluation.exam import Exam
from core.evaluation.protocol import digest
from core.evaluation.scorer import Examinee, OnItems, check_items, slices
from core.events import EvaluatedItem
from core.lm.generate import Generated, end_ids, generate
from core.recipe.sources import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what else was found: `values` are averaged over the items by name."""

    correct: bool
    values: dict[str, float]


@dataclass(frozen=True)
class AnswerScorer:
    """Generates and judges.

    Attributes:
        problem: what keeps items from being judged, "" if nothing does.
        judge: by an item, its answer and the task.
        gold: the right answer of an item, for reading.
        settings: of the task that the rule reads, for the protocol.
    """

    problem: Callable[[Task, Sequence[Example]], str]
    judge: Callable[[Task, Example, str], Verdict]
    gold: Callable[[Example], str]
    settings: Callable[[Task], dict[str, str]] = lambda task: {}

    def check(self, exam: Exam) -> None:
        """See `Scorer`."""
        check_items(exam, lambda examples: self.problem(exam.task, examples))

    def count(self, exam: Exam) -> int:
        """See `Scorer`."""
        return len(exam.scored)

    def parts(self, exam: Exam, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
        """See `Scorer`."""
        return {
            "dataset": exam.items.fingerprint,
            "num_fewshot": "0",
            "chat_template": digest(json.dumps(tokenizer.chat_template)),
            "decoding": "greedy",
            "max_new_tokens": str(exam.task.max_new_tokens),
            **self.settings(exam.task),
        }

    def score(self, who: Examinee, exam: Exam, known: Collection[str], on_items: OnItems) -> None:
        """See `Scorer`."""
        model, tokenizer = who.model, who.tokenizer
        eos_ids = end_ids(model, tokenizer) | {end_of_turn_id(tokenizer)}
        for part in slices(exam, known, exam.task.batch_size):
            who.check()
            answers = generate(
                model,
                [prompt_ids(tokenizer, example.messages) for example in part],
                max_new_tokens=exam.task.max_new_tokens,
                eos_ids=eos_ids,
                pad_id=tokenizer.pad_token_id,
                sampling=None,
                check=who.check,
            )
            on_items(
                tuple(
                    self._item(tokenizer, exam.task, example, generated)
                    for example, generated in zip(part, answers, strict=True)
                )
            )

    def _item(
        self,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        example: Example,
        generated: Generated,
    ) -> EvaluatedItem:
        text = str(tokenizer.decode(generated.text_ids, skip_special_tokens=True))
        verdict = self.judge(task, example, text)
        lengths = {
            "ended_rate": float(generated.ended),
            "mean_completion_tokens": float(len(generated.ids)),
        }
        return EvaluatedItem(
            item=example.id,
            correct=verdict.correct,
            score=float(verdict.correct),
            completion=text,
            gold=self.gold(example),
            group=example.group,
            values={**verdict.values, **lengths},
        )


def is_correct(example: Example, text: str) -> bool | None:
    """Whether an answer is right by the item's own key, judged as its task would; None when it has none."""
    if example.calls:
        return tooluse.is_correct(text, example.calls)
    if example.gold and example.gold in _answers(example):
        return science.is_correct(text, example.gold)
    return None


def _tooluse_problem(task: Task, examples: Sequence[Example]) -> str:
    missing = next((example for example in examples if not example.calls), None)
    return f"item {missing.id} has no gold tool call" if missing else ""


def _judge_official(task: Task, example: Example, text: str) -> Verdict:
    strict = tooluse_strict.is_correct(text, example.calls)
    return Verdict(
        tooluse.is_correct(text, example.calls),
        {"strict_accuracy": float(strict), "lenient_accuracy": _lenient_call(example, text)},
    )


def _judge_strict(task: Task, example: Example, text: str) -> Verdict:
    official = tooluse.is_correct(text, example.calls)
    return Verdict(
        tooluse_strict.is_correct(text, example.calls),
        {"official_accuracy": float(official), "lenient_accuracy": _lenient_call(example, text)},
    )


def _lenient_call(example: Example, text: str) -> float:
    return float(tooluse.is_nearly_correct(text, example.calls))


def _science_problem(task: Task, examples: Sequence[Example]) -> str:
    missing = next((one for one in examples if one.gold not in _answers(one)), None)
    return f"item {missing.id} has no gold letter A-D and no gold option" if missing else ""


def _answers(example: Example) -> Collection[str]:
    """What an answer may be: an option's text where the key is one (boron is B, too), else a letter."""
    return example.choices if example.gold in example.choices else science.LETTERS


def _judge_science(task: Task, example: Example, text: str) -> Verdict:
    answers = _answers(example)
    if answers is science.LETTERS:
        lenient = science.lenient_letter(text)
    else:
        lenient = science.lenient_option(text, example.choices)
    return Verdict(
        science.is_correct(text, example.gold),
        {
            "format_rate": float(science.keeps_format(text, answers)),
            "lenient_accuracy": float(lenient == example.gold),
        },
    )


def _judge_exactly(task: Task, example: Example, text: str) -> Verdict:
    correct = exact_match.is_correct(text, example.gold, task)
    if task.answer_pattern is None:
        return Verdict(correct, {})
    kept = exact_match.extract(text, task.answer_pattern) is not None
    return Verdict(correct, {"format_rate": float(kept)})


def _clean_up(task: Task) -> dict[str, str]:
    return {
        "answer_pattern": task.answer_pattern or "none",
        "ignore_case": str(task.ignore_case),
        "ignore_punctuation": str(task.ignore_punctuation),
        "strip": str(task.strip),
    }


def _calls(example: Example) -> str:
    return tooluse.as_text(example.calls)


TOOLUSE_OFFICIAL = AnswerScorer(_tooluse_problem, _judge_official, _calls)
TOOLUSE_STRICT = AnswerScorer(_tooluse_problem, _judge_strict, _calls)
SCIENCE = AnswerScorer(_science_problem, _judge_science, lambda one: one.gold)
EXACT_MATCH = AnswerScorer(
    exact_match.problem, _judge_exactly, lambda one: one.gold, settings=_clean_up
)
