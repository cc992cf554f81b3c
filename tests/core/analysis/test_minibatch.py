"""CKA over minibatches against HSIC1 written out, and what it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analysis.cka import cka
from core.analysis.minibatch import Minibatches
from tests.helpers.hsic import hsic1


def _sides(n: int) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    random = np.random.default_rng(0)
    signal = random.normal(size=(n, 6))
    x, y = (
        {
            name: 1e3 * signal @ random.normal(size=(6, width)) + random.normal(size=(n, width))
            for name, width in zip("pqr", (5, 9, 30), strict=True)
        }
        for _ in range(2)
    )
    del y["r"]
    return x, y


def _rows(side: dict[str, NDArray[Any]], part: slice) -> dict[str, NDArray[Any]]:
    return {name: layer[part] for name, layer in side.items()}


def test_that_minibatches_give_one_ratio_of_summed_hsic1_for_every_pair_of_layers() -> None:
    x, y = _sides(60)
    parts = [slice(start, stop) for start, stop in ((0, 16), (16, 32), (32, 52), (52, 60))]
    batches = Minibatches()
    for part in parts:
        batches.add(_rows(x, part), _rows(y, part))
    found = batches.similarity()
    assert found.shape == (3, 2)
    assert batches.n == 60
    for i, left in enumerate(x.values()):
        for j, right in enumerate(y.values()):
            xy, xx, yy = (
                sum(hsic1(a[part] @ a[part].T, b[part] @ b[part].T) for part in parts)
                for a, b in ((left, right), (left, left), (right, right))
            )
            assert found[i, j] == pytest.approx(xy / np.sqrt(xx * yy), abs=1e-10)


def test_that_one_batch_is_plain_debiased_cka() -> None:
    x, y = _sides(40)
    batches = Minibatches("row_normalise")
    batches.add(x, y)
    plain = cka(x["p"], y["q"], preprocessing="row_normalise")
    assert batches.similarity()[0, 1] == pytest.approx(plain, abs=1e-12)


def test_that_minibatches_come_near_the_whole_where_the_mean_of_ratios_does_not() -> None:
    random = np.random.default_rng(0)
    signal = random.normal(size=(4000, 3)) * random.choice([0.5, 1.5], size=(4000, 1))
    x, y = (signal + 0.7 * random.normal(size=(4000, 3)) for _ in range(2))
    whole = cka(x, y)
    batches, ratios = Minibatches(), []
    for start in range(0, 4000, 8):
        part = slice(start, start + 8)
        batches.add({"l": x[part]}, {"l": y[part]})
        ratios.append(cka(x[part], y[part]))
    assert batches.similarity()[0, 0] == pytest.approx(whole, abs=0.03)
    assert np.mean(ratios) < whole - 0.06


def test_that_a_batch_of_equal_samples_adds_nothing_and_a_broken_one_undoes_its_layer() -> None:
    x, y = _sides(40)
    part = slice(0, 20)
    batches = Minibatches()
    batches.add(_rows(x, part), _rows(y, part))
    before = batches.similarity()
    batches.add({name: np.ones_like(layer[part]) for name, layer in x.items()}, _rows(y, part))
    assert np.isfinite(batches.similarity()).all()
    assert (np.abs(batches.similarity()) < np.abs(before)).all()
    broken = _rows(x, part)
    broken["q"] = broken["q"] * np.nan
    batches.add(broken, _rows(y, part))
    assert np.isnan(batches.similarity()).all(axis=1).tolist() == [False, True, False]


def test_that_layers_must_stay_the_same_and_something_must_be_taken_in() -> None:
    x, y = _sides(10)
    batches = Minibatches()
    with pytest.raises(ValueError, match="no batch"):
        batches.similarity()
    batches.add(x, y)
    with pytest.raises(ValueError, match="layers"):
        batches.add(y, x)


def test_that_layers_equal_in_every_batch_are_undefined() -> None:
    _, y = _sides(10)
    batches = Minibatches()
    batches.add({"flat": np.ones((10, 3))}, y)
    assert np.isnan(batches.similarity()).all()
