"""From geometry to accuracy: does the distance of a checkpoint's activations foretell what it lost?

x = 1 - CKA to the reference (debiased), y = the accuracy lost against it (methods.md F4). Three curves are tried: a
line, a saturating a (1 - exp(-b x)), and a logistic a / (1 + exp(-(x - m) / s)). The one that foretells left-out
checkpoints best is chosen; the error of "no relation" (the mean of the others) stands beside it, because a curve that
does no better says nothing. Under six points no curve is drawn.

No claim of cause: checkpoints of a run are dependent, and both sides move with training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.analysis.paired_bootstrap import CONFIDENCE, FEWEST_CLUSTERS, SEED, percentiles
from core.analysis.rank_correlation import RankCorrelation, spearman

Floats = NDArray[np.float64]
Name = Literal["linear", "saturating", "logistic"]

FEWEST_POINTS = 6
"""methods.md F4. The paper's figure 8 has at most four."""
FEWEST_DISTANCES = 4
"""Different distances needed: a logistic has three parameters, and one point is left out in turn."""
RESAMPLES = 1_000
"""Draws of the band; each fits a curve. A bound at 2.5 % is then one of 25 draws from the end."""
BAND_POINTS = 50

_BENDS = np.geomspace(0.05, 50.0, 61)
"""b of the saturating curve in units of 1 / largest distance: from hardly bent to a step."""
_MIDDLES = np.linspace(0.0, 1.5, 31)
_WIDTHS = np.geomspace(0.02, 1.0, 25)
"""m and s of the logistic in units of the largest distance."""
_ZOOMS = 24
_REACH = 2  # old steps to either side, so that a slanting valley is not lost
_ZOOM_POINTS = 9  # each zoom makes the grid twice as fine


@dataclass(frozen=True)
class Point:
    """One checkpoint: its distance 1 - CKA, the accuracy it lost (a share, negative for a gain), and its run."""

    distance: float
    drop: float
    run: str


@dataclass(frozen=True)
class TooFew:
    """Why no curve is drawn.

    Attributes:
        usable: checkpoints with a finite CKA.
        distances: different distances among them.
        left_out: checkpoints whose CKA is undefined.
    """

    usable: int
    distances: int
    left_out: int


@dataclass(frozen=True)
class Curve:
    """A fitted curve: its name, parameters by name, and its error in foretelling a left-out checkpoint (a share)."""

    name: Name
    parameters: dict[str, float]
    error: float


@dataclass(frozen=True)
class GeometryFit:
    """What the checkpoints say.

    Attributes:
        chosen: the curve with the least left-out error.
        curves: all three.
        no_relation: left-out error of foretelling the mean of the others (root mean square, a share).
        x: distances at which the band is given, (BAND_POINTS,).
        middle: the chosen curve there.
        low: 95 % band of a further checkpoint.
        high: its other side.
        clusters: runs that were drawn as wholes for the band; 0 when single checkpoints were, for want of runs:
            then the band is too narrow.
        correlation: Spearman's; None when all drops or all distances are equal.
        n: checkpoints used.
        runs: they come from.
        left_out: checkpoints whose CKA is undefined.
    """

    chosen: Curve
    curves: tuple[Curve, ...]
    no_relation: float
    x: Floats
    middle: Floats
    low: Floats
    high: Floats
    clusters: int
    correlation: RankCorrelation | None
    n: int
    runs: int
    left_out: int

    @property
    def foretells(self) -> bool:
        """The chosen curve foretells a left-out checkpoint better than the mean of the others does."""
        return self.chosen.error < self.no_relation


def fit(
    points: Sequence[Point], *, resamples: int = RESAMPLES, seed: int = SEED
) -> GeometryFit | TooFew:
    """Fit the curves and choose one, or say why there are too few points.

    The band is for a further checkpoint: curves fitted to drawn runs (methods.md F4: checkpoints of a run are
    dependent), each with an error drawn from those of the left-out checkpoints.

    Args:
        points: the checkpoints; those with a non-finite distance are left out and counted.
        resamples: draws of the band.
        seed: of the draws.

    Raises:
        ValueError: a drop that is no finite number.
    """
    used = [it for it in points if np.isfinite(it.distance)]
    left_out = len(points) - len(used)
    x = np.array([it.distance for it in used], np.float64)
    y = np.array([it.drop for it in used], np.float64)
    if not np.isfinite(y).all():
        raise ValueError("every checkpoint needs a finite drop")
    distances = len(np.unique(x))
    if len(used) < FEWEST_POINTS or distances < FEWEST_DISTANCES:
        return TooFew(len(used), distances, left_out)
    runs = [it.run for it in used]
    errors = {name: _left_out_errors(name, x, y) for name in _FITTERS}
    curves = tuple(Curve(name, fitted(name, x, y), _rms(it)) for name, it in errors.items())
    chosen = min(curves, key=lambda it: it.error)
    grid = np.linspace(min(0.0, float(x.min())), float(x.max()), BAND_POINTS)
    low, high, clusters = _band(chosen.name, x, y, runs, grid, errors[chosen.name], resamples, seed)
    return GeometryFit(
        chosen=chosen,
        curves=curves,
        no_relation=_rms((y - y.mean()) * len(y) / (len(y) - 1)),
        x=grid,
        middle=predict(chosen, grid),
        low=low,
        high=high,
        clusters=clusters,
        correlation=spearman(x.tolist(), y.tolist()),
        n=len(used),
        runs=len(set(runs)),
        left_out=left_out,
    )


def predict(curve: Curve, x: Floats) -> Floats:
    """The drop (a share) that a curve foretells at distances of any shape."""
    return _CURVES[curve.name](x, np.array(list(curve.parameters.values())))


