"""Multiple choice by log-likelihood (`multiple_choice_v1`), in the form lm-eval gives MMLU.

The prompt is plain text, without chat template: a line naming the subject, worked examples if asked for, the
question with lettered options and "Answer:". Each option's letter is scored as the continuation " A", " B", …;
the likeliest is the answer. Nothing is generated.

`option_likelihood_v1` is the other form of the field, that of ARC and HellaSwag in lm-eval: the options' own
texts are scored as continuations of the bare question, and the one with the highest log-likelihood per
character is the answer (lm-eval's `acc_norm`). It asks for no binding of letters to options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.data.example import Example
from core.evaluation.likelihood import Likelihood

LETTERS = "ABCDEFGHIJ"
DESCRIPTION = "The following are multiple choice questions (with answers) about {subject}.\n\n"
DESCRIPTION_WITHOUT_SUBJECT = "The following are multiple choice questions (with answers).\n\n"
ANSWER = "Answer:"
FORM = (DESCRIPTION, DESCRIPTION_WITHOUT_SUBJECT, "{question}\n{letter}. {choice}\n", ANSWER)
"""Everything the prompt is made of besides the item, for the protocol's fingerprint."""
OPTION_FORM = "{question} {choice}"


def block(example: Example) -> str:
    """The question with its options, up to and including "Answer:"."""
    options = "".join(
        f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, example.choices, strict=False)
    )
    return f"{example.question.strip()}{options}\n{ANSWER}"


def prompt(example: Example, shots: Sequence[Example] = ()) -> str:
    """The context whose continuations " A", " B", … are scored."""
    subject = example.group.replace("_", " ")
    head = DESCRIPTION.format(subject=subject) if subject else DESCRIPTION_WITHOUT_SUBJECT
    worked = "".join(f"{block(shot)} {LETTERS[_gold(shot)]}\n\n" for shot in shots)
    return f"{head}{worked}{block(example)}"


def _gold(example: Example) -> int:
    assert example.gold_choice is not None  # `problem` has looked
    return example.gold_choice


def problem(examples: Sequence[Example]) -> str:
    """What keeps these examples from being scored by multiple choice, "" if nothing does."""
    for example in examples:
        if not example.question:
            return f"item {example.id} has no question apart from its options"
        if example.gold_choice is None or not 2 <= len(example.choices) <= len(LETTERS):
            return (
                f"item {example.id} has {len(example.choices)} options and "
                f"{'no' if example.gold_choice is None else 'a'} gold option; "
                f"2 to {len(LETTERS)} options with one gold option are needed"
            )
    return ""


@dataclass(frozen=True)
class Choice:
    """What the model chose, and by how many nats the gold option leads the best other one."""

    index: int
    margin: float


def requests(example: Example, shots: Sequence[Example] = ()) -> list[tuple[str, str]]:
    """The context and the continuation of each letter."""
    context = prompt(example, shots)
    return [(context, f" {letter}") for letter in LETTERS[: len(example.choices)]]


def option_requests(example: Example, shots: Sequence[Example] = ()) -> list[tuple[str, str]]:
    """The bare question, after answered ones if asked for, and the continuation of each option's text."""
    worked = "".join(f"{_stated(shot, _gold(shot))}\n\n" for shot in shots)
    context = f"{worked}{example.question.strip()}"
    return [(context, f" {choice}") for choice in example.choices]


def _stated(example: Example, index: int) -> str:
    return OPTION_FORM.format(question=example.question.strip(), choice=example.choices[index])


def choice(example: Example, likelihoods: Sequence[Likelihood]) -> Choice:
    """The likeliest option."""
    return _likeliest(example, [each.log_likelihood for each in likelihoods])


def choice_per_character(example: Example, likelihoods: Sequence[Likelihood]) -> Choice:
    """The option of highest log-likelihood per character (lm-eval's acc_norm); margins are so, too."""
    return _likeliest(
        example,
        [
            each.log_likelihood / max(len(text), 1)
            for each, text in zip(likelihoods, example.choices, strict=True)
        ],
    )


def _likeliest(example: Example, options: Sequence[float]) -> Choice:
    gold = _gold(example)
    best_other = max(value for index, value in enumerate(options) if index != gold)
    return Choice(options.index(max(options)), options[gold] - best_other)
