"""The Science scorer (`science_exact_v1`): what stands inside the last `<answer>`, compared exactly.

The answer key is the letter of an option, or its text. The rule mixes knowledge with format: a right answer
in other words is wrong. So two more figures go beside the score, which are no part of it: how often the format
was kept, and the accuracy of a lenient reading.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

LETTERS = frozenset("ABCD")
_CAPITAL = re.compile(r"\b([A-D])\b")
_STATED = re.compile(r"(?i:answer|option|choice)(?i:\s+is)?[\s:*(\"]*([A-D])\b")
_LEADING = re.compile(r"[\s(*\"]*([A-D])(?:[).:,*\"]|\s*$|\s*\n)")


def extract(text: str) -> str:
    """What stands in the last `<answer>` element; the whole text when there is none."""
    return text.split("<answer>")[-1].split("</answer>")[0].strip()


def is_correct(text: str, key: str) -> bool:
    """Whether the extracted answer is exactly the key, case and all."""
    return extract(text) == key


def keeps_format(text: str, answers: Collection[str] = LETTERS) -> bool:
    """Whether the last `<answer>` element is closed and holds one of the possible answers and nothing else."""
    _, opened, rest = text.rpartition("<answer>")
    return bool(opened) and "</answer>" in rest and extract(text) in answers


def lenient_option(text: str, options: Sequence[str]) -> str:
    """The option that a patient reader would take where answers are the options' texts, "" if none.

    What the answer element holds; without one, the only option that the text mentions as a whole word.
    """
    if "<answer>" in text:
        inside = extract(text).casefold()
        return next((option for option in options if option.casefold() == inside), "")
    named = [it for it in options if re.search(rf"(?<!\w){re.escape(it)}(?!\w)", text)]
    return named[0] if len(named) == 1 else ""


def lenient_letter(text: str) -> str:
    """The letter a patient reader would take, "" if none.

    From the answer element, upper or lower case, with or without words around it; else the last one stated
    ("the answer is B", "option C"); else one that the text begins with ("B", "(B) …", "B: …").
    """
    if "<answer>" in text:
        inside = extract(text)
        found = _CAPITAL.search(inside)
        if found:
            return found.group(1)
        if inside.upper() in LETTERS:
            return inside.upper()
    stated = _STATED.findall(text)
    if stated:
        return str(stated[-1])
    leading = _LEADING.match(text)
    return leading.group(1) if leading else ""
