"""CKA against independent oracles, its invariances, and what it refuses."""

from __future__ import annotations

from itertools import permutations
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm, compare

from core.analysis import cka as module
from core.analysis.cka import (
    SINK_RATIO,
    adjusted,
    centre_gram,
    cka,
    grams,
    kept_tokens,
    null_floor,
    over_sequences,
    similarity,
)
from tests.helpers.hsic import hsic1

VARIANTS: tuple[Literal["biased", "debiased"], ...] = ("biased", "debiased")


def _pair(n: int = 23, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 17)) + 3.0
    return x, x[:, :9] @ random.normal(size=(9, 31)) + random.normal(size=(n, 31))


def _debiased(x: NDArray[Any], y: NDArray[Any]) -> float:
    k, m = x @ x.T, y @ y.T
    return hsic1(k, m) / np.sqrt(hsic1(k, k) * hsic1(m, m))


def _paper(x: NDArray[Any], y: NDArray[Any]) -> float:
    """The paper's section 4.3, step by step, on the raw Grams."""
    return _paper_on_grams(x @ x.T, y @ y.T)


def _paper_on_grams(k: NDArray[Any], m: NDArray[Any]) -> float:
    n = len(k)
    c = np.eye(n) - 1 / n
    k, m = c @ k @ c, c @ m @ c
    return float(np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m)))


@pytest.mark.parametrize("n", [4, 5, 23, 97])
def test_that_biased_cka_equals_rsatoolbox(n: int) -> None:
    x, y = _pair(n, seed=n)
    rdms = [calc_rdm(Dataset(array), method="euclidean") for array in (x, y)]
    oracle = compare(*rdms, method="cosine_cov")[0, 0]
    assert cka(x, y, variant="biased") == pytest.approx(oracle, abs=1e-10)


def test_that_biased_cka_equals_the_papers_six_steps() -> None:
    x, y = _pair()
    assert cka(x, y, variant="biased") == pytest.approx(_paper(x, y), abs=1e-10)


@pytest.mark.parametrize("n", [4, 5, 23, 97])
def test_that_debiased_cka_equals_directhsic1(n: int) -> None:
    x, y = _pair(n, seed=n)
    assert cka(x, y, variant="debiased") == pytest.approx(_debiased(x, y), abs=1e-10)


def test_that_all_pairs_equal_single_pairs_and_keep_their_order() -> None:
    x, y = _pair()
    a = grams({"p": x, "q": y, "r": x**2}, variant="debiased")
    b = grams({"s": y**2, "t": x}, variant="debiased")
    table = similarity(a, b)
    assert table.shape == (3, 2)
    for i, left in enumerate((x, y, x**2)):
        for j, right in enumerate((y**2, x)):
            assert table[i, j] == pytest.approx(cka(left, right), abs=1e-12)
    assert a.names == ("p", "q", "r")
    assert a.nbytes > 0


_features = hnp.arrays(
    np.float64,
    st.tuples(st.integers(4, 12), st.integers(2, 6)),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


@settings(max_examples=60, deadline=None)
@given(_features, st.integers(0, 2**32 - 1), st.floats(1e-12, 1e12), st.sampled_from(VARIANTS))
def test_that_cka_with_itself_is_one_and_unmoved_by_rotation_shift_and_scale(
    x: NDArray[Any], seed: int, scale: float, variant: Literal["biased", "debiased"]
) -> None:
    random = np.random.default_rng(seed)
    x = x + random.normal(size=x.shape)  # general position: otherwise it may be undefined
    if len(x) == 4 and variant == "debiased":
        x = np.vstack([x, random.normal(size=(1, x.shape[1]))])
    rotation, _ = np.linalg.qr(random.normal(size=(x.shape[1], x.shape[1])))
    y = random.normal(size=(len(x), 5))
    assert cka(x, x, variant=variant) == pytest.approx(1.0, abs=1e-12)
    moved = scale * (x @ rotation) + scale * random.normal(size=x.shape[1])
    assert cka(moved, y, variant=variant) == pytest.approx(cka(x, y, variant=variant), abs=1e-7)


@pytest.mark.parametrize("variant", VARIANTS)
def test_that_a_common_reordering_of_samples_changes_nothing_and_a_lone_one_does(
    variant: Literal["biased", "debiased"],
) -> None:
    x, y = _pair()
    order = np.random.default_rng(1).permutation(len(x))
    assert cka(x[order], y[order], variant=variant) == pytest.approx(cka(x, y, variant=variant))
    assert abs(cka(x[order], y, variant=variant) - cka(x, y, variant=variant)) > 0.05


@pytest.mark.parametrize("variant", VARIANTS)
def test_that_the_null_floor_is_the_mean_over_permutations(
    variant: Literal["biased", "debiased"],
) -> None:
    x, y = _pair(12)
    a, b = grams({"x": x}, variant=variant), grams({"y": y}, variant=variant)
    random = np.random.default_rng(0)
    seen = [
        similarity(grams({"x": x[random.permutation(len(x))]}, variant=variant), b)[0, 0]
        for _ in range(2000)
    ]
    error = np.std(seen) / np.sqrt(len(seen))
    assert null_floor(a, b)[0, 0] == pytest.approx(np.mean(seen), abs=4 * error)
    assert error < 0.006


def test_that_the_null_floor_of_few_samples_is_exact_over_every_permutation() -> None:
    x, y = _pair(5, seed=3)
    b = grams({"y": y}, variant="biased")
    every = [
        similarity(grams({"x": x[list(order)]}, variant="biased"), b)[0, 0]
        for order in permutations(range(5))
    ]
    floor = null_floor(grams({"x": x}, variant="biased"), b)[0, 0]
    assert floor == pytest.approx(np.mean(every), abs=1e-12)


def test_that_independent_features_show_the_bias_only_in_the_biased_estimator() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 60, 400))
    assert cka(x, y, variant="biased") == pytest.approx(400 / 460, abs=0.02)
    assert abs(cka(x, y, variant="debiased")) < 0.05


