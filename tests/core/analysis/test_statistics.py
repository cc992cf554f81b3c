"""Wilson's interval against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from core.analysis.statistics import difference, wilson


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
