"""Preprocessing of features: what it makes of them, and which invariances of CKA it keeps."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analysis.cka import cka
from core.analysis.preprocessing import center


def _features(n: int = 40, d: int = 30) -> NDArray[np.float64]:
    random = np.random.default_rng(0)
    return random.normal(size=(n, d)) * np.geomspace(30.0, 0.1, d) + random.normal(size=d)


def _rotation(d: int) -> NDArray[np.float64]:
    return np.asarray(np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0])


def test_that_paper_preprocessing_standardises_and_drops_constant_dimensions() -> None:
    x = _features()
    wide = np.hstack([x * np.linspace(0.01, 100, x.shape[1]), np.full((len(x), 1), 0.1)])
    z = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(center(wide, "paper_5_4"), z, atol=1e-10)
    narrow = center(wide.astype(np.float32), "paper_5_4")
    assert narrow.dtype == np.float32
    np.testing.assert_allclose(narrow, z, atol=1e-5)


def test_that_row_normalising_gives_unit_rows_before_centring() -> None:
    x = _features()
    x[3] = 0.0
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    np.testing.assert_allclose(center(x, "row_normalise"), unit - unit.mean(0), atol=1e-14)
    for factor in (1e-30, 1e30):
        tiny = (x * factor).astype(np.float32)
        np.testing.assert_allclose(
            center(tiny, "row_normalise"), center(x, "row_normalise"), atol=1e-5
        )


@pytest.mark.parametrize("preprocessing", ["center", "row_normalise"])
@pytest.mark.parametrize("variant", ["biased", "debiased"])
def test_that_rotation_and_scale_change_nothing_without_standardising(
    preprocessing: Literal["center", "row_normalise"], variant: Literal["biased", "debiased"]
) -> None:
    x = _features()
    moved = 7.5 * x @ _rotation(x.shape[1])
    found = cka(x, moved, preprocessing=preprocessing, variant=variant)
    assert found == pytest.approx(1.0, abs=1e-10)


def test_that_the_papers_standardising_loses_the_invariance_to_rotation() -> None:
    x = _features()
    moved = x @ _rotation(x.shape[1])
    assert cka(x, moved, preprocessing="paper_5_4") < 0.5
    assert cka(x, 7.5 * x + 3.0, preprocessing="paper_5_4") == pytest.approx(1.0, abs=1e-10)


def test_that_row_normalising_takes_the_weight_off_a_single_loud_sample() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 100, 20))
    x[5] *= 50
    y[5] *= 50
    assert cka(x, y, variant="biased") > 0.8
    assert cka(x, y, variant="biased", preprocessing="row_normalise") < 0.3
