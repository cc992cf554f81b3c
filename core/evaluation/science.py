"""The Science scorer (`science_exact_v1`): the letter inside the last `<answer>`, compared exactly.

The rule mixes knowledge with format: a right letter in other words is wrong. So two more figures go beside
the score, which are no part of it: how often the format was kept, and the accuracy of a lenient reading.
"""

from __future__ import annotations

import re

LETTERS = frozenset("ABCD")
_CAPITAL = re.compile(r"\b([A-D])\b")
_STATED = re.compile(r"(?i:answer|option|choice)(?i:\s+is)?[\s:*(\"]*([A-D])\b")
_LEADING = re.compile(r"[\s(*\"]*([A-D])(?:[).:,*\"]|\s*$|\s*\n)")


def extract(text: str) -> str:
    """What stands in the last `<answer>` element; the whole text when there is none."""
    return text.split("<answer>")[-1].split("</answer>")[0].strip()


def is_correct(text: str, letter: str) -> bool:
    """Whether the extracted answer is exactly the letter, case and all."""
    return extract(text) == letter


def keeps_format(text: str) -> bool:
    """Whether the last `<answer>` element is closed and holds one letter A-D and nothing else."""
    _, opened, rest = text.rpartition("<answer>")
    return bool(opened) and "</answer>" in rest and extract(text) in LETTERS


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
