"""Streamed CKA: equal to that of kept Grams, and chosen when those would take too much memory."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analysis import streaming as module
from core.analysis.cka import Grams, cka, grams, null_floor, similarity
from core.analysis.jackknife import interval
from core.analysis.streaming import Streamed, prepare, streamed

VARIANTS: tuple[Literal["biased", "debiased"], ...] = ("biased", "debiased")
PREPROCESSINGS: tuple[Literal["center", "row_normalise", "paper_5_4"], ...] = (
    "center",
    "row_normalise",
    "paper_5_4",
)


def _layers(seed: int, n: int = 61, dtype: type = np.float64) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    signal = np.random.default_rng(0).normal(size=(n, 8))
    return {
        f"layer_{width}": (
            signal @ random.normal(size=(8, width)) + random.normal(size=(n, width)) + 50.0
        ).astype(dtype)
        for width in (9, 20, 33)
    }


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 61 * 3 * 10)  # ten rows of three layers


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_that_streaming_equals_kept_grams(
    variant: Literal["biased", "debiased"],
    preprocessing: Literal["center", "row_normalise", "paper_5_4"],
) -> None:
    x, y = _layers(1), _layers(2)
    kept = [grams(side, variant=variant, preprocessing=preprocessing) for side in (x, y)]
    flow = [streamed(side, variant=variant, preprocessing=preprocessing) for side in (x, y)]
    assert flow[0].block_rows == 10
    truth = similarity(*kept)
    np.testing.assert_allclose(similarity(*flow), truth, rtol=0, atol=1e-12)
    np.testing.assert_allclose(similarity(kept[0], flow[1]), truth, rtol=0, atol=1e-12)
    np.testing.assert_allclose(similarity(flow[0], kept[1]), truth, rtol=0, atol=1e-12)
    np.testing.assert_allclose(null_floor(*flow), null_floor(*kept), rtol=0, atol=1e-12)
    assert truth[0, 0] == pytest.approx(
        cka(x["layer_9"], y["layer_9"], variant=variant, preprocessing=preprocessing), abs=1e-12
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_that_intervals_of_streamed_layers_equal_those_of_kept_grams(
    variant: Literal["biased", "debiased"],
) -> None:
    x, y = _layers(1), _layers(2)
    kept = interval(grams(x, variant=variant), grams(y, variant=variant))
    flow = interval(streamed(x, variant=variant), streamed(y, variant=variant))
    np.testing.assert_allclose(flow.low, kept.low, atol=1e-12)
    np.testing.assert_allclose(flow.high, kept.high, atol=1e-12)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("variant", VARIANTS)
def test_that_streaming_float32_with_an_offset_stays_right(
    variant: Literal["biased", "debiased"],
) -> None:
    x, y = _layers(1), _layers(2)
    truth = similarity(grams(x, variant=variant), grams(y, variant=variant))
    moved = [
        {name: (layer + 1e3).astype(np.float32) for name, layer in side.items()} for side in (x, y)
    ]
    found = similarity(*(streamed(side, variant=variant) for side in moved))
    np.testing.assert_allclose(found, truth, atol=1e-4)


def test_that_streamed_layers_without_structure_are_undefined() -> None:
    x = _layers(1)
    broken = {"same": np.full((61, 3), 7.7), "nan": x["layer_9"] * np.nan, "fine": x["layer_9"]}
    found = similarity(streamed(broken), streamed({"x": x["layer_9"]}))
    assert np.isnan(found).ravel().tolist() == [True, True, False]
    assert np.isnan(null_floor(streamed(broken), grams({"x": x["layer_9"]}))[:2]).all()


def test_that_grams_are_kept_until_they_take_more_than_their_limit_and_their_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = _layers(1)
    needed = 61 * 61 * 8 * 3
    monkeypatch.setattr(module, "GRAM_BYTES", needed)
    assert isinstance(prepare(x), Grams)
    monkeypatch.setattr(module, "GRAM_BYTES", needed - 1)
    chosen = prepare(x, variant="biased", preprocessing="row_normalise")
    assert isinstance(chosen, Streamed)
    expected = grams(x, variant="biased", preprocessing="row_normalise")
    np.testing.assert_allclose(similarity(chosen, expected), similarity(expected, expected))
    wide = {"wide": np.random.default_rng(0).normal(size=(61, 70))}
    monkeypatch.setattr(module, "GRAM_BYTES", 1)
    assert isinstance(prepare(wide), Grams)
    with pytest.raises(ValueError, match="no layer"):
        prepare({})
