"""Linear centred kernel alignment (CKA) of layers, as arithmetic on arrays.

Both estimators are the cosine of two vectors: a layer's Gram matrix, centred (biased, the paper's section 4)
or U-centred (debiased: HSIC1 of Song et al. 2012, eq. 5; Nguyen et al. 2021, eq. 3), laid out as a row and
scaled to length one. All pairs of layers of two models then cost one matrix product.

Not here: which inputs and tokens are read, and running the network (`core.stages.probe`).

Where it departs from the paper: the paper centres the Gram matrix of raw activations; centring the features
first is the same in exact arithmetic and survives large offsets in finite precision. The paper calls the
biased estimator unbiased; here it comes with the value that chance alone gives.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Variant = Literal["biased", "debiased"]
Preprocessing = Literal["center", "paper_5_4"]
Floats = NDArray[np.float64]
AnyFloats = NDArray[np.floating[Any]]

SMALLEST_N = 4
"""HSIC1 divides by n - 3."""

SMALLEST_SEQUENCE = 8
"""Tokens a sequence must have left for its own CKA (methods.md B4)."""

SINK_RATIO = 10.0
"""A token whose norm exceeds this many times the sequence's median is an attention sink (methods.md B3)."""

FLOAT64_UP_TO = 2048
"""Grams of more samples than this are computed and kept in float32; means and sums stay float64."""

FLAT = 64 * float(np.finfo(np.float64).eps)
"""A dimension that varies by less than this share of its size is constant: what is left is rounding."""

VANISHED = {"float64": 1e-12, "float32": 1e-5}
"""A centred Gram below this share of what it was made from is rounding, and the CKA undefined."""

ROOT_2 = 2.0**0.5
"""Weight of an entry above the diagonal, which stands for its mirror image too; a Python float keeps float32."""

_BLOCK = 65536  # columns reduced at once: bounds the float64 copy of float32 Grams


@dataclass(frozen=True, eq=False)
class Grams:
    """The layers of one model on one set of samples, ready to be compared.

    Attributes:
        names: of the layers.
        rows: (layers, m) one unit vector a layer; NaN where the layer does not tell its samples apart, or
            where its features are not finite.
        chance: (layers,) tr(K) / |K| of the centred Gram: the square root of its participation ratio.
        n: samples.
        variant: the estimator that `rows` serve.
    """

    names: tuple[str, ...]
    rows: AnyFloats
    chance: Floats
    n: int
    variant: Variant

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.rows.nbytes + self.chance.nbytes)


def center(features: NDArray[Any], preprocessing: Preprocessing = "center") -> Floats:
    """Features (n, d) with zero column means, in float64.

    "paper_5_4" also scales every dimension to unit variance (ddof 0) and drops those that are constant, which
    gives up the invariance to rotation that the paper cites.

    Raises:
        ValueError: the array is not two-dimensional, or has fewer than four rows.
    """
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"features must be (samples, dimensions), not {features.shape}")
    if features.shape[0] < SMALLEST_N:
        raise ValueError(
            f"CKA needs at least {SMALLEST_N} samples; these features have {features.shape[0]}"
        )
    exact = np.asarray(features, dtype=np.float64)
    centred: Floats = exact - exact.mean(axis=0)
    centred -= centred.mean(axis=0)  # the first mean is rounded to the size of the offset
    constant = np.abs(centred).max(axis=0) <= FLAT * np.abs(exact).max(axis=0)
    if preprocessing == "paper_5_4":
        centred = centred[:, ~constant]
        scaled: Floats = centred / centred.std(axis=0)
        return scaled
    centred[:, constant] = 0.0
    return centred


def grams(
    features: Mapping[str, NDArray[Any]],
    *,
    variant: Variant = "debiased",
    preprocessing: Preprocessing = "center",
) -> Grams:
    """The normalised centred Grams of layers given as name -> (n, d); d may differ between layers.

    Raises:
        ValueError: no layer, different numbers of samples, or what `center` refuses.
    """
    if not features:
        raise ValueError("there is no layer to compare")
    counts = {array.shape[0] for array in features.values()}
    if len(counts) != 1:
        raise ValueError(f"layers have different numbers of samples: {sorted(counts)}")
    n = counts.pop()
    rows, chance = zip(
        *(_row(center(_finite(array), preprocessing), variant) for array in features.values()),
        strict=True,
    )
    return Grams(tuple(features), np.stack(rows), np.array(chance), n, variant)


def _finite(features: NDArray[Any]) -> NDArray[Any]:
    """The features, or zeros (whose CKA is undefined) when some value is not finite."""
    return features if np.isfinite(features).all() else np.zeros_like(features)


