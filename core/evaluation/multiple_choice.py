"""Multiple choice by log-likelihood (`multiple_choice_v1`), in the form lm-eval gives MMLU.

The prompt is plain text, without chat template: a line naming the subject, worked examples if asked for, the
question with lettered options and "Answer:". Each option's letter is scored as the continuation " A", " B", …;
the likeliest is the answer. Nothing is generated.

`option_likelihood_v1` is the other form of the field, that of ARC and HellaSwag in lm-eval: the options' own
texts are scored as continuations of the bare question, and the one with the highest log-likelihood per
character is the answer (lm-eval's `acc_norm`). It asks for no binding of letters to options.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch

from core.data.example import Example
from core.errors import UserError
from core.lm.mode import evaluating

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

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


def choose_shots(example: Example, pool: Sequence[Example], count: int) -> list[Example]:
    """The worked examples for one item: the first of its subject in a pool that holds no scored item.

    Raises:
        UserError: the pool holds too few.
    """
    found = list(islice((other for other in pool if other.group == example.group), count))
    if len(found) < count:
        subject = f" on {example.group}" if example.group else ""
        raise UserError(
            f"{count} worked examples{subject} are wanted, and the dataset has {len(found)} beyond the scored items.",
            "Lower the task's limit so that items are left over for examples, or set num_fewshot to 0.",
        )
    return found


@dataclass(frozen=True)
class Continuation:
    """Token ids of a context and of what follows it."""

    context: tuple[int, ...]
    following: tuple[int, ...]


def continuation(tokenizer: PreTrainedTokenizerBase, context: str, text: str) -> Continuation:
    """Split the tokens of context + text where the context's own tokens end, as lm-eval does."""
    before = tuple(tokenizer.encode(context, add_special_tokens=False))
    whole = tuple(tokenizer.encode(context + text, add_special_tokens=False))
    return Continuation(whole[: len(before)], whole[len(before) :])


def log_likelihoods(
    model: PreTrainedModel,
    continuations: Sequence[Continuation],
    *,
    pad_id: int,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> list[float]:
    """The log-probability (nats) of each continuation given its context.

    Continuations whose network input is the same (one-token options of one question) share one row of the
    batch. Rows are padded on the left, so the head is computed for the last positions only.
    """
    inputs: dict[tuple[int, ...], list[int]] = {}  # row of the batch -> continuations it answers
    for index, each in enumerate(continuations):
        inputs.setdefault(each.context + each.following[:-1], []).append(index)
    result = [0.0] * len(continuations)
    ordered = sorted(inputs, key=len, reverse=True)
    for start in range(0, len(ordered), batch_size):
        check()
        rows = ordered[start : start + batch_size]
        targets = [[continuations[index].following for index in inputs[row]] for row in rows]
        keep = max(len(following) for row in targets for following in row)
        logits = _last_logits(model, rows, keep, pad_id)  # (rows, keep, V)
        for row, row_logits in zip(rows, logits, strict=True):
            scores = torch.log_softmax(row_logits.float(), dim=-1)
            for index in inputs[row]:
                following = continuations[index].following
                wanted = torch.tensor(following, device=scores.device)[:, None]
                picked = scores[-len(following) :].gather(1, wanted)
                result[index] = float(picked.double().sum())
    return result


def _last_logits(
    model: PreTrainedModel, rows: Sequence[tuple[int, ...]], keep: int, pad_id: int
) -> torch.Tensor:
    """Logits (rows, keep, V) at the last `keep` positions of rows of token ids."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, width - len(row) :] = torch.tensor(row)
        mask[index, width - len(row) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    device = model.device
    with torch.no_grad(), evaluating(model):
        output = model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            use_cache=False,
            logits_to_keep=keep,
        )
    logits: torch.Tensor = output.logits
    return logits


@dataclass(frozen=True)
class Choice:
    """What the model chose, and by how many nats the gold option leads the best other one."""

    index: int
    margin: float


def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    shots: Sequence[Sequence[Example]],
    *,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Choice]:
    """The model's choice for each example; `shots` holds the worked examples of each."""
    requests = [
        continuation(tokenizer, prompt(example, worked), f" {letter}")
        for example, worked in zip(examples, shots, strict=True)
        for letter in LETTERS[: len(example.choices)]
    ]
    pad_id = tokenizer.pad_token_id or 0
    scores = iter(
        log_likelihoods(model, requests, pad_id=pad_id, batch_size=batch_size, check=check)
    )
    for example in examples:
        yield _likeliest(example, [next(scores) for _ in example.choices])


def choose_option(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    batch_size: int,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Choice]:
    """The option of highest log-likelihood per character for each example; margins are so, too."""
    requests = [
        continuation(tokenizer, example.question.strip(), f" {choice}")
        for example in examples
        for choice in example.choices
    ]
    pad_id = tokenizer.pad_token_id or 0
    scores = iter(
        log_likelihoods(model, requests, pad_id=pad_id, batch_size=batch_size, check=check)
    )
    for example in examples:
        yield _likeliest(
            example, [next(scores) / max(len(choice), 1) for choice in example.choices]
        )


def _likeliest(example: Example, options: Sequence[float]) -> Choice:
    gold = _gold(example)
    best_other = max(value for index, value in enumerate(options) if index != gold)
    return Choice(options.index(max(options)), options[gold] - best_other)
