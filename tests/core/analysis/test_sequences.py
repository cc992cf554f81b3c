"""The interval of a mean over sequences, against scipy and against draws with a known mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from core.analysis.sequences import mean_interval


def test_that_the_interval_is_students() -> None:
    draws = np.random.default_rng(3).normal(0.6, 0.05, size=(9, 2, 3))
    found = mean_interval(list(draws), confidence=0.9)
    low, high = stats.t.interval(0.9, 8, loc=draws.mean(0), scale=stats.sem(draws, axis=0))
    np.testing.assert_allclose(found.low, low, rtol=1e-12)
    np.testing.assert_allclose(found.high, high, rtol=1e-12)


def test_that_an_undefined_value_does_not_count() -> None:
    values = [np.array([0.5, 0.2]), np.array([np.nan, 0.4]), np.array([0.7, 0.3])]
    found = mean_interval(values)
    alone = mean_interval([np.array([0.5]), np.array([0.7])])
    np.testing.assert_array_equal(found.low[:1], alone.low)
    np.testing.assert_array_equal(found.high[:1], alone.high)


def test_that_one_sequence_has_no_interval() -> None:
    found = mean_interval([np.array([0.5]), np.array([np.nan])])
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_that_the_interval_ends_where_cka_does() -> None:
    values = [np.array([0.999, -0.9]), np.array([0.8, 0.9])]
    debiased, biased = mean_interval(values), mean_interval(list(np.abs(values)), "biased")
    assert debiased.high.tolist() == [1.0, 1.0]
    assert debiased.low.min() == -1.0
    assert biased.low.min() == 0.0


def test_that_equal_values_have_an_interval_of_no_width() -> None:
    found = mean_interval([np.array([1.0])] * 5)
    assert found.low == found.high == 1.0


def test_that_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="no sequence"):
        mean_interval([])
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([np.array([0.5])], confidence=1.0)


@pytest.mark.parametrize("n", [6, 12, 64])
def test_that_the_mean_is_covered_as_often_as_promised_for_skewed_values(n: int) -> None:
    """Values like those of per-sequence CKA: below 1, with a tail towards 0 (beta 20, 2: mean 10/11)."""
    rng = np.random.default_rng(n)
    draws = rng.beta(20, 2, size=(n, 4000))
    found = mean_interval(list(draws))
    covered = float(np.mean((found.low <= 10 / 11) & (found.high >= 10 / 11)))
    assert 0.91 <= covered <= 0.97
