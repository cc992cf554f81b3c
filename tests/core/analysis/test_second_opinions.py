"""Procrustes, mutual nearest neighbours and RSA against SciPy, scikit-learn and rsatoolbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm, compare
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes as scipy_procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors

from core.analysis import second_opinions as module
from core.analysis.cka import cka
from core.analysis.preprocessing import center
from core.analysis.second_opinions import chance_overlap, mutual_knn, opinions, procrustes, rsa

MEASURES: tuple[Callable[[NDArray[Any], NDArray[Any]], float], ...] = (procrustes, mutual_knn, rsa)


def _pair(
    n: int = 40, width: int = 12, other: int | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(n + width)
    x = random.normal(size=(n, width)) + 3.0
    y = x @ random.normal(size=(width, other or width))
    return x, y + 2.0 * random.normal(size=y.shape)


@pytest.mark.parametrize("width", [12, 90])
def test_that_procrustes_equals_scipy(width: int) -> None:
    x, y = _pair(width=width)
    _, _, disparity = scipy_procrustes(x, y)
    found = procrustes(x, y)
    assert 1 - found**2 == pytest.approx(disparity, abs=1e-10)
    left, right = (side - side.mean(0) for side in (x, y))
    left, right = (side / np.linalg.norm(side) for side in (left, right))
    rotation, together = orthogonal_procrustes(left, right)
    assert found == pytest.approx(together, abs=1e-10)
    assert 2 - 2 * found == pytest.approx(np.linalg.norm(left @ rotation - right) ** 2, abs=1e-10)


@pytest.mark.parametrize(("width", "other"), [(12, 20), (90, 12), (90, 70)])
def test_that_procrustes_of_unequal_widths_pads_with_zeros(width: int, other: int) -> None:
    x, y = _pair(width=width, other=other)
    widest = max(width, other)
    left, right = (np.pad(side, ((0, 0), (0, widest - side.shape[1]))) for side in (x, y))
    assert procrustes(x, y) == pytest.approx(procrustes(left, right), abs=1e-10)
    _, _, disparity = scipy_procrustes(left, right)
    assert 1 - procrustes(x, y) ** 2 == pytest.approx(disparity, abs=1e-10)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_that_mutual_neighbours_equal_scikit_learn(k: int) -> None:
    x, y = _pair(60)
    named = [
        NearestNeighbors(n_neighbors=k).fit(side).kneighbors(return_distance=False)
        for side in (x, y)
    ]
    shared = [len(set(one) & set(other)) / k for one, other in zip(*named, strict=True)]
    assert mutual_knn(x, y, k) == pytest.approx(np.mean(shared), abs=1e-12)
    assert 0 < mutual_knn(x, y, k) < 1


def test_that_mutual_neighbours_of_unrelated_layers_come_to_chance() -> None:
    random = np.random.default_rng(0)
    found = [mutual_knn(*random.normal(size=(2, 30, 5))) for _ in range(200)]
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(chance_overlap(30), abs=4 * error)
    assert error < 0.01


def test_that_few_samples_have_fewer_neighbours() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 9, 5))
    assert mutual_knn(x, y, 10) == mutual_knn(x, y, 4)
    assert chance_overlap(9) == 0.5
    with pytest.raises(ValueError, match="positive"):
        mutual_knn(x, y, 0)


def test_that_rsa_equals_scipy_and_rsatoolbox() -> None:
    x, y = _pair()
    x[5] = x[9]
    x[6] = x[8]  # distances of zero, and ties
    oracle = spearmanr(pdist(x), pdist(y)).statistic
    assert rsa(x, y) == pytest.approx(oracle, abs=1e-12)
    rdms = [calc_rdm(Dataset(side), method="euclidean") for side in (x, y)]
    assert rsa(x, y) == pytest.approx(compare(*rdms, method="spearman")[0, 0], abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("width", [12, 90])
def test_that_rotation_shift_and_scale_change_nothing_and_a_layer_agrees_with_itself(
    measure: Callable[[NDArray[Any], NDArray[Any]], float], width: int
) -> None:
    x, y = _pair(width=width)
    random = np.random.default_rng(5)
    rotation, _ = np.linalg.qr(random.normal(size=(width, width)))
    moved = 1e-6 * x @ rotation + random.normal(size=width)
    assert measure(x, moved) == pytest.approx(1.0, abs=1e-6)
    assert measure(moved, y) == pytest.approx(measure(x, y), abs=1e-6)
    assert measure(x, y) == pytest.approx(measure(y, x), abs=1e-12)
    assert measure(x, y) < 0.99


@pytest.mark.parametrize("measure", MEASURES)
def test_that_undefined_layers_are_nan_and_no_error(
    measure: Callable[[NDArray[Any], NDArray[Any]], float],
) -> None:
    x, y = _pair()
    broken = x.copy()
    broken[2, 1] = np.inf
    for bad in (np.full_like(x, 0.1), np.zeros_like(x), broken, x * np.nan):
        assert np.isnan(measure(bad, y))
        assert np.isnan(measure(y, bad))
    for factor in (1e-200, 1e200):
        assert measure(x * factor, y) == pytest.approx(measure(x, y), abs=1e-9)


def test_that_equidistant_samples_have_no_order_of_distances_but_a_shape() -> None:
    x = np.eye(8) * 0.7
    y = np.random.default_rng(0).normal(size=(8, 8))
    assert np.isnan(rsa(x, y))
    assert np.isnan(mutual_knn(x, y))
    assert procrustes(x, x) == pytest.approx(1.0)


@pytest.mark.parametrize("measure", MEASURES)
def test_that_unusable_features_are_refused(
    measure: Callable[[NDArray[Any], NDArray[Any]], float],
) -> None:
    x, y = _pair()
    with pytest.raises(ValueError, match="cannot compare 40 samples with 30"):
        measure(x, y[:30])
    with pytest.raises(ValueError, match="at least 4"):
        measure(x[:3], y[:3])
    with pytest.raises(ValueError, match="at least 4"):
        measure(x[:3] * np.nan, y[:3])


def test_that_all_opinions_of_all_layers_equal_single_calls() -> None:
    x, y = _pair()
    a = {"p": x.astype(np.float32), "q": x**2, "flat": np.ones_like(x)}
    b = {"p": y.astype(np.float32), "q": y, "flat": y}
    found = opinions(a, b)
    assert set(found) == {"procrustes", "mutual_knn", "rsa"}
    for layer, (left, right) in enumerate(zip(a.values(), b.values(), strict=True)):
        for measure in MEASURES:
            np.testing.assert_allclose(
                found[measure.__name__][layer], measure(left, right), atol=1e-12
            )
    unit = opinions({"p": x}, {"p": y}, preprocessing="row_normalise")
    sides = (center(side, "row_normalise") for side in (x, y))
    assert unit["rsa"][0] == pytest.approx(rsa(*sides), abs=1e-10)
    with pytest.raises(ValueError, match="cannot pair 3 layers with 1"):
        opinions(a, {"p": y})


def test_that_many_samples_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _pair(40)
    monkeypatch.setattr(module, "MOST_SAMPLES", 14)  # every third of 0 .. 39
    assert opinions({"l": x}, {"l": y})["rsa"][0] == rsa(x[::3], y[::3])


def test_that_they_see_a_difference_which_cka_hides_behind_one_loud_direction() -> None:
    random = np.random.default_rng(0)
    loud = 10.0 * random.normal(size=(80, 1))
    x, y = (np.hstack([loud, random.normal(size=(80, 40))]) for _ in range(2))
    assert cka(x, y) > 0.99
    assert procrustes(x, y) < 0.9
    assert mutual_knn(x, y) < 0.7
