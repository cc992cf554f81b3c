from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.recipe.sweep import (
    MOST_VARIANTS,
    Axis,
    expand,
    linear,
    logarithmic,
    parse_axis,
    parse_values,
    size,
)

RAW: dict[str, Any] = {
    "seed": 1,
    "stages": [{"id": "nf4", "kind": "quantize"}, {"id": "back", "kind": "sdft"}],
}


def test_that_a_range_meets_both_its_ends() -> None:
    assert linear(0, 1, 5) == (0, 0.25, 0.5, 0.75, 1)
    assert logarithmic(1e-5, 1e-2, 4) == (1e-5, 1e-4, 1e-3, 1e-2)
    assert linear(3, 9, 1) == (3,)


def test_that_whole_values_stay_whole_numbers() -> None:
    assert all(isinstance(it, int) for it in linear(10, 40, 4))
    assert all(isinstance(it, int) for it in logarithmic(1, 1000, 4))


@given(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3), st.integers(2, 9))
def test_that_the_steps_of_a_log_range_are_equal_ratios(
    low: float, high: float, count: int
) -> None:
    values = logarithmic(low, high, count)
    ratios = [b / a for a, b in itertools.pairwise(values)]
    assert len(values) == count
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-4)


def test_that_values_are_read_as_lists_and_ranges() -> None:
    assert parse_values("1, 2,3") == (1, 2, 3)
    assert parse_values("true,false") == (True, False)
    assert parse_values("base, expert") == ("base", "expert")
    assert parse_values("[a, b], c") == (["a", "b"], "c")
    assert parse_values("0..1:3") == (0, 0.5, 1)
    assert parse_values("1e-5..1e-3:log:3") == (1e-5, 1e-4, 1e-3)
    assert parse_axis("stages.back.max_steps=10,20") == Axis("stages.back.max_steps", (10, 20))


@pytest.mark.parametrize("text", ["", "1..x:3", "1..2:cubic:3", "0..1:log:3", "1..2:0"])
def test_that_what_is_no_range_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(UserError) as error:
        parse_values(text)
    assert error.value.hint


def test_that_every_value_meets_every_other_or_its_partner() -> None:
    axes = [Axis("seed", (1, 2)), Axis("stages.back.learning_rate", (0.1, 0.2))]
    made = expand(RAW, axes)
    assert [dict(it.settings) for it in made] == [
        {"seed": seed, "stages.back.learning_rate": rate} for seed in (1, 2) for rate in (0.1, 0.2)
    ]
    assert [it.raw["stages"][1]["learning_rate"] for it in made] == [0.1, 0.2, 0.1, 0.2]
    paired = expand(RAW, axes, "zip")
    assert [(it.raw["seed"], it.raw["stages"][1]["learning_rate"]) for it in paired] == [
        (1, 0.1),
        (2, 0.2),
    ]
    assert "learning_rate" not in RAW["stages"][1]  # the recipe itself stays


def test_that_the_size_is_known_without_making_the_variants() -> None:
    axes = [Axis("seed", tuple(range(50))), Axis("stages.0.bits", tuple(range(40)))]
    assert size(axes, "product") == 2000
    assert size([], "product") == 0
    with pytest.raises(UserError, match="equally many"):
        size(axes, "zip")


def test_that_a_slip_of_the_finger_is_refused() -> None:
    axes = [Axis("seed", tuple(range(100))), Axis("name", tuple(map(str, range(100))))]
    with pytest.raises(UserError, match="10,000"):
        expand(RAW, axes)
    assert MOST_VARIANTS < 10_000


def test_that_a_path_that_leads_nowhere_is_named() -> None:
    with pytest.raises(UserError, match="no entry gone"):
        expand(RAW, [Axis("stages.gone.max_steps", (1,))])
