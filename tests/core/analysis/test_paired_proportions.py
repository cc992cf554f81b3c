"""McNemar, Tango's interval and equivalence, and what a design can resolve, against independent oracles."""

from __future__ import annotations

from math import comb, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm
from statsmodels.stats.contingency_tables import mcnemar as oracle_mcnemar
from statsmodels.stats.weightstats import ttost_paired

from core.analysis.paired_proportions import (
    detectable,
    detectable_mean,
    discordance,
    equivalence,
    mcnemar,
    paired_difference,
    score,
    standard_error,
)

COUNTS = st.tuples(st.integers(0, 60), st.integers(0, 60))
TABLES = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 200))


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_that_the_p_value_equals_statsmodels_and_scipys(counts: tuple[int, int]) -> None:
    lost, gained = counts
    oracle = oracle_mcnemar([[5, lost], [gained, 5]], exact=True)
    assert mcnemar(lost, gained).p == pytest.approx(min(1.0, oracle.pvalue), abs=1e-12)
    if lost + gained:
        assert mcnemar(lost, gained).p == pytest.approx(
            binomtest(lost, lost + gained).pvalue, abs=1e-9
        )


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(any))
def test_that_mid_p_counts_half_of_what_is_as_extreme(counts: tuple[int, int]) -> None:
    lost, gained = counts
    pairs = lost + gained
    further = equal = 0
    for other in range(pairs + 1):  # every way in which the discordant items could have fallen
        distance, seen = abs(2 * other - pairs), abs(gained - lost)
        further += comb(pairs, other) * (distance > seen)
        equal += comb(pairs, other) * (distance == seen)
    expected = (further + equal / 2) / 2**pairs
    assert mcnemar(lost, gained).mid_p == pytest.approx(expected, abs=1e-12)


def test_that_mid_p_is_below_p_and_order_does_not_matter() -> None:
    assert mcnemar(0, 0).p == mcnemar(0, 0).mid_p == 1.0
    assert mcnemar(3, 11) == mcnemar(11, 3)
    assert mcnemar(3, 11).mid_p < mcnemar(3, 11).p
    assert mcnemar(2000, 2300).p == pytest.approx(5.0e-6, rel=0.05)  # exact at any size


@pytest.mark.parametrize(
    ("lost", "gained", "n", "published"),  # Fagerland, Lydersen & Laake 2014
    [(7, 1, 21, (-0.517, -0.026)), (16, 6, 161, (-0.124, -0.005))],
)
def test_that_tangos_interval_is_the_published_one(
    lost: int, gained: int, n: int, published: tuple[float, float]
) -> None:
    assert paired_difference(lost, gained, n) == pytest.approx(published, abs=5e-4)


