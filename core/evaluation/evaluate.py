"""Score one task on one network: choose the items, ask, judge, and name the protocol.

A protocol is everything that decides what a score means besides the network itself. Its fingerprint goes with
every score, and scores of different fingerprints are never subtracted: published tables that did so show
gains that are none (methods.md, section 0).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.data.chat import end_of_turn_id, prompt_ids
from core.data.example import Dataset, Example
from core.errors import UserError
from core.evaluation import multiple_choice, science, tooluse
from core.events import EvaluatedItem
from core.lm.generate import Generated, end_ids, generate
from core.recipe.sources import Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

OnItems = Callable[[tuple[EvaluatedItem, ...]], None]


@dataclass(frozen=True)
class TaskScore:
    """A task's score.

    Attributes:
        n: items scored.
        correct: of these.
        protocol: fingerprint of how; 64 hex digits.
        scorer: id of the rule.
        values: what else was found: science `format_rate`; of generated answers `lenient_accuracy`,
            `ended_rate` and `mean_completion_tokens`; of choices by likelihood `mean_margin` (nats).
    """

    n: int
    correct: int
    protocol: str
    scorer: str
    values: dict[str, float]


@dataclass
class _Tally:
    """Sums over items, in the order of the batches."""

    n: int = 0
    correct: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, item: EvaluatedItem, extra: dict[str, float]) -> None:
        self.n += 1
        self.correct += item.correct
        for key, value in extra.items():
            self.sums[key] = self.sums.get(key, 0.0) + value


def scored_examples(task: Task, dataset: Dataset, limit: int | None = None) -> tuple[Example, ...]:
    """The items that are scored: the first of the dataset, as many as task and `limit` allow."""
    limits = [count for count in (task.limit, limit) if count is not None]
    return dataset.examples[: min(limits)] if limits else dataset.examples


def check_task(name: str, task: Task, dataset: Dataset) -> None:
    """See that the dataset has what the scorer reads.

    Raises:
        UserError: it has no items, one without the gold answer of this scorer, or too few beyond the scored
            ones for the worked examples.
    """
    examples = scored_examples(task, dataset)
    if not examples:
        raise UserError(
            f"Task {name} has nothing to score: dataset {task.dataset} is empty.",
            "Name another dataset for the task.",
        )
    problem = _PROBLEM[task.scorer](examples)
    if problem:
        raise UserError(
            f"Task {name} cannot score dataset {task.dataset} with {task.scorer}: {problem}.",
            "Choose the scorer that fits the dataset, or another dataset.",
        )
    if task.scorer == "multiple_choice_v1":
        _shots(task, dataset, examples)


def _tooluse_problem(examples: Sequence[Example]) -> str:
    missing = next((example for example in examples if not example.calls), None)
    return f"item {missing.id} has no gold tool call" if missing else ""


def _science_problem(examples: Sequence[Example]) -> str:
    missing = next((one for one in examples if one.gold not in _answers(one)), None)
    return f"item {missing.id} has no gold letter A-D and no gold option" if missing else ""


def _answers(example: Example) -> Collection[str]:
    """What an answer may be: an option's text where the key is one (boron is B, too), else a letter."""
    return example.choices if example.gold in example.choices else science.LETTERS


_PROBLEM: dict[str, Callable[[Sequence[Example]], str]] = {
    "tooluse_official_v1": _tooluse_problem,
    "science_exact_v1": _science_problem,
    "multiple_choice_v1": multiple_choice.problem,
    "option_likelihood_v1": multiple_choice.problem,
}
_BY_LIKELIHOOD = ("multiple_choice_v1", "option_likelihood_v1")


def protocol_fingerprint(
    tokenizer: PreTrainedTokenizerBase, task: Task, dataset: Dataset, scored: int
) -> str:
    """SHA-256 of everything that decides what the score means: rule, prompt form, shots, decoding, items."""
    record: dict[str, Any] = {
        "scorer": task.scorer,
        "dataset": dataset.fingerprint,
        "scored": scored,
    }
    if task.scorer == "multiple_choice_v1":
        record |= {
            "form": multiple_choice.FORM,
            "chat_template": None,
            "num_fewshot": task.num_fewshot,
            "shots": "first of the subject beyond the task's limit",
            "decoding": "log-likelihood of the letter",
        }
        if task.num_fewshot:
            record["shots_beyond"] = len(scored_examples(task, dataset))
    elif task.scorer == "option_likelihood_v1":
        record |= {
            "form": multiple_choice.OPTION_FORM,
            "chat_template": None,
            "decoding": "log-likelihood of the option per character",
        }
    else:
        template = tokenizer.chat_template
        record |= {
            "chat_template": template,
            "decoding": "greedy",
            "max_new_tokens": task.max_new_tokens,
        }
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def evaluate_task(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    task: Task,
    dataset: Dataset,
    *,
    limit: int | None = None,
    on_items: OnItems = lambda items: None,
    check: Callable[[], None] = lambda: None,
) -> TaskScore:
    """Score `task` on `model`.

    Args:
        model: in eval mode; it is only read.
        tokenizer: the model's.
        name: of the task, for messages.
        task: scorer and protocol.
        dataset: the loaded dataset that the task names.
        limit: score fewer items than the task says, for a look while training.
        on_items: called with each scored batch, longest prompts first.
        check: called before each batch and each generated token; may raise StopRequested.

    Raises:
        UserError: the dataset does not suit the scorer, or has too few items for the worked examples.
    """
    check_task(name, task, dataset)
    examples = sorted(
        scored_examples(task, dataset, limit), key=lambda one: len(one.prompt), reverse=True
    )
    tally = _Tally()
    batches = _by_likelihood if task.scorer in _BY_LIKELIHOOD else _generated
    for batch in batches(model, tokenizer, task, dataset, examples, check):
        for item, extra in batch:
            tally.add(item, extra)
        on_items(tuple(item for item, _ in batch))
    return TaskScore(
        n=tally.n,
        correct=tally.correct,
        protocol=protocol_fingerprint(tokenizer, task, dataset, tally.n),
        scorer=task.scorer,
        values={key: total / tally.n for key, total in tally.sums.items()},
    )