def test_that_debiased_values_below_zero_are_shown() -> None:
    random = np.random.default_rng(0)
    values = [cka(*random.normal(size=(2, 6, 3))) for _ in range(40)]
    assert min(values) < -0.1


@pytest.mark.parametrize("variant", VARIANTS)
def test_that_a_large_offset_in_float32_does_not_hide_the_structure(
    variant: Literal["biased", "debiased"],
) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(97, 256))
    y = x + 0.3 * random.normal(size=x.shape)
    truth = cka(x, y, variant=variant)
    offset = (x + 1e3).astype(np.float32), (y - 1e3).astype(np.float32)
    assert cka(*offset, variant=variant) == pytest.approx(truth, abs=1e-4)
    naive = [array @ array.T for array in offset]  # what must not be centred: float32 of raw values
    assert abs(_paper_on_grams(*naive) - cka(x, y, variant="biased")) > 0.01


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("preprocessing", ["center", "row_normalise", "paper_5_4"])
def test_that_equal_vectors_leave_cka_undefined(
    variant: Literal["biased", "debiased"],
    preprocessing: Literal["center", "row_normalise", "paper_5_4"],
) -> None:
    x, _ = _pair()
    same = np.tile(np.array([0.1, 1e4, -3.3e-5], dtype=np.float32), (len(x), 1))
    a = grams({"same": same, "x": x}, variant=variant, preprocessing=preprocessing)
    table = similarity(a, a)
    np.testing.assert_array_equal(np.isnan(table), [[True, True], [True, False]])
    assert np.isnan(null_floor(a, a)).tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_that_a_layer_with_values_that_are_not_finite_is_undefined_and_others_are_not(
    bad: float,
) -> None:
    x, y = _pair()
    broken = x.copy()
    broken[3, 2] = bad
    table = similarity(grams({"broken": broken, "y": y}), grams({"x": x}))
    assert np.isnan(table).tolist() == [[True], [False]]


