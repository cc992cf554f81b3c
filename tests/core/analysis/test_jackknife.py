"""Jackknife intervals of CKA: against leaving samples out of the features, and their coverage."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t

from core.analysis.cka import cka, grams, similarity
from core.analysis.jackknife import interval, paired_difference

VARIANTS: tuple[Literal["biased", "debiased"], ...] = ("biased", "debiased")
PREPROCESSINGS: tuple[Literal["center", "row_normalise"], ...] = ("center", "row_normalise")


def _three(n: int = 25) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(n)
    x = random.normal(size=(n, 7)) + 40.0
    return x, x + 0.3 * random.normal(size=x.shape), x + random.normal(size=x.shape)


def _standard_error(values: list[float]) -> float:
    n = len(values)
    return float(np.sqrt((n - 1) / n * np.square(np.array(values) - np.mean(values)).sum()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_that_leaving_out_of_the_gram_equals_leaving_out_of_the_features(
    variant: Literal["biased", "debiased"],
    preprocessing: Literal["center", "row_normalise"],
) -> None:
    x, y, z = _three()
    a, b, c = (
        grams({"one": side, "two": side**2}, variant=variant, preprocessing=preprocessing)
        for side in (x, y, z)
    )
    found, paired = interval(a, b), paired_difference(b, c, a)
    for layer, power in enumerate((1, 2)):
        xy, xz = [], []
        for out in range(len(x)):
            left, near, far = (np.delete(side**power, out, axis=0) for side in (x, y, z))
            xy.append(cka(left, near, variant=variant, preprocessing=preprocessing))
            xz.append(cka(left, far, variant=variant, preprocessing=preprocessing))
        assert found.standard_error[layer] == pytest.approx(_standard_error(xy), rel=1e-8)
        gaps = [near - far for near, far in zip(xy, xz, strict=True)]
        assert paired.standard_error[layer] == pytest.approx(_standard_error(gaps), rel=1e-8)
    np.testing.assert_allclose(found.value, np.diagonal(similarity(a, b)), atol=1e-12)
    gap = np.diagonal(similarity(b, a)) - np.diagonal(similarity(c, a))
    np.testing.assert_allclose(paired.value, gap, atol=1e-12)


def test_that_the_interval_is_students_and_stays_inside_the_range_of_cka() -> None:
    x, y, _ = _three()
    found = interval(grams({"l": x}), grams({"l": y}), confidence=0.8)
    half = t.ppf(0.9, len(x) - 1) * found.standard_error
    np.testing.assert_allclose(found.low, found.value - half)
    np.testing.assert_allclose(found.high, found.value + half)
    random = np.random.default_rng(0)
    few = [
        interval(*(grams({"l": side}) for side in random.normal(size=(2, 6, 2)))) for _ in "1234"
    ]
    assert all(-1 <= each.low[0] <= each.high[0] <= 1 for each in few)
    biased = interval(
        *(grams({"l": side}, variant="biased") for side in random.normal(size=(2, 6, 2)))
    )
    assert 0 <= biased.low[0] <= biased.high[0] <= 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_that_equal_layers_are_one_without_doubt(
    variant: Literal["biased", "debiased"], dtype: type[np.floating[Any]]
) -> None:
    x = _three()[0].astype(dtype)
    a = grams({"l": x}, variant=variant)
    found = interval(a, a)
    for part in (found.value, found.low, found.high):
        assert part[0] == pytest.approx(1.0, abs=1e-9)
    assert found.standard_error[0] < 1e-9
    same = paired_difference(a, a, grams({"l": x**2}, variant=variant))
    assert (same.value[0], same.low[0], same.high[0]) == (0.0, 0.0, 0.0)


def test_that_paired_differences_are_surer_than_two_intervals() -> None:
    x, y, _ = _three(80)
    z = y + 0.05 * np.random.default_rng(1).normal(size=y.shape)
    a, b, c = (grams({"l": side}) for side in (x, y, z))
    apart = np.hypot(interval(b, a).standard_error, interval(c, a).standard_error)
    assert paired_difference(b, c, a).standard_error[0] < 0.5 * apart[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_that_undefined_layers_and_too_few_samples_have_no_interval(
    dtype: type[np.floating[Any]],
) -> None:
    x, y, _ = (side.astype(dtype) for side in _three())
    lone = np.zeros_like(x)
    lone[3] = 1.0  # without this sample nothing is left
    a = grams({"flat": np.ones_like(x), "lone": lone, "fine": x}, variant="biased")
    b = grams({"flat": y, "lone": y, "fine": y}, variant="biased")
    found = interval(a, b)
    for part in (found.low, found.high, found.standard_error):
        assert np.isnan(part).tolist() == [True, True, False]
    assert np.isnan(found.value).tolist() == [True, False, False]
    four = interval(*(grams({"l": side[:4]}, variant="biased") for side in (x, y)))
    assert np.isnan([four.low[0], four.high[0], four.standard_error[0]]).all()
    assert np.isfinite(four.value[0])


def test_that_unlike_sets_have_no_interval() -> None:
    x, y, _ = _three()
    a, two = grams({"l": x}), grams({"l": x, "m": y})
    with pytest.raises(ValueError, match="cannot pair 1 layers with 2"):
        interval(a, two)
    with pytest.raises(ValueError, match="cannot pair 2 layers with 1"):
        paired_difference(a, two, a)
    with pytest.raises(ValueError, match="cannot compare 25 samples with 20"):
        interval(a, grams({"l": y[:20]}))
    with pytest.raises(ValueError, match="confidence"):
        interval(a, a, confidence=1.0)


def _coverage(
    n: int, width: int, noises: tuple[float, float], heavy: bool, draws: int
) -> tuple[float, float]:
    """How often the intervals of CKA and of a paired difference hold the truth.

    Features are x ~ N(0, diag(spread)) and x + noise, so the truth follows from their covariances; heavy
    tails scale each sample by a common factor, which leaves the covariances in proportion.
    """
    random = np.random.default_rng(0)
    spread = np.arange(1, width + 1.0) ** -0.7
    sizes = (np.linalg.norm(spread + noise) for noise in noises)
    truth, other = (spread @ spread / (np.linalg.norm(spread) * size) for size in sizes)
    hits = np.zeros(2)
    for _ in range(draws):
        tail = np.sqrt(4.0 / random.chisquare(6, size=(n, 1))) if heavy else 1.0
        x = random.normal(size=(n, width)) * np.sqrt(spread)
        near, far = (x + random.normal(size=x.shape) * noise**0.5 for noise in noises)
        a, b, c = (grams({"l": tail * side}) for side in (x, near, far))
        one, gap = interval(a, b), paired_difference(b, c, a)
        hits += (
            one.low[0] <= truth <= one.high[0],
            gap.low[0] <= truth - other <= gap.high[0],
        )
    return float(hits[0] / draws), float(hits[1] / draws)


def test_that_intervals_hold_the_true_value_about_as_often_as_they_say() -> None:
    single, paired = _coverage(64, 60, (0.02, 0.05), heavy=False, draws=300)
    assert 0.91 <= single <= 0.99
    assert 0.91 <= paired <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize(("n", "width"), [(64, 60), (64, 400), (200, 60)])
@pytest.mark.parametrize("noises", [(0.001, 0.002), (0.02, 0.05), (0.2, 0.4), (3.0, 5.0)])
def test_that_intervals_cover_near_one_far_from_it_and_with_heavy_tails(
    n: int, width: int, noises: tuple[float, float], heavy: bool
) -> None:
    single, paired = _coverage(n, width, noises, heavy, draws=800)
    assert 0.92 <= single <= 1.0  # three standard errors below 0.943
    assert 0.92 <= paired <= 1.0
