"""CKA of more samples than Gram matrices can be kept of: the Grams are made block by block, and let go.

Exact: the row sums and the diagonal of a Gram follow from the features alone, so each block of its rows is
centred as it is made, and blocks of two models are compared like those of kept Grams. The price is time, two
passes over the Grams instead of one for a comparison; memory is one block of rows of every layer.

`prepare` decides between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.analysis.cka import (
    Prepared,
    Variant,
    chance_of,
    grams,
    mirrored_squares,
    samples_of,
    scaled,
    shares,
    vanishes,
)
from core.analysis.preprocessing import AnyFloats, Floats, Preprocessing, center, precision_of

GRAM_BYTES = 2**30
"""Memory that the Grams of one model may take before they are streamed, if the features take less: 1 GiB.
37 layers in float32 reach it at 2,690 samples."""

BLOCK_BYTES = 2**26
"""Memory of one block of rows of all layers, in float64: 64 MiB."""


def prepare(
    features: Mapping[str, NDArray[Any]],
    *,
    variant: Variant = "debiased",
    preprocessing: Preprocessing = "center",
) -> Prepared:
    """Layers given as name -> (n, d), ready to be compared: their Grams, or their features where those are
    smaller and the Grams would take more than `GRAM_BYTES`.

    Values do not depend on the choice, and either kind can be compared with the other.

    Raises:
        ValueError: no layer, different numbers of samples, or what `center` refuses.
    """
    n = samples_of(features)
    precisions = [precision_of(array).itemsize for array in features.values()]
    needed = n * n * max(precisions) * len(precisions)
    kept = sum(array.size * size for array, size in zip(features.values(), precisions, strict=True))
    make = streamed if needed > max(GRAM_BYTES, kept) else grams
    return make(features, variant=variant, preprocessing=preprocessing)


@dataclass(frozen=True, eq=False)
class _Layer:
    """One layer: centred features, and of their Gram what centring it needs.

    `share` (n,) is taken off rows and columns and `mean` given back, as `shares` says.
    """

    centred: AnyFloats
    share: Floats
    mean: float


@dataclass(frozen=True, eq=False)
class Streamed:
    """`Prepared` layers whose Grams are made anew whenever they are looked at.

    Attributes:
        names: of the layers.
        layers: features and sums.
        norms: (layers,) as in `Prepared`.
        chance: (layers,) as in `Prepared`.
        n: samples.
        variant: the estimator.
    """

    names: tuple[str, ...]
    layers: tuple[_Layer, ...]
    norms: Floats
    chance: Floats
    n: int
    variant: Variant

    @property
    def block_rows(self) -> int:
        """As in `Prepared`."""
        return _rows_of(BLOCK_BYTES, self.n * len(self.layers))

    def block(self, start: int, stop: int) -> AnyFloats:
        """As in `Prepared`."""
        precision = np.result_type(*(layer.centred.dtype for layer in self.layers))
        rows: AnyFloats = np.empty((len(self.layers), stop - start, self.n - start), precision)
        for into, layer in zip(rows, self.layers, strict=True):
            into[...] = _centred_block(layer, start, stop, self.variant)
        return rows

    def gram(self, layer: int) -> AnyFloats:
        """As in `Prepared`."""
        return _centred_block(self.layers[layer], 0, self.n, self.variant)


def streamed(
    features: Mapping[str, NDArray[Any]],
    *,
    variant: Variant = "debiased",
    preprocessing: Preprocessing = "center",
) -> Streamed:
    """`Prepared` layers given as name -> (n, d), of which no Gram is kept.

    Raises:
        ValueError: no layer, different numbers of samples, or what `center` refuses.
    """
    n = samples_of(features)
    layers, norms, chance = zip(
        *(_layer(array, variant, preprocessing) for array in features.values()), strict=True
    )
    return Streamed(tuple(features), layers, np.array(norms), np.array(chance), n, variant)


def _layer(
    features: NDArray[Any], variant: Variant, preprocessing: Preprocessing
) -> tuple[_Layer, float, float]:
    """A layer, the norm of its centred Gram, and tr(K) / |K|."""
    with np.errstate(invalid="ignore", over="ignore"):
        centred, scale = scaled(center(features, preprocessing))
    if not np.isfinite(scale):
        nothing = np.zeros(len(centred))
        return _Layer(np.zeros_like(centred), nothing, 0.0), float("nan"), float("nan")
    own = np.einsum("ij,ij->i", centred, centred, dtype=np.float64)
    sums = np.einsum("ij,j->i", centred, centred.sum(axis=0, dtype=np.float64))
    layer = _Layer(centred, *shares(sums - own if variant == "debiased" else sums, variant))
    size = clean = 0.0
    height = _rows_of(BLOCK_BYTES, len(own))
    for start in range(0, len(own), height):
        stop = min(start + height, len(own))
        block = _raw_block(layer, start, stop)
        size += mirrored_squares(block)
        _centre_block(block, layer, start, variant)
        clean += mirrored_squares(block)
    norm = clean**0.5
    if vanishes(norm, size, centred.dtype):
        return layer, float("nan"), float("nan")
    return layer, norm, chance_of(float(own.sum()), size, sums)


def _centred_block(layer: _Layer, start: int, stop: int, variant: Variant) -> AnyFloats:
    """(stop - start, n - start): these rows of the centred Gram, from the diagonal on."""
    block = _raw_block(layer, start, stop)
    _centre_block(block, layer, start, variant)
    return block


def _raw_block(layer: _Layer, start: int, stop: int) -> AnyFloats:
    block: AnyFloats = layer.centred[start:stop] @ layer.centred[start:].T
    return block


def _centre_block(block: AnyFloats, layer: _Layer, start: int, variant: Variant) -> None:
    """Centre rows of a Gram from `start` on in place, as `centre_gram` does all of it."""
    block -= layer.share[start : start + len(block), None].astype(block.dtype)
    block -= (layer.share[start:] - layer.mean).astype(block.dtype)
    if variant == "debiased":
        np.fill_diagonal(block, 0.0)


def _rows_of(size: int, entries: int) -> int:
    return max(1, size // (entries * np.dtype(np.float64).itemsize))
