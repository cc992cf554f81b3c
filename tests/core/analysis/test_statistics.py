"""Intervals, pass@k and Holm against scipy, statsmodels and exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from core.analysis.statistics import difference, holm, pass_at_k, wilson


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(1, 20000), st.sampled_from([0.8, 0.95, 0.99]))
def test_that_the_interval_equals_scipys(data: st.DataObject, n: int, confidence: float) -> None:
    correct = data.draw(st.integers(0, n))
    oracle = binomtest(correct, n).proportion_ci(confidence, method="wilson")
    assert wilson(correct, n, confidence) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


def test_that_the_ends_are_exact_and_the_papers_figure_has_its_interval() -> None:
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(49, 97) == pytest.approx((0.407, 0.603), abs=5e-4)


@pytest.mark.parametrize(
    ("correct", "n", "confidence"), [(0, 0, 0.95), (3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0)]
)
def test_that_what_is_no_proportion_is_refused(correct: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"proportion|confidence"):
        wilson(correct, n, confidence)


@pytest.mark.parametrize(
    ("counts", "published"),  # Newcombe 1998, table II, method 10
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ],
)
def test_that_the_interval_of_a_difference_is_the_published_one(
    counts: tuple[int, int, int, int], published: tuple[float, float]
) -> None:
    assert difference(*counts) == pytest.approx(published, abs=5e-5)
    low, high = difference(*counts[2:], *counts[:2])
    assert (-high, -low) == pytest.approx(published, abs=5e-5)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(1, 300))
def test_that_pass_at_k_is_the_share_of_draws_with_a_right_answer(
    data: st.DataObject, n: int
) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    exact = 1 - Fraction(comb(n - correct, k), comb(n, k))
    assert pass_at_k(correct, n, k) == pytest.approx(float(exact), abs=1e-12)


def test_that_pass_at_k_is_stable_and_unbiased() -> None:
    assert pass_at_k(3, 10, 1) == pytest.approx(0.3)
    assert pass_at_k(1, 10_000, 1) == pytest.approx(1e-4)
    p, n, k = 0.3, 6, 2
    expected = sum(
        comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(c, n, k) for c in range(n + 1)
    )
    assert expected == pytest.approx(1 - (1 - p) ** k)
    for correct, n, k in ((3, 2, 1), (0, 3, 4), (0, 3, 0)):
        with pytest.raises(ValueError, match="pass@"):
            pass_at_k(correct, n, k)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_that_holms_adjustment_equals_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_that_holm_keeps_the_order_given_and_refuses_what_is_no_p_value() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, float("nan")])
