"""What a score's protocol is, in words: why two scores are not comparable, and what was found beside a score."""

from __future__ import annotations

from collections.abc import Mapping

from app.viewmodels import words
from app.viewmodels.provenance import FINGERPRINT_CHARACTERS
from core.analysis.protocols import differing

DIFFERENT = "different protocols: not comparable"
_SHOWN = 3
"""Differences named in a refusal; a sentence with more is not read."""
_DIGEST_CHARACTERS = 64

_PARTS = {
    "scorer": "scorer",
    "items": "scored items",
    "dataset": "dataset",
    "num_fewshot": "worked examples",
    "fewshot_from": "source of the worked examples",
    "fewshot_sampler": "choice of the worked examples",
    "form": "form of the prompt",
    "chat_template": "chat template",
    "decoding": "decoding",
    "max_new_tokens": "longest answer",
    "answer_pattern": "pattern of the answer",
    "ignore_case": "case ignored",
    "ignore_punctuation": "punctuation ignored",
    "strip": "white space stripped",
    "lm_eval": "version of lm-eval",
    "version": "version of the task",
    "config": "configuration of the task",
    "fewshot_seed": "seed of the worked examples",
}
READINGS = {
    "strict_accuracy": "strict",
    "official_accuracy": "official",
    "lenient_accuracy": "lenient",
    "format_rate": "format kept",
}
"""Other judgements of the same answers, by the name of their value."""
_SHARES = {**READINGS, "ended_rate": "ended by itself"}
_FAULTS = {"cut_rate": "longer than the model reads"}
"""Shares that are told where they are not zero."""
_NUMBERS = {"mean_completion_tokens": "tokens an answer", "mean_margin": "nats of lead"}


def refusal(first: Mapping[str, str], second: Mapping[str, str], sentence: str = DIFFERENT) -> str:
    """Why two scores cannot be subtracted; what differs is named where both say what their protocol is made of."""
    return with_parts(sentence, differing(first, second))


def with_parts(sentence: str, differences: Mapping[str, tuple[str, str]]) -> str:
    """The sentence, and the parts that differ behind it where they are known."""
    named = [_difference(*it) for it in list(differences.items())[:_SHOWN]]
    more = len(differences) - len(named)
    named += [f"{more} more"] if more else []
    return f"{sentence} ({'; '.join(named)})" if named else sentence


def _difference(part: str, values: tuple[str, str]) -> str:
    name = _PARTS.get(part, words.plain(part).lower())
    return f"{name} {_value(values[0])} and {_value(values[1])}"


def _value(value: str) -> str:
    if not value:
        return words.NONE
    if len(value) == _DIGEST_CHARACTERS and set(value) <= set("0123456789abcdef"):
        return value[:FINGERPRINT_CHARACTERS]
    return words.SCORER.get(value, value)


def beside(values: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """What was found beside a score: ("strict", "40.2 %"), ("tokens an answer", "31.4")."""
    shares = (
        (label, words.percent(values[key])) for key, label in _SHARES.items() if key in values
    )
    numbers = (
        (label, words.number(values[key])) for key, label in _NUMBERS.items() if key in values
    )
    faults = (
        (label, words.percent(values[key])) for key, label in _FAULTS.items() if values.get(key)
    )
    return (*shares, *numbers, *faults)
