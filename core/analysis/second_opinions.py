"""Other measures of how alike two layers are, for where CKA alone would mislead.

CKA weighs directions by the square of their variance, so a few loud ones decide it, and equal CKA does not mean
equal geometry. Procrustes weighs all directions by their size, mutual nearest neighbours look at who is near
whom only, and RSA at the order of all distances. All three are unchanged by rotation, shift and scale of
either side, and need no equal width. None is debiased: mutual k-NN has the chance level
`chance_overlap`, Procrustes rises with d / n as biased CKA does.

Every measure takes (n, d) arrays whose rows are the same samples, and is NaN where a side does not tell its
samples apart or holds values that are not finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from core.analysis.preprocessing import FLAT, Floats, Preprocessing, center

NEIGHBOURS = 10
"""Of the mutual nearest neighbours, as Huh et al. 2024 (The Platonic Representation Hypothesis) take."""

MOST_SAMPLES = 1024
"""Of more samples, `opinions` looks at this many, evenly spaced: the cost grows with their third power."""


def procrustes(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Procrustes similarity, 0 to 1: how much of one layer a rotation or reflection of the other explains.

    It is the nuclear norm of X'Y with both centred and scaled to Frobenius norm one (Schoenemann 1966). The
    squared distance after the best rotation is 2 - 2 times it (Ding et al. 2021), the disparity of
    `scipy.spatial.procrustes` 1 - its square, and its arc cosine the angle of Williams et al. 2021.

    Raises:
        ValueError: different numbers of samples, or what `center` refuses.
    """
    return _procrustes(*_sides(x, y))


def mutual_knn(x: NDArray[Any], y: NDArray[Any], k: int = NEIGHBOURS) -> float:
    """The share of each sample's k nearest others (Euclidean) that both sides name, averaged: 0 to 1.

    k is at most half of the other samples: were all of them near, any two layers would agree. Equally near
    samples are taken in their order.

    Raises:
        ValueError: k is not positive, different numbers of samples, or what `center` refuses.
    """
    if k < 1:
        raise ValueError(f"k must be positive, not {k}")
    return _mutual_knn(*_sides(x, y), k)


def chance_overlap(n: int, k: int = NEIGHBOURS) -> float:
    """The expected `mutual_knn` of unrelated layers."""
    return _near(n, k) / (n - 1)


def rsa(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Representational similarity, -1 to 1: Spearman's correlation of the Euclidean distances of all pairs.

    Raises:
        ValueError: different numbers of samples, or what `center` refuses.
    """
    return _rsa(*_sides(x, y))


def opinions(
    a: Mapping[str, NDArray[Any]],
    b: Mapping[str, NDArray[Any]],
    *,
    preprocessing: Preprocessing = "center",
) -> dict[str, Floats]:
    """All measures of each layer of `a` with the same layer of `b`: name -> (layers,).

    Layers are given as name -> (n, d). Of more than `MOST_SAMPLES` samples an even selection is looked at.

    Raises:
        ValueError: different numbers of layers or samples, or what `center` refuses.
    """
    if len(a) != len(b):
        raise ValueError(f"cannot pair {len(a)} layers with {len(b)}")
    found: dict[str, list[float]] = {"procrustes": [], "mutual_knn": [], "rsa": []}
    for x, y in zip(a.values(), b.values(), strict=True):
        sides = _sides(_selected(x), _selected(y), preprocessing)
        found["procrustes"].append(_procrustes(*sides))
        found["mutual_knn"].append(_mutual_knn(*sides, NEIGHBOURS))
        found["rsa"].append(_rsa(*sides))
    return {name: np.array(values) for name, values in found.items()}


def _selected(features: NDArray[Any]) -> NDArray[Any]:
    if len(features) <= MOST_SAMPLES:
        return features
    kept = np.linspace(0, len(features) - 1, MOST_SAMPLES).round().astype(np.intp)
    return features[kept]


@dataclass(frozen=True, eq=False)
class _Side:
    """One layer: centred features of about 1 at most, or None where it is undefined."""

    centred: Floats | None

    @cached_property
    def distances(self) -> Floats | None:
        """(n, n) squared Euclidean distances; None where all samples are equally far from each other."""
        if self.centred is None:
            return None
        gram = self.centred @ self.centred.T
        own = np.diagonal(gram)
        size = own[:, None] + own
        squared: Floats = size - 2.0 * gram
        squared[squared <= FLAT * size] = 0.0  # what is left of equal samples is rounding
        others = squared[~np.eye(len(squared), dtype=np.bool_)]
        return squared if np.ptp(others) > FLAT * others.max() else None


def _sides(
    x: NDArray[Any], y: NDArray[Any], preprocessing: Preprocessing = "center"
) -> tuple[_Side, _Side]:
    if len(x) != len(y):
        raise ValueError(f"cannot compare {len(x)} samples with {len(y)}")
    return _side(x, preprocessing), _side(y, preprocessing)


def _side(features: NDArray[Any], preprocessing: Preprocessing) -> _Side:
    exact = features.astype(np.float64)
    size = np.abs(exact).max(initial=0.0)
    if not np.isfinite(size):
        center(np.zeros_like(exact))  # a wrong shape is an error all the same
        return _Side(None)
    if size > 0.0:
        exact /= size
    centred = np.asarray(center(exact, preprocessing), dtype=np.float64)
    if preprocessing != "paper_5_4":
        centred -= centred.mean(axis=0)  # the first mean is rounded to the size of the offset
    largest = np.abs(centred).max(initial=0.0)
    return _Side(centred / largest if largest > FLAT else None)


def _procrustes(x: _Side, y: _Side) -> float:
    if x.centred is None or y.centred is None:
        return float("nan")
    left, right = _short(x.centred), _short(y.centred)
    together = np.linalg.svd(left @ right.T, compute_uv=False).sum()
    return float(together / (np.linalg.norm(left) * np.linalg.norm(right)))


def _short(centred: Floats) -> Floats:
    """(r, n) with the Gram of the features (n, d), r the smaller of n and d."""
    n, d = centred.shape
    return centred.T if d <= n else np.asarray(np.linalg.qr(centred.T, mode="r"), np.float64)


def _mutual_knn(x: _Side, y: _Side, k: int) -> float:
    if x.distances is None or y.distances is None:
        return float("nan")
    n = len(x.distances)
    near = _near(n, k)
    left, right = _nearest(x.distances, near), _nearest(y.distances, near)
    return float((left & right).sum() / (n * near))


def _near(n: int, k: int) -> int:
    return min(k, (n - 1) // 2)


def _nearest(distances: Floats, k: int) -> NDArray[np.bool_]:
    """(n, n) whether the column is among the k nearest others of the row."""
    others = distances.copy()
    np.fill_diagonal(others, np.inf)
    order = np.argsort(others, axis=1, kind="stable")[:, :k]
    nearest = np.zeros(others.shape, dtype=np.bool_)
    np.put_along_axis(nearest, order, True, axis=1)
    return nearest


def _rsa(x: _Side, y: _Side) -> float:
    if x.distances is None or y.distances is None:
        return float("nan")
    above = np.triu_indices(len(x.distances), 1)
    ranks = (rankdata(side[above]) for side in (x.distances, y.distances))
    left, right = (rank - rank.mean() for rank in ranks)
    return float(left @ right / np.sqrt((left @ left) * (right @ right)))