def _constrained_score(lost: int, gained: int, n: int, difference: float) -> float:
    """Tango's statistic with the likeliest share of lost items found by numerical maximisation."""

    def unlikelihood(share: float) -> float:
        cells = ((lost, share), (gained, share + difference))
        cells += ((n - lost - gained, 1 - 2 * share - difference),)
        return -sum(count * log(max(it, 1e-300)) for count, it in cells if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    found = minimize_scalar(unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    variance = n * (2 * found.x + difference * (1 - difference))
    return (gained - lost - n * difference) / sqrt(variance)


@settings(max_examples=60, deadline=None)
@given(TABLES, st.floats(-0.8, 0.8).filter(lambda it: abs(it) > 0.01))
def test_that_the_score_is_that_of_the_constrained_likelihood(
    table: tuple[int, int, int], difference: float
) -> None:
    lost, gained, rest = table
    n = lost + gained + rest
    expected = _constrained_score(lost, gained, n, difference)
    assert score(lost, gained, n, difference) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_that_the_interval_holds_what_was_seen_and_turns_with_the_order(
    table: tuple[int, int, int],
) -> None:
    lost, gained, rest = table
    n = lost + gained + rest
    low, high = paired_difference(lost, gained, n)
    assert -1 <= low <= (gained - lost) / n <= high <= 1
    assert low < high
    assert paired_difference(gained, lost, n) == pytest.approx((-high, -low), abs=1e-12)
    z = norm.ppf(0.975)
    if low > -1:
        assert score(lost, gained, n, low) == pytest.approx(z, abs=1e-6)
    if high < 1:
        assert score(lost, gained, n, high) == pytest.approx(-z, abs=1e-6)


def test_that_without_a_discordant_item_the_interval_still_has_a_width() -> None:
    z2 = norm.ppf(0.975) ** 2
    assert paired_difference(0, 0, 97) == pytest.approx((-z2 / (97 + z2), z2 / (97 + z2)), abs=1e-9)
    assert paired_difference(21, 0, 21)[0] == -1.0


@settings(max_examples=60, deadline=None)
@given(TABLES, st.sampled_from([0.015, 0.05, 0.1]))
def test_that_preserved_means_the_90_percent_interval_lies_within_the_margin(
    table: tuple[int, int, int], margin: float
) -> None:
    lost, gained, rest = table
    n = lost + gained + rest
    found = equivalence(lost, gained, n, margin)
    low, high = paired_difference(lost, gained, n, 0.9)
    assert (found.verdict == "preserved") == (-margin < low and high < margin)
    assert (found.p < 0.05) == (found.verdict == "preserved")


def test_that_with_many_items_the_equivalence_test_is_the_paired_t_tests() -> None:
    lost, gained, n = 700, 721, 14042
    before = np.array([1] * lost + [0] * gained + [1] * (n - lost - gained))
    after = np.array([0] * lost + [1] * gained + [1] * (n - lost - gained))
    oracle = ttost_paired(after, before, -0.006, 0.006)[0]
    assert equivalence(lost, gained, n, 0.006).p == pytest.approx(oracle, rel=0.03)


def test_that_too_few_items_are_unresolved_and_a_clear_loss_is_changed() -> None:
    assert equivalence(5, 5, 97).verdict == "unresolved"
    assert equivalence(40, 4, 97).verdict == "changed"
    assert equivalence(701, 700, 14042).verdict == "preserved"


@pytest.mark.parametrize(
    ("n", "share", "error", "reach"),  # methods.md 0.5, in points
    [
        (97, 0.3, 5.6, 15.6),
        (507, 0.3, 2.4, 6.8),
        (1267, 0.1, 0.9, 2.5),
        (14042, 0.1, 0.27, 0.75),
    ],
)
def test_that_the_designs_of_the_paper_resolve_what_methods_say(
    n: int, share: float, error: float, reach: float
) -> None:
    digits = 2 if error < 0.5 else 1
    assert round(100 * standard_error(n, share), digits) == error
    assert round(100 * detectable(n, share), digits) == reach


def test_that_a_difference_as_large_as_the_detectable_one_is_seen_four_times_in_five() -> None:
    n, share = 2000, 0.2
    gap = detectable(n, share)
    gained, lost = (share + gap) / 2, (share - gap) / 2
    # The power of the test of McNemar at that difference, by the normal law of gained - lost.
    spread = sqrt((gained + lost - gap * gap) / n)
    power = 1 - norm.cdf((1.959964 * standard_error(n, share) - gap) / spread)
    assert power == pytest.approx(0.8, abs=0.005)


def test_that_no_discordant_item_does_not_promise_to_see_everything() -> None:
    assert discordance(0, 0, 97) == pytest.approx(1 / 99)
    assert discordance(1000, 1106, 14042) == pytest.approx(2106 / 14042, rel=1e-3)


def test_that_the_mean_of_two_like_tasks_resolves_root_two_better() -> None:
    one = detectable(500, 0.2)
    assert detectable_mean([(500, 0.2), (500, 0.2)]) == pytest.approx(one / sqrt(2))
    assert detectable_mean([(500, 0.2)]) == pytest.approx(one)


def test_that_the_papers_gain_in_tool_use_is_real_whatever_the_reverse_flips() -> None:
    # Tables 2 and 5: 50.52 to 67.01 of n = 97, which is 49 to 65 items.
    assert (round(100 * 49 / 97, 2), round(100 * 65 / 97, 2)) == (50.52, 67.01)
    assert mcnemar(10, 26).p == pytest.approx(0.011, abs=5e-4)
    p_values = [mcnemar(back, back + 16).p for back in range(11)]
    assert p_values == sorted(p_values)
    assert paired_difference(10, 26, 97)[0] > 0


@pytest.mark.parametrize(
    ("lost", "gained", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)], ids=["negative", "many", "none"]
)
def test_that_counts_that_cannot_be_are_refused(lost: int, gained: int, n: int) -> None:
    for compute in (paired_difference, equivalence, discordance):
        with pytest.raises(ValueError, match="do not fit"):
            compute(lost, gained, n)


def test_that_levels_margins_and_designs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar(-1, 2)
    with pytest.raises(ValueError, match="confidence"):
        paired_difference(1, 2, 5, 1.0)
    with pytest.raises(ValueError, match="margin"):
        equivalence(1, 2, 5, 0.0)
    with pytest.raises(ValueError, match="design"):
        detectable(97, 1.5)
