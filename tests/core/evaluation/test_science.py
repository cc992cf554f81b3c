"""The Science rule, and the two figures beside it."""

from __future__ import annotations

import pytest

from core.evaluation.science import extract, is_correct, keeps_format, lenient_letter


@pytest.mark.parametrize(
    ("text", "right", "format_", "letter"),
    [
        ("<reasoning>\nbecause\n</reasoning>\n<answer>\nB\n</answer>", True, True, "B"),
        ("<answer>B</answer>", True, True, "B"),
        ("<answer>A</answer> no: <answer> B </answer> so", True, True, "B"),
        ("<answer>B", True, False, "B"),
        ("B", True, False, "B"),
        ("<answer>b</answer>", False, False, "B"),
        ("<answer>B: neon</answer>", False, False, "B"),
        ("<answer>The answer is B.</answer>", False, False, "B"),
        ("<answer>A</answer>", False, True, "A"),
        ("<answer>neon</answer>", False, False, ""),
        ("The answer is B.", False, False, "B"),
        ("The correct answer is: **B**", False, False, "B"),
        ("First I thought the answer is A, but the answer is B", False, False, "B"),
        ("I choose option B", False, False, "B"),
        ("(B) neon", False, False, "B"),
        ("B: neon", False, False, "B"),
        ("A reaction of zinc", False, False, ""),
        ("", False, False, ""),
    ],
)
def test_that_each_answer_is_judged_by_rule_format_and_lenient_reading(
    text: str, right: bool, format_: bool, letter: str
) -> None:
    assert (is_correct(text, "B"), keeps_format(text), lenient_letter(text)) == (
        right,
        format_,
        letter,
    )


def test_that_without_a_tag_the_whole_text_is_the_answer() -> None:
    assert extract(" neon\n") == "neon"
