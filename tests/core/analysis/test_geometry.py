"""The fit of accuracy lost on distance: known curves, scipy's least squares, refusals, the band."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import curve_fit

from core.analysis.geometry import (
    FEWEST_POINTS,
    Curve,
    GeometryFit,
    Name,
    Point,
    TooFew,
    fit,
    fitted,
    predict,
)

X = np.array([0.01, 0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4])
TRUE: dict[Name, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: 0.02 + 0.9 * x,
    "saturating": lambda x: 0.4 * (1 - np.exp(-15 * x)),
    "logistic": lambda x: 0.4 / (1 + np.exp(-(x - 0.15) / 0.02)),
}
FORMS = {
    "linear": (lambda x, a, b: a + b * x, (0.0, 1.0)),
    "saturating": (lambda x, a, b: a * (1 - np.exp(-b * x)), (0.5, 10.0)),
    "logistic": (lambda x, a, m, s: a / (1 + np.exp(-(x - m) / s)), (0.5, 0.2, 0.05)),
}


def _points(y: np.ndarray, x: np.ndarray = X, runs: int = 8) -> list[Point]:
    return [Point(a, b, f"run {i % runs}") for i, (a, b) in enumerate(zip(x, y, strict=True))]


def _fit(points: list[Point], resamples: int = 60) -> GeometryFit:
    found = fit(points, resamples=resamples)
    assert isinstance(found, GeometryFit)
    return found


@pytest.mark.parametrize("name", TRUE)
def test_that_a_noiseless_curve_is_found_and_chosen(name: Name) -> None:
    found = _fit(_points(TRUE[name](X)))
    assert found.chosen.name == name
    assert found.chosen.error < 2e-3
    assert found.chosen.error < found.no_relation
    assert found.foretells
    assert predict(found.chosen, X) == pytest.approx(TRUE[name](X), abs=1e-4)
    assert found.middle == pytest.approx(TRUE[name](found.x), abs=1e-3)


@pytest.mark.parametrize("name", TRUE)
def test_that_the_least_squares_are_scipys(name: Name) -> None:
    noise = np.random.default_rng(8).normal(0, 0.02, len(X))
    y = TRUE[name](X) + noise
    form, start = FORMS[name]
    expected, _ = curve_fit(form, X, y, p0=start, maxfev=20_000)
    found = fitted(name, X, y)
    assert list(found.values()) == pytest.approx(expected, rel=2e-3)
    own = predict(Curve(name, found, 0.0), X)
    assert ((own - y) ** 2).sum() == pytest.approx(((form(X, *expected) - y) ** 2).sum(), rel=1e-5)


def test_that_the_left_out_error_is_that_of_fits_without_the_point() -> None:
    y = TRUE["linear"](X) + np.random.default_rng(1).normal(0, 0.03, len(X))
    off = []
    for place in range(len(X)):
        others = np.arange(len(X)) != place
        slope, intercept = np.polyfit(X[others], y[others], 1)
        off.append(y[place] - slope * X[place] - intercept)
    found = _fit(_points(y))
    linear = next(it for it in found.curves if it.name == "linear")
    assert linear.error == pytest.approx(np.sqrt(np.mean(np.square(off))))
    means = [y[place] - np.delete(y, place).mean() for place in range(len(X))]
    assert found.no_relation == pytest.approx(np.sqrt(np.mean(np.square(means))))


def test_that_noise_without_a_relation_foretells_nothing() -> None:
    y = np.array([0.1, -0.1, 0.12, -0.09, 0.1, -0.12, 0.11, -0.1])
    found = _fit(_points(y))
    assert not found.foretells
    assert found.correlation is not None
    assert found.correlation.p > 0.3


def test_that_under_six_points_no_curve_is_drawn_and_undefined_cka_is_counted() -> None:
    points = _points(TRUE["linear"](X))[: FEWEST_POINTS - 1]
    points += [Point(float("nan"), 0.2, "run 9"), Point(float("inf"), 0.2, "run 9")]
    assert fit(points) == TooFew(usable=5, distances=5, left_out=2)
    found = _fit([*points, Point(0.4, 0.38, "run 7")])
    assert (found.n, found.left_out, found.runs) == (6, 2, 6)


def test_that_points_at_few_distances_determine_no_curve() -> None:
    x = np.array([0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    assert fit(_points(x, x)) == TooFew(usable=7, distances=3, left_out=0)


def test_that_a_drop_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="finite drop"):
        fit([Point(0.1 * i, float("nan"), "a") for i in range(7)])


def test_that_runs_are_drawn_whole_where_there_are_enough() -> None:
    random = np.random.default_rng(3)
    x = np.tile(X, 3)
    shift = np.repeat(random.normal(0, 0.08, 8), 3)  # each run has its own level
    y = np.sort(0.5 * x) + shift
    x = np.sort(x)
    points = [Point(a, b, f"run {i // 3}") for i, (a, b) in enumerate(zip(x, y, strict=True))]
    grouped = _fit(points, resamples=300)
    alone = _fit([Point(it.distance, it.drop, "one run") for it in points], resamples=300)
    assert (grouped.clusters, grouped.runs) == (8, 8)
    assert (alone.clusters, alone.runs) == (0, 1)
    assert (grouped.high - grouped.low).mean() > (alone.high - alone.low).mean()


def test_that_the_band_holds_most_further_checkpoints_and_repeats() -> None:
    random = np.random.default_rng(6)
    held = total = 0
    for trial in range(12):
        x = np.sort(random.uniform(0.0, 0.4, 20))
        y = 0.9 * x + random.normal(0, 0.03, 20)
        found = fit(
            [Point(a, b, str(i)) for i, (a, b) in enumerate(zip(x, y, strict=True))],
            resamples=80,
            seed=trial,
        )
        assert isinstance(found, GeometryFit)
        new = 0.9 * found.x + random.normal(0, 0.03, len(found.x))
        held += int(((found.low <= new) & (new <= found.high)).sum())
        total += len(new)
    assert held / total > 0.85
    first, second = _fit(_points(TRUE["linear"](X))), _fit(_points(TRUE["linear"](X)))
    assert np.array_equal(first.low, second.low)
