"""The paired bootstrap against scipy's, against brute force, and against a closed form."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from core.analysis.paired_bootstrap import FEWEST_CLUSTERS, mean_interval, means, percentiles


def _changes(n: int = 97, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], n, p=[0.1, 0.65, 0.25])


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_that_the_interval_of_a_mean_equals_scipys(method: str) -> None:
    changes = _changes()
    oracle = bootstrap(
        (changes,), np.mean, n_resamples=20_000, method=method, random_state=1
    ).confidence_interval
    found = mean_interval(changes)
    assert found.value == pytest.approx(changes.mean())
    # One item of 97 is 1.03 points: the draws are that coarse.
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1.1 / 97)


def test_that_three_items_have_the_distribution_of_all_27_draws() -> None:
    values = np.array([0.0, 1.0, 5.0])
    exact = np.array([np.mean(it) for it in product(values, repeat=3)])
    drawn, _ = means(values.reshape(-1, 1), resamples=200_000)
    for bound in np.unique(exact):
        share = (drawn[:, 0] <= bound + 1e-12).mean()
        assert share == pytest.approx((exact <= bound + 1e-12).mean(), abs=0.005)


def test_that_groups_are_drawn_whole_and_widen_the_interval() -> None:
    random = np.random.default_rng(5)
    groups = np.repeat(np.arange(20), 30)
    shifts = np.repeat(random.normal(0, 1, 20), 30)
    values = shifts + random.normal(0, 0.5, 600)
    alone, whole = mean_interval(values), mean_interval(values, groups.tolist())
    assert (alone.clusters, whole.clusters) == (0, 20)
    assert whole.value == pytest.approx(alone.value)
    assert whole.high - whole.low > 3 * (alone.high - alone.low)
    of_groups = values.reshape(20, 30).mean(axis=1)
    expected = 2 * norm.ppf(0.975) * of_groups.std() / np.sqrt(20)
    assert whole.high - whole.low == pytest.approx(expected, rel=0.04)


def test_that_unequal_groups_give_the_mean_over_the_items_drawn() -> None:
    sizes = np.array([1, 2, 3, 4, 5, 6])
    groups = np.repeat(np.arange(6), sizes)
    values = np.repeat([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], sizes)
    drawn, _ = means(values.reshape(-1, 1), groups.tolist(), resamples=4000)
    random = np.random.default_rng(9)
    picks = random.integers(0, 6, (4000, 6))
    expected = (sizes * np.arange(6, 0, -1))[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    assert np.quantile(drawn[:, 0], [0.1, 0.5, 0.9]) == pytest.approx(
        np.quantile(expected, [0.1, 0.5, 0.9]), abs=0.06
    )


def test_that_columns_share_their_draws() -> None:
    table = np.stack([_changes(), 2 * _changes() + 1], axis=1)
    drawn, _ = means(table, resamples=100)
    assert drawn[:, 1] == pytest.approx(2 * drawn[:, 0] + 1)


def test_that_too_few_groups_count_as_none() -> None:
    values = _changes(40)
    few = [f"tool {index % (FEWEST_CLUSTERS - 1)}" for index in range(40)]
    assert mean_interval(values, few) == mean_interval(values)


def test_that_chunks_do_not_change_the_draws_and_a_seed_repeats_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(1).normal(size=(30, 1))
    whole, _ = means(values, resamples=500, seed=4)
    assert np.array_equal(whole, means(values, resamples=500, seed=4)[0])
    assert not np.array_equal(whole, means(values, resamples=500, seed=5)[0])
    monkeypatch.setattr("core.analysis.paired_bootstrap._CHUNK", 100)
    assert means(values, resamples=500, seed=4)[0] == pytest.approx(whole)


def test_that_95_of_100_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(11)
    held = 0
    for trial in range(400):
        changes = random.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.7, 0.2])
        found = mean_interval(changes, resamples=600, seed=trial)
        held += found.low <= 0.1 <= found.high
    assert 0.92 <= held / 400 <= 0.98  # 0.95 within three standard errors


def test_that_equal_values_have_no_width_and_bounds_may_be_infinite() -> None:
    assert (mean_interval([1.0] * 9).low, mean_interval([1.0] * 9).high) == (1.0, 1.0)
    assert percentiles(np.array([-np.inf, 0.0, np.inf]), 0.95) == (-np.inf, np.inf)


def test_that_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval([])
    with pytest.raises(ValueError, match="finite"):
        mean_interval([0.0, float("nan")])
    with pytest.raises(ValueError, match="2 groups for 3 items"):
        mean_interval([0.0, 1.0, 0.0], ["a", "b"])
    with pytest.raises(ValueError, match="confidence"):
        percentiles(np.zeros(3), 0.0)
