"""What is done to a layer's features before their Gram matrix is made: centring, and what a person may add.

The working precision is the features' own: float32 features (the states of a network) stay float32, float64
ones float64. A value less the mean is rounded once, so a large offset costs nothing. The mean is off by the
rounding of its own sum; that shifts all samples alike, and centring the Gram, with sums in float64
(`core.analysis.cka`), removes it.

Where it departs from the paper: only "center" and "row_normalise" keep the invariance to rotation that the
paper cites; its own section 5.4 ("paper_5_4") scales every dimension to unit variance and loses it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Preprocessing = Literal["center", "row_normalise", "paper_5_4"]
Floats = NDArray[np.float64]
AnyFloats = NDArray[np.floating[Any]]

SMALLEST_N = 4
"""HSIC1 divides by n - 3."""

FLAT = 64 * float(np.finfo(np.float64).eps)
"""A dimension that varies by less than this share of its size is constant: what is left is rounding."""


def center(
    features: NDArray[Any],
    preprocessing: Preprocessing = "center",
    spare: AnyFloats | None = None,
) -> AnyFloats:
    """Features (n, d) with column means of zero, to the rounding of the mean; float32 stays float32.

    `spare` is an array that is no longer needed: the result takes its place if it fits, which saves the time
    to get memory for each layer anew.

    "row_normalise" first scales every sample to unit L2 norm (one of zero norm stays as it is), so that no
    sample weighs more than another. "paper_5_4" also scales every dimension to unit variance (ddof 0) and
    drops those that are constant, which gives up the invariance to rotation that the paper cites.

    Raises:
        ValueError: the array is not two-dimensional, or has fewer than four rows.
    """
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"features must be (samples, dimensions), not {features.shape}")
    if features.shape[0] < SMALLEST_N:
        raise ValueError(
            f"CKA needs at least {SMALLEST_N} samples; these features have {features.shape[0]}"
        )
    precision = precision_of(features)
    if preprocessing == "paper_5_4":
        return _standardised(features.astype(np.float64, copy=False)).astype(precision, copy=False)
    rows = features.astype(precision, copy=False)
    if preprocessing == "row_normalise":
        rows = _unit_rows(rows)
    fits = spare is not None and spare.shape == rows.shape and spare.dtype == rows.dtype
    centred: AnyFloats = np.subtract(rows, rows.mean(axis=0), out=spare if fits else None)
    return centred


def precision_of(features: NDArray[Any]) -> np.dtype[np.floating[Any]]:
    """The precision to work in: float32 for floats of that width or less, float64 for anything else."""
    narrow = np.issubdtype(features.dtype, np.floating) and features.dtype.itemsize <= 4
    return np.dtype(np.float32 if narrow else np.float64)


def _unit_rows(rows: AnyFloats) -> AnyFloats:
    largest = np.abs(rows).max(axis=1, keepdims=True)
    largest[largest == 0.0] = 1.0
    moderate = rows / largest  # squares of tiny or huge values stay representable
    norms = np.linalg.norm(moderate.astype(np.float64, copy=False), axis=1, keepdims=True)
    norms[norms == 0.0] = 1.0
    unit: AnyFloats = (moderate / norms).astype(rows.dtype, copy=False)
    return unit


def _standardised(rows: Floats) -> Floats:
    centred = rows - rows.mean(axis=0)
    centred -= centred.mean(axis=0)  # the first mean is rounded to the size of the offset
    varies = np.abs(centred).max(axis=0) > FLAT * np.abs(rows).max(axis=0)
    kept = centred[:, varies]
    scaled: Floats = kept / kept.std(axis=0)
    return scaled
