"""Linear centred kernel alignment (CKA) of layers, as arithmetic on arrays.

Both estimators are the cosine of two matrices: a layer's Gram matrix, centred (biased, the paper's section 4)
or U-centred (debiased: HSIC1 of Song et al. 2012, eq. 5; Nguyen et al. 2021, eq. 3), and scaled to norm one.
All pairs of layers of two models then cost one matrix product.

Not here: what is done to the features first (`core.analysis.preprocessing`), more samples than Grams can be
kept of (`core.analysis.streaming`), intervals (`core.analysis.jackknife`), and which inputs and tokens are
read and how a network is run (`core.stages.probe`).

Where it departs from the paper: the paper centres the Gram matrix of raw activations; centring the features
first is the same in exact arithmetic and survives large offsets in finite precision. The paper calls the
biased estimator unbiased; here it comes with the value that chance alone gives.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from core.analysis.preprocessing import SMALLEST_N as SMALLEST_N
from core.analysis.preprocessing import AnyFloats, Floats, Preprocessing, center, precision_of

Variant = Literal["biased", "debiased"]

SMALLEST_SEQUENCE = 8
"""Tokens a sequence must have left for its own CKA (methods.md B4)."""

SINK_RATIO = 10.0
"""A token whose norm exceeds this many times the sequence's median is an attention sink (methods.md B3)."""

VANISHED = {"float64": 1e-12, "float32": 1e-5}
"""A centred Gram below this share of what it was made from is rounding, and the CKA undefined."""

SAFE = 2.0**40
"""Grams whose largest entry lies outside 1 / SAFE .. SAFE are made again of scaled features."""

_BLOCK = (
    8192  # entries of one layer that are compared at once: all layers of two models fit the cache
)

_ROWS = 128  # of a Gram, converted to float64 at once


class Prepared(Protocol):
    """The layers of one model on one set of samples, ready to be compared.

    Every layer has a centred Gram, of any scale.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Of the layers."""

    @property
    def norms(self) -> Floats:
        """(layers,) Frobenius norms of the centred Grams; NaN where a layer does not tell its samples apart,
        or where its features are not finite: the CKA is then undefined."""

    @property
    def chance(self) -> Floats:
        """(layers,) tr(K) / |K| of the double-centred Gram: the square root of its participation ratio."""

    @property
    def n(self) -> int:
        """Samples."""

    @property
    def variant(self) -> Variant:
        """The estimator that the Grams serve."""

    @property
    def block_rows(self) -> int:
        """Rows of a block that are best taken at once."""

    def block(self, start: int, stop: int) -> AnyFloats:
        """(layers, stop - start, n - start): these rows of the Grams, from the diagonal on."""

    def gram(self, layer: int) -> AnyFloats:
        """(n, n) the whole Gram of one layer."""


