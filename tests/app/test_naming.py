"""Names of runs that are made from others."""

from __future__ import annotations

import pytest

from app.viewmodels.naming import LONGEST, another


@pytest.mark.parametrize(
    ("name", "taken", "made"),
    [
        ("NF4", (), "NF4 (2)"),
        ("NF4", ("NF4", "NF4 (2)"), "NF4 (3)"),
        ("NF4 (2)", ("NF4",), "NF4 (3)"),
        ("NF4, seed 1", (), "NF4, seed 1 (2)"),
        ("a (9)", ("a (10)",), "a (11)"),
        ("a (b)", (), "a (b) (2)"),
    ],
)
def test_that_a_name_is_told_apart_without_piling_up(
    name: str, taken: tuple[str, ...], made: str
) -> None:
    assert another(name, taken) == made


def test_that_a_long_name_stays_within_what_a_recipe_takes() -> None:
    long = "n" * LONGEST
    made = another(long)
    assert (len(made), made[-4:]) == (LONGEST, " (2)")
    assert len(another(made)) == LONGEST
