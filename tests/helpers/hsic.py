"""HSIC1 written out from the formula, as an oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def hsic1(k: NDArray[Any], m: NDArray[Any]) -> float:
    """Song et al. 2012, equation 5, term by term on uncentred Grams."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    total = (
        np.trace(k @ m)
        + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ m @ one)
    )
    return float(total / (n * (n - 3)))
