"""CKA of a probe read in minibatches, when not all features can be held at once.

HSIC1 is unbiased at any number of samples, so that of many batches may be summed; the CKA is one ratio of the
three sums (Nguyen et al. 2021, section 3). It is not the mean of the batches' CKA, which is biased. Fewer
pairs of samples are compared than by all at once, so the value scatters more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.analysis.cka import Grams, grams, similarity
from core.analysis.preprocessing import Floats

Separable = Literal["center", "row_normalise"]
"""Preprocessing that does not depend on which samples share a batch; "paper_5_4" does."""


class Minibatches:
    """Sums of HSIC1 over batches, for every layer of one model with every layer of another.

    Batches should be of one size: each counts the same.
    """

    def __init__(self, preprocessing: Separable = "center") -> None:
        self.n = 0
        """Samples so far."""
        self._preprocessing = preprocessing
        self._names: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._xy = self._xx = self._yy = np.zeros(0)

    def add(self, x: Mapping[str, NDArray[Any]], y: Mapping[str, NDArray[Any]]) -> None:
        """Take in the features, name -> (n, d), of one batch of at least four samples of both models.

        Raises:
            ValueError: other layers than before, or what `grams` and `similarity` refuse.
        """
        names = tuple(x), tuple(y)
        if self._names is None:
            self._names = names
            self._xy = np.zeros((len(x), len(y)))
            self._xx, self._yy = np.zeros(len(x)), np.zeros(len(y))
        elif names != self._names:
            raise ValueError(f"this batch has the layers {names}, earlier ones {self._names}")
        a, b = (grams(batch, preprocessing=self._preprocessing) for batch in (x, y))
        cosines, (left, right) = similarity(a, b), (_lengths(side) for side in (a, b))
        pairs = a.n * (a.n - 3)
        lengths = np.outer(left, right)
        self._xy += np.where(lengths == 0.0, 0.0, cosines * lengths) / pairs
        self._xx += np.square(left) / pairs
        self._yy += np.square(right) / pairs
        self.n += a.n

    def similarity(self) -> Floats:
        """Debiased CKA of the batches so far: (layers of x, layers of y); NaN where undefined.

        Raises:
            ValueError: no batch was taken in.
        """
        if self._names is None:
            raise ValueError("no batch was taken in")
        product = np.outer(self._xx, self._yy)
        return self._xy / np.sqrt(np.where(product > 0.0, product, np.nan))


def _lengths(side: Grams) -> Floats:
    """Norms in squared units of the features: 0 for a layer that tells no samples of the batch apart."""
    flat = np.isnan(side.norms) & np.isfinite(side.scales)
    lengths: Floats = np.where(flat, 0.0, side.norms * side.scales)
    return lengths
