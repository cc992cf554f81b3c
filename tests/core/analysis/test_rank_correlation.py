"""Spearman's rho and its permutation p against scipy and against every permutation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import permutation_test, rankdata, spearmanr

from core.analysis.rank_correlation import MOST_EXACT, spearman


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 5, 7])
def test_that_rho_and_p_are_those_of_all_permutations(n: int, ties: bool) -> None:
    random = np.random.default_rng(n)
    x = random.integers(0, 3, n).astype(float) if ties else random.normal(size=n)
    y = 0.7 * x + random.normal(size=n)
    x[0], x[1] = 0.0, 2.0
    found = spearman(x.tolist(), y.tolist())
    assert found is not None
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    assert found.exact
    every = [np.corrcoef(rankdata(x), rankdata(it))[0, 1] for it in permutations(y)]
    expected = np.mean(np.abs(every) >= abs(found.rho) - 1e-9)
    assert found.p == pytest.approx(expected, abs=1e-12)


def test_that_the_exact_p_equals_scipys_permutation_test() -> None:
    x, y = [0.1, 0.4, 0.2, 0.9, 0.7, 0.5, 0.6, 0.8], [1.0, 5.0, 2.0, 7.0, 8.0, 3.0, 4.0, 6.0]
    assert len(x) == MOST_EXACT
    second = rankdata(y)

    def rho(ordered: np.ndarray, axis: int) -> np.ndarray:
        ranks = rankdata(ordered, axis=axis)
        return 1 - 6 * ((ranks - second) ** 2).sum(axis=axis) / (8 * (8**2 - 1))

    oracle = permutation_test(
        (x,), rho, permutation_type="pairings", n_resamples=50_000, vectorized=True
    )
    found = spearman(x, y)
    assert found is not None
    assert found.p == pytest.approx(oracle.pvalue, abs=1e-12)


def test_that_many_points_get_random_permutations_with_their_error() -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=15)
    y = 0.4 * x + random.normal(size=15)
    found = spearman(x.tolist(), y.tolist())
    assert found is not None
    assert not found.exact
    assert 0 < found.error < 0.002
    # Student's t stands in for the permutation distribution at fifteen points.
    assert found.p == pytest.approx(spearmanr(x, y).pvalue, abs=0.01)
    assert spearman(x.tolist(), y.tolist()) == found


def test_that_nothing_to_rank_has_no_correlation() -> None:
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert spearman([1.0, 2.0], [3.0, 3.0]) is None
    assert spearman([1.0], [1.0]) is None
    with pytest.raises(ValueError, match="finite"):
        spearman([1.0, float("nan")], [1.0, 2.0])