def fitted(name: Name, x: Floats, y: Floats) -> dict[str, float]:
    """The parameters of one curve by least squares."""
    return _named(name, _FITTERS[name](x, y, np.ones_like(x)))


def _linear(x: Floats, y: Floats, weights: Floats) -> Floats:
    root = np.sqrt(weights)
    design = np.stack([np.ones_like(x), x], axis=1) * root[:, None]
    return np.asarray(np.linalg.lstsq(design, y * root, rcond=None)[0])


def _saturating(x: Floats, y: Floats, weights: Floats) -> Floats:
    scale = float(np.abs(x).max())

    def basis(shapes: Floats) -> Floats:  # (shapes, 1) -> (shapes, points)
        return -np.expm1(-np.exp(shapes) / scale * x)

    shape, height = _search(basis, [np.log(_BENDS)], y, weights)
    return np.array([height, float(np.exp(shape[0])) / scale])


def _logistic(x: Floats, y: Floats, weights: Floats) -> Floats:
    scale = float(np.abs(x).max())

    def basis(shapes: Floats) -> Floats:  # (shapes, 2) -> (shapes, points)
        return _sigmoid((x - scale * shapes[:, :1]) / (scale * np.exp(shapes[:, 1:])))

    shape, height = _search(basis, [_MIDDLES, np.log(_WIDTHS)], y, weights)
    return np.array([height, scale * shape[0], scale * float(np.exp(shape[1]))])


def _search(
    basis: Callable[[Floats], Floats], axes: Sequence[Floats], y: Floats, weights: Floats
) -> tuple[Floats, float]:
    """Shape parameters on ever finer grids; the height, in which the curve is linear, follows from each.

    Variable projection (Golub & Pereyra 1973): no starting values, no failure to converge, and the same answer
    each time. Shapes stay within the first grid.
    """
    ends = [(axis[0], axis[-1]) for axis in axes]
    steps = [float(axis[1] - axis[0]) for axis in axes]
    best: Floats = np.array([])
    height = 0.0
    for _ in range(_ZOOMS + 1):
        shapes = np.stack([it.ravel() for it in np.meshgrid(*axes, indexing="ij")], axis=1)
        rows = basis(shapes)
        squares = (rows * rows) @ weights
        heights = np.divide(
            rows @ (weights * y), squares, out=np.zeros_like(squares), where=squares > 0
        )
        misfit = ((y - heights[:, None] * rows) ** 2) @ weights
        place = int(np.argmin(misfit))
        best, height = shapes[place], float(heights[place])
        axes = [
            np.clip(value + step * np.linspace(-_REACH, _REACH, _ZOOM_POINTS), *end)
            for value, step, end in zip(best, steps, ends, strict=True)
        ]
        steps = [2 * _REACH * step / (_ZOOM_POINTS - 1) for step in steps]
    return best, height


def _sigmoid(z: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))  # never overflows


_FITTERS: dict[Name, Callable[[Floats, Floats, Floats], Floats]] = {
    "linear": _linear,
    "saturating": _saturating,
    "logistic": _logistic,
}
_CURVES: dict[Name, Callable[[Floats, Floats], Floats]] = {
    "linear": lambda x, it: it[0] + it[1] * x,
    "saturating": lambda x, it: -it[0] * np.expm1(-it[1] * x),
    "logistic": lambda x, it: it[0] * _sigmoid((x - it[1]) / it[2]),
}
_PARAMETERS: dict[Name, tuple[str, ...]] = {
    "linear": ("intercept", "slope"),
    "saturating": ("a", "b"),
    "logistic": ("a", "m", "s"),
}


def _named(name: Name, values: Floats) -> dict[str, float]:
    return dict(zip(_PARAMETERS[name], values.tolist(), strict=True))


def _left_out_errors(name: Name, x: Floats, y: Floats) -> Floats:
    """What each point is off the curve fitted to all others: (points,)."""
    errors = np.empty_like(y)
    for place in range(len(y)):
        others = np.arange(len(y)) != place
        found = _FITTERS[name](x[others], y[others], np.ones(len(y) - 1))
        errors[place] = y[place] - _CURVES[name](x[place : place + 1], found)[0]
    return errors


def _band(
    name: Name,
    x: Floats,
    y: Floats,
    runs: Sequence[str],
    grid: Floats,
    errors: Floats,
    resamples: int,
    seed: int,
) -> tuple[Floats, Floats, int]:
    """Low and high at each place of the grid, and how many runs were drawn as wholes (0: single points were)."""
    places = list(dict.fromkeys(runs))
    clusters = len(places) if len(places) >= FEWEST_CLUSTERS else 0
    unit = np.array([places.index(run) for run in runs]) if clusters else np.arange(len(x))
    count = int(unit.max()) + 1
    random = np.random.default_rng(seed)
    drawn = np.empty((resamples, len(grid)))
    for row in range(resamples):
        weights = np.zeros_like(x)
        while len(np.unique(x[weights > 0])) < FEWEST_DISTANCES:  # else no curve is determined
            times = np.bincount(random.integers(0, count, count), minlength=count)
            weights = times[unit].astype(np.float64)
        curve = _CURVES[name](grid, _FITTERS[name](x, y, weights))
        drawn[row] = curve + random.choice(errors, len(grid))
    drawn = np.clip(drawn, -1.0, 1.0)  # no accuracy can fall or rise further
    bounds = [percentiles(column, CONFIDENCE) for column in drawn.T]
    return np.array([it[0] for it in bounds]), np.array([it[1] for it in bounds]), clusters


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors * errors)))
