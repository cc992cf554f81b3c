"""The rule for people's own questions (`exact_match_v1`): the answer equals the gold one after a stated clean-up.

The clean-up is that of lm-eval's `exact_match` with the same names: `ignore_case` lowers both, and
`ignore_punctuation` takes ASCII punctuation away. `strip` takes white space off the ends first. With an
`answer_pattern`, what its last match holds is compared (its first group where it has one) instead of the whole
answer; an answer without a match is wrong.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from core.data.example import Example
from core.recipe.sources import Task

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def extract(text: str, pattern: str | None) -> str | None:
    """The part of an answer that is compared; None where the pattern does not match."""
    if pattern is None:
        return text
    matches = list(re.finditer(pattern, text))
    if not matches:
        return None
    last = matches[-1]
    return last.group(1 if last.re.groups else 0)


def normalised(text: str, task: Task) -> str:
    """The text as it is compared."""
    text = text.strip() if task.strip else text
    text = text.lower() if task.ignore_case else text
    text = text.translate(_NO_PUNCTUATION) if task.ignore_punctuation else text
    return text.strip() if task.strip else text


def is_correct(text: str, gold: str, task: Task) -> bool:
    """Whether the answer is the gold one."""
    found = extract(text, task.answer_pattern)
    return found is not None and normalised(found, task) == normalised(gold, task)


def problem(task: Task, examples: Sequence[Example]) -> str:
    """What keeps these examples from being compared, "" if nothing does."""
    for example in examples:
        if not example.gold:
            return f"item {example.id} has no gold answer"
        if not normalised(example.gold, task):
            return f"nothing is left of the gold answer of item {example.id} after the clean-up"
    return ""
