"""Winogrande by partial evaluation (`winogrande_v1`), in the form lm-eval gives it.

A sentence with a blank "_" and two options. What is scored is not the option but what follows the blank:
the sentence up to the blank with one option put in is the context, the rest of the sentence the
continuation, and the option after which the rest is likelier is the answer (Trinh & Le, 1806.02847).
Worked examples are whole sentences with the right option put in.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.data.example import Example

BLANK = "_"
OPTIONS = 2
FORM = ("{before}{option}", " {rest}", "{before}{option} {rest}\n\n")
"""Context, continuation and worked example, for the protocol's fingerprint."""
DECODING = "log-likelihood of what follows the blank"


def problem(examples: Sequence[Example]) -> str:
    """What keeps these examples from being scored, "" if nothing does."""
    for example in examples:
        if BLANK not in example.question:
            return f"item {example.id} has no blank {BLANK} in its sentence"
        if not _parts(example)[1]:
            return f"item {example.id} has nothing after its blank"
        if len(example.choices) != OPTIONS or example.gold_choice is None:
            return (
                f"item {example.id} has {len(example.choices)} options and "
                f"{'no' if example.gold_choice is None else 'a'} right one; "
                f"{OPTIONS} options with one right one are needed"
            )
    return ""


def requests(example: Example, shots: Sequence[Example] = ()) -> list[tuple[str, str]]:
    """The context with each option put in, and the rest of the sentence."""
    worked = "".join(map(_worked, shots))
    before, rest = _parts(example)
    return [(f"{worked}{before}{option}", f" {rest}") for option in example.choices]


def _worked(shot: Example) -> str:
    assert shot.gold_choice is not None  # `problem` has looked
    before, rest = _parts(shot)
    return f"{before}{shot.choices[shot.gold_choice]} {rest}\n\n"


def _parts(example: Example) -> tuple[str, str]:
    """The sentence up to its first blank, and what follows without white space at its ends."""
    before, _, rest = example.question.partition(BLANK)
    return before, rest.strip()