def test_that_equidistant_samples_leave_only_the_debiased_estimator_undefined() -> None:
    x = np.eye(6) * 0.7
    assert cka(x, x, variant="biased") == pytest.approx(1.0)
    assert np.isnan(cka(x, x, variant="debiased"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_that_rows_of_centred_grams_sum_to_zero(variant: Literal["biased", "debiased"]) -> None:
    x, _ = _pair()
    gram = x @ x.T
    centre_gram(gram, gram.sum(axis=1), variant)
    np.testing.assert_allclose(gram.sum(axis=1), 0, atol=1e-9)
    if variant == "debiased":
        np.testing.assert_array_equal(np.diag(gram), 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_that_narrow_features_give_narrow_grams_that_agree_with_float64(
    dtype: type[np.floating[Any]],
) -> None:
    x, y = (array.astype(dtype) for array in _pair(60))
    for variant in VARIANTS:
        truth = cka(x.astype(np.float64), y.astype(np.float64), variant=variant)
        a, b = grams({"x": x}, variant=variant), grams({"y": y}, variant=variant)
        assert a.matrices.dtype == np.float32
        assert similarity(a, b)[0, 0] == pytest.approx(truth, abs=1e-6)
        assert similarity(a, a)[0, 0] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("factor", [1e-25, 1e25])
def test_that_float32_features_whose_squares_are_not_representable_are_compared_all_the_same(
    factor: float, variant: Literal["biased", "debiased"]
) -> None:
    x, y = (array.astype(np.float32) for array in _pair())
    moved = x * np.float32(factor)
    assert cka(moved, y, variant=variant) == pytest.approx(cka(x, y, variant=variant), abs=1e-5)


def test_that_blocks_of_samples_do_not_change_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = _pair(30)
    a, b = grams({"x": x, "y": y}), grams({"z": y**2, "x": x})
    whole = similarity(a, b)
    monkeypatch.setattr(module, "_BLOCK", 100)  # three rows at a time
    np.testing.assert_allclose(similarity(a, b), whole, atol=1e-14)


def test_that_adjusting_takes_chance_away_and_keeps_one_and_debiased_values() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 60, 400))
    a, b = (grams({"l": array}, variant="biased") for array in (x, y))
    raw, floor = similarity(a, b), null_floor(a, b)
    assert raw[0, 0] > 0.8
    assert abs(adjusted(raw, floor)[0, 0]) < 0.05
    assert adjusted(similarity(a, a), null_floor(a, a))[0, 0] == pytest.approx(1.0, abs=1e-12)
    c, d = grams({"l": x}), grams({"l": y})
    assert adjusted(similarity(c, d), null_floor(c, d)) == pytest.approx(similarity(c, d))


def test_that_adjusting_is_undefined_where_chance_alone_gives_one() -> None:
    assert np.isnan(adjusted(np.array([0.9, np.nan]), np.array([1.0, 0.2]))).all()


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.ones((3, 5)), "at least 4 samples"),
        (np.ones(8), r"\(samples, dimensions\)"),
        (np.ones((8, 0)), r"\(samples, dimensions\)"),
    ],
)
def test_that_unusable_features_are_refused(features: NDArray[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        grams({"x": features})


def test_that_unlike_sets_are_not_compared() -> None:
    x, y = _pair()
    with pytest.raises(ValueError, match="cannot compare 23 samples with 20"):
        similarity(grams({"x": x}), grams({"y": y[:20]}))
    with pytest.raises(ValueError, match="estimator"):
        null_floor(grams({"x": x}, variant="biased"), grams({"y": y}))
    with pytest.raises(ValueError, match="different numbers of samples"):
        grams({"x": x, "y": y[:20]})
    with pytest.raises(ValueError, match="no layer"):
        grams({})


def test_that_a_sink_token_inflates_biased_cka_and_its_removal_cures_that() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 200, 32))
    x[3] *= 40
    y[3] *= 40
    kept = kept_tokens([x, y])
    assert np.flatnonzero(~kept).tolist() == [0, 3]
    assert cka(x, y, variant="biased") > 0.8
    assert cka(x[kept], y[kept], variant="biased") < 0.25


def test_that_a_token_extreme_in_one_layer_is_dropped_from_all() -> None:
    quiet = np.ones((6, 4))
    loud = np.ones((6, 4))
    loud[4] *= SINK_RATIO * 1.01
    loud[5] *= SINK_RATIO * 0.99
    assert kept_tokens([quiet, loud]).tolist() == [False, True, True, True, False, True]
    with pytest.raises(ValueError, match="6 and 5 tokens"):
        kept_tokens([quiet, quiet[:5]])
    with pytest.raises(ValueError, match="no token"):
        kept_tokens([])


def test_that_undefined_sequences_do_not_count_and_all_undefined_stays_undefined() -> None:
    nan = np.nan
    values = [np.array([[v, nan]]) for v in (0.1, 0.2, 0.4, 0.8, nan)]
    result = over_sequences(values)
    assert result.n == 5
    assert result.mean[0, 0] == pytest.approx(0.375)
    assert result.median[0, 0] == pytest.approx(0.3)
    assert result.iqr[0, 0] == pytest.approx(0.5 - 0.175)
    assert np.isnan([result.mean[0, 1], result.median[0, 1], result.iqr[0, 1]]).all()
    with pytest.raises(ValueError, match="no sequence"):
        over_sequences([])