def _row(centred: Floats, variant: Variant) -> tuple[AnyFloats, float]:
    """One Gram as a unit vector, and its tr(K) / |K|; NaN for both where it vanishes."""
    n = centred.shape[0]
    precision = np.dtype(np.float64 if n <= FLOAT64_UP_TO else np.float32)
    largest = np.abs(centred).max(initial=0.0)
    if largest > 0.0:
        centred = centred / largest  # squares of tiny or huge features stay representable
    narrow: AnyFloats = centred.astype(precision, copy=False)
    gram: AnyFloats = narrow @ narrow.T
    size = _norm(gram)
    above = np.triu_indices(n, 1)
    if variant == "debiased":
        u_centre(gram)
        row = gram[above] * ROOT_2
    else:
        row = np.concatenate([np.diagonal(gram), gram[above] * ROOT_2])
    length = _norm(row)
    if length <= VANISHED[precision.name] * size:
        return np.full_like(row, np.nan), float("nan")
    row /= length
    return row, float(np.square(centred).sum()) / size


def _norm(array: AnyFloats) -> float:
    return float(np.sqrt(np.square(array, dtype=np.float64).sum()))


def u_centre(gram: AnyFloats) -> None:
    """U-centre a Gram (n, n) in place: zero diagonal, rows that sum to zero (Szekely and Rizzo 2014).

    The cosine of two matrices so treated is the debiased CKA.
    """
    n = gram.shape[0]
    np.fill_diagonal(gram, 0.0)
    sums = gram.sum(axis=1, dtype=np.float64)
    share = (sums / (n - 2)).astype(gram.dtype)
    gram -= share[:, None]
    gram -= share[None, :]
    gram += gram.dtype.type(sums.sum() / ((n - 1) * (n - 2)))
    np.fill_diagonal(gram, 0.0)


def similarity(a: Grams, b: Grams) -> Floats:
    """CKA of every layer of `a` with every layer of `b`: (layers of a, layers of b).

    Values are as computed: debiased ones can be negative, and NaN means undefined.

    Raises:
        ValueError: different samples or different estimators.
    """
    _comparable(a, b)
    total = np.zeros((len(a.names), len(b.names)))
    for start in range(0, a.rows.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        total += a.rows[:, block].astype(np.float64) @ b.rows[:, block].astype(np.float64).T
    return total


def null_floor(a: Grams, b: Grams) -> Floats:
    """The mean of `similarity` over all random re-pairings of the samples: (layers of a, layers of b).

    Closed form: tr(K) tr(L) / ((n - 1) |K| |L|) for the biased estimator, exactly 0 for the debiased one.
    """
    _comparable(a, b)
    product = np.outer(a.chance, b.chance)
    floor: Floats = product / (a.n - 1) if a.variant == "biased" else product * 0.0
    return floor


def _comparable(a: Grams, b: Grams) -> None:
    if a.n != b.n:
        raise ValueError(f"cannot compare {a.n} samples with {b.n}")
    if a.variant != b.variant:
        raise ValueError(f"cannot compare the {a.variant} estimator with the {b.variant} one")


def cka(
    x: NDArray[Any],
    y: NDArray[Any],
    *,
    variant: Variant = "debiased",
    preprocessing: Preprocessing = "center",
) -> float:
    """CKA of two feature arrays (n, d1) and (n, d2) whose rows are the same samples.

    Raises:
        ValueError: what `grams` and `similarity` refuse.
    """
    a = grams({"x": x}, variant=variant, preprocessing=preprocessing)
    b = grams({"y": y}, variant=variant, preprocessing=preprocessing)
    return float(similarity(a, b)[0, 0])


def kept_tokens(layers: Iterable[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which tokens of one sequence are no sinks: (T,) from layers of (T, d), of one or of two models.

    The first token always goes, and any whose norm in some layer exceeds `SINK_RATIO` times that layer's
    median: one such token can make any two trajectories look alike (methods.md B3). The same tokens are kept
    in every layer, so that all layers compare the same rows.

    Raises:
        ValueError: no layer, or layers of different lengths.
    """
    kept: NDArray[np.bool_] | None = None
    for layer in layers:
        norms = np.linalg.norm(layer.astype(np.float64), axis=1)
        usual = norms <= SINK_RATIO * np.median(norms)
        if kept is not None and kept.shape != usual.shape:
            raise ValueError(f"layers have {kept.size} and {usual.size} tokens")
        kept = usual if kept is None else kept & usual
    if kept is None or not kept.size:
        raise ValueError("there is no token to look at")
    kept[0] = False
    return kept


@dataclass(frozen=True, eq=False)
class OverSequences:
    """Per-sequence values summed up; sequences where a value is undefined do not count for it."""

    mean: Floats
    median: Floats
    iqr: Floats
    n: int


def over_sequences(values: Sequence[Floats]) -> OverSequences:
    """Mean, median and inter-quartile range over sequences; NaN where no sequence has a value.

    Raises:
        ValueError: no sequence.
    """
    if not values:
        raise ValueError("there is no sequence to sum up")
    stacked = np.stack(values)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        low, median, high = np.nanpercentile(stacked, [25, 50, 75], axis=0)
        mean = np.nanmean(stacked, axis=0)
    return OverSequences(mean, median, high - low, len(values))