@dataclass(frozen=True, eq=False)
class Grams:
    """`Prepared` layers whose Grams are kept.

    Attributes:
        names: of the layers.
        matrices: (layers, n, n) the centred Grams, in the precision of the features.
        norms: (layers,) as in `Prepared`.
        scales: (layers,) what takes a matrix to squared units of the features; NaN where those are not finite.
        chance: (layers,) as in `Prepared`.
        n: samples.
        variant: the estimator that `matrices` serve.
    """

    names: tuple[str, ...]
    matrices: AnyFloats
    norms: Floats
    scales: Floats
    chance: Floats
    n: int
    variant: Variant

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return int(self.matrices.nbytes + 3 * self.norms.nbytes)

    @property
    def block_rows(self) -> int:
        """As in `Prepared`."""
        return max(1, _BLOCK // self.n)

    def block(self, start: int, stop: int) -> AnyFloats:
        """As in `Prepared`; a view."""
        return self.matrices[:, start:stop, start:]

    def gram(self, layer: int) -> AnyFloats:
        """As in `Prepared`; a view."""
        matrix: AnyFloats = self.matrices[layer]
        return matrix


def grams(
    features: Mapping[str, NDArray[Any]],
    *,
    variant: Variant = "debiased",
    preprocessing: Preprocessing = "center",
) -> Grams:
    """The centred Grams of layers given as name -> (n, d); d may differ between layers.

    Raises:
        ValueError: no layer, different numbers of samples, or what `center` refuses.
    """
    n = samples_of(features)
    precision = np.result_type(*(precision_of(array) for array in features.values()))
    matrices: AnyFloats = np.empty((len(features), n, n), dtype=precision)
    scales, norms, chance = np.full((3, len(features)), np.nan)
    centred: AnyFloats | None = None
    for layer, array in enumerate(features.values()):
        with np.errstate(invalid="ignore", over="ignore"):
            centred = center(array, preprocessing, spare=centred)
        scales[layer] = _write(matrices[layer], centred.astype(precision, copy=False))
        if np.isfinite(scales[layer]):
            norms[layer], chance[layer] = _centre(matrices[layer], variant)
    return Grams(tuple(features), matrices, norms, scales, chance, n, variant)


def samples_of(features: Mapping[str, NDArray[Any]]) -> int:
    """How many samples all the layers have.

    Raises:
        ValueError: no layer, or different numbers of samples.
    """
    if not features:
        raise ValueError("there is no layer to compare")
    counts = {array.shape[0] for array in features.values()}
    if len(counts) != 1:
        raise ValueError(f"layers have different numbers of samples: {sorted(counts)}")
    return int(counts.pop())


def _write(matrix: AnyFloats, centred: AnyFloats) -> float:
    """Write the Gram of centred features into `matrix`, and return its scale; NaN if it has none."""
    with np.errstate(invalid="ignore", over="ignore"):
        np.matmul(centred, centred.T, out=matrix)
        if 1 / SAFE <= np.diagonal(matrix).max() <= SAFE:
            return 1.0
    moderate, scale = scaled(centred)
    if np.isfinite(scale):
        np.matmul(moderate, moderate.T, out=matrix)
    else:
        matrix.fill(np.nan)
    return scale


def scaled(centred: AnyFloats) -> tuple[AnyFloats, float]:
    """Features of about 1 at most, by a power of two, and what takes their Gram back to the old units.

    The latter is NaN where some value is not finite.
    """
    largest = np.float64(np.abs(centred).max(initial=0.0))
    if not np.isfinite(largest):
        return centred, float("nan")
    exponent = np.frexp(largest)[1]
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(centred, -exponent), float(np.ldexp(np.float64(1.0), 2 * exponent))


def _centre(matrix: AnyFloats, variant: Variant) -> tuple[float, float]:
    """Centre a Gram in place; its norm afterwards, and tr(K) / |K|. NaN where it vanishes."""
    sums = matrix.sum(axis=1, dtype=np.float64)
    trace = float(np.trace(matrix, dtype=np.float64))
    size = float(np.einsum("ij,ij->i", matrix, matrix).sum(dtype=np.float64))
    centre_gram(matrix, sums, variant)
    norm = 0.0
    for start in range(0, len(matrix), _ROWS):
        norm += mirrored_squares(matrix[start : start + _ROWS, start:])
    norm **= 0.5
    if vanishes(norm, size, matrix.dtype):
        return float("nan"), float("nan")
    return norm, chance_of(trace, size, sums)


def mirrored_squares(block: AnyFloats) -> float:
    """Sum of squares of rows of a symmetric matrix, from its diagonal on, and of their mirror image."""
    exact = block.astype(np.float64, copy=False)
    corner = exact[:, : len(exact)]
    rows, twice = (np.einsum("ij,ij->i", part, part).sum() for part in (exact, corner))
    return float(2.0 * rows - twice)


def vanishes(norm: float, size: float, precision: np.dtype[np.floating[Any]]) -> bool:
    """Whether a centred Gram of this norm, made from one whose squares sum to `size`, is rounding."""
    return bool(norm <= VANISHED[precision.name] * size**0.5)


def chance_of(trace: float, size: float, sums: Floats) -> float:
    """tr(K) / |K| of a Gram once double-centred, from its trace, sum of squares and row sums before."""
    n, total = len(sums), float(sums.sum())
    squared = size - 2.0 * float(np.square(sums).sum()) / n + (total / n) ** 2
    return (trace - total / n) / squared**0.5 if squared > 0.0 else float("nan")


def centre_gram(gram: AnyFloats, sums: Floats, variant: Variant) -> None:
    """Centre a Gram (n, n), whose row sums are `sums`, in place: afterwards its rows sum to zero.

    Biased: double centring. Debiased: U-centring, which also clears the diagonal (Szekely and Rizzo 2014); the
    cosine of two matrices so treated is the debiased CKA.
    """
    if variant == "debiased":
        sums = sums - np.diagonal(gram)
        np.fill_diagonal(gram, 0.0)
    share, mean = shares(sums, variant)
    gram -= share.astype(gram.dtype)[:, None]
    gram -= (share - mean).astype(gram.dtype)
    if variant == "debiased":
        np.fill_diagonal(gram, 0.0)


def shares(sums: Floats, variant: Variant) -> tuple[Floats, float]:
    """What centring takes off each row and column, and what it gives back to every entry.

    `sums` are the row sums, without the diagonal when debiased.
    """
    n = len(sums)
    if variant == "biased":
        return sums / n, float(sums.sum() / n**2)
    return sums / (n - 2), float(sums.sum() / ((n - 1) * (n - 2)))


def similarity(a: Prepared, b: Prepared) -> Floats:
    """CKA of every layer of `a` with every layer of `b`: (layers of a, layers of b).

    Values are as computed: debiased ones can be negative, and NaN means undefined.

    Raises:
        ValueError: different samples or different estimators.
    """
    comparable(a, b)
    total = np.zeros((len(a.names), len(b.names)))
    height = max(a.block_rows, b.block_rows)
    for start in range(0, a.n, height):
        stop = min(start + height, a.n)
        left = np.array(a.block(start, stop), dtype=np.float64, order="C")
        right = np.array(b.block(start, stop), dtype=np.float64, order="C")
        left[:, :, : stop - start] *= 0.5  # all others stand for their mirror image too
        total += left.reshape(len(left), -1) @ right.reshape(len(right), -1).T
    return 2.0 * total / np.outer(a.norms, b.norms)


def null_floor(a: Prepared, b: Prepared) -> Floats:
    """The mean of `similarity` over all random re-pairings of the samples: (layers of a, layers of b).

    Closed form: tr(K) tr(L) / ((n - 1) |K| |L|) for the biased estimator, exactly 0 for the debiased one.
    """
    comparable(a, b)
    product = np.outer(a.chance, b.chance)
    floor: Floats = product / (a.n - 1) if a.variant == "biased" else product * 0.0
    return floor


def adjusted(values: Floats, floor: Floats) -> Floats:
    """CKA beyond chance: (CKA - floor) / (1 - floor), which is 0 where chance alone explains it and 1 at most.

    Debiased values, whose floor is 0, stay as they are. NaN where chance alone gives 1 (`floor` from
    `null_floor`, of the same shape).
    """
    room = 1.0 - floor
    return (values - floor) / np.where(room > 0.0, room, np.nan)


def comparable(a: Prepared, b: Prepared) -> None:
    """See that two models were read on as many samples, and for the same estimator.

    Raises:
        ValueError: they were not.
    """
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