def _shots(task: Task, dataset: Dataset, examples: Sequence[Example]) -> list[list[Example]]:
    """The worked examples of each item, from beyond all that the task scores, so that none leaks."""
    pool = dataset.examples[len(scored_examples(task, dataset)) :]
    return [multiple_choice.choose_shots(one, pool, task.num_fewshot) for one in examples]


_Judged = list[tuple[EvaluatedItem, dict[str, float]]]


def _by_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    dataset: Dataset,
    examples: Sequence[Example],
    check: Callable[[], None],
) -> Iterator[_Judged]:
    letters = task.scorer == "multiple_choice_v1"
    shots = _shots(task, dataset, examples) if letters else []
    for start in range(0, len(examples), task.batch_size):
        check()
        part = slice(start, start + task.batch_size)
        if letters:
            choices = multiple_choice.answer(
                model,
                tokenizer,
                examples[part],
                shots[part],
                batch_size=task.batch_size,
                check=check,
            )
        else:
            choices = multiple_choice.choose_option(
                model, tokenizer, examples[part], batch_size=task.batch_size, check=check
            )
        yield [
            (
                EvaluatedItem(
                    item=example.id,
                    correct=choice.index == example.gold_choice,
                    score=choice.margin,
                    completion=_named(example, choice.index, letters),
                    gold=_named(example, example.gold_choice or 0, letters),
                    group=example.group,
                ),
                {"mean_margin": choice.margin},
            )
            for example, choice in zip(examples[part], choices, strict=True)
        ]


def _named(example: Example, index: int, letters: bool) -> str:
    return multiple_choice.LETTERS[index] if letters else example.choices[index]


def _generated(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    dataset: Dataset,
    examples: Sequence[Example],
    check: Callable[[], None],
) -> Iterator[_Judged]:
    judge = _tooluse if task.scorer == "tooluse_official_v1" else _science
    eos_ids = end_ids(model, tokenizer) | {end_of_turn_id(tokenizer)}
    for start in range(0, len(examples), task.batch_size):
        check()
        part = examples[start : start + task.batch_size]
        answers = generate(
            model,
            [prompt_ids(tokenizer, example.messages) for example in part],
            max_new_tokens=task.max_new_tokens,
            eos_ids=eos_ids,
            pad_id=tokenizer.pad_token_id,
            sampling=None,
            check=check,
        )
        judged: _Judged = []
        for example, generated in zip(part, answers, strict=True):
            text = tokenizer.decode(generated.text_ids, skip_special_tokens=True)
            item, extra = judge(example, str(text))
            judged.append((item, extra | _lengths(generated)))
        yield judged


def is_correct(example: Example, text: str) -> bool | None:
    """Whether an answer is right by the item's own key, judged as its task would; None when it has none."""
    if example.calls:
        return tooluse.is_correct(text, example.calls)
    if example.gold and example.gold in _answers(example):
        return science.is_correct(text, example.gold)
    return None


def _lengths(generated: Generated) -> dict[str, float]:
    return {
        "ended_rate": float(generated.ended),
        "mean_completion_tokens": float(len(generated.ids)),
    }


def _tooluse(example: Example, text: str) -> tuple[EvaluatedItem, dict[str, float]]:
    correct = tooluse.is_correct(text, example.calls)
    item = EvaluatedItem(
        item=example.id,
        correct=correct,
        score=float(correct),
        completion=text,
        gold=tooluse.as_text(example.calls),
        group=example.group,
    )
    return item, {"lenient_accuracy": float(tooluse.is_nearly_correct(text, example.calls))}


def _science(example: Example, text: str) -> tuple[EvaluatedItem, dict[str, float]]:
    correct = science.is_correct(text, example.gold)
    item = EvaluatedItem(
        item=example.id,
        correct=correct,
        score=float(correct),
        completion=text,
        gold=example.gold,
        group=example.group,
    )
    answers = _answers(example)
    if answers is science.LETTERS:
        lenient = science.lenient_letter(text)
    else:
        lenient = science.lenient_option(text, example.choices)
    return item, {
        "format_rate": float(science.keeps_format(text, answers)),
        "lenient_accuracy": float(lenient == example.gold),
    }
