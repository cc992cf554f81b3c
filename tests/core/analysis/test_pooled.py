"""CKA of rows that come in items: the value, and the jackknife over items against plain re-computation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.analysis import pooled
from core.analysis.cka import Floats, cka
from core.analysis.pooled import pooled_cka


def layers(
    n: int, seed: int = 0, noise: float = 1.0, count: int = 2
) -> tuple[list[Floats], list[Floats]]:
    """Layers of two networks, related and far from the origin."""
    random = np.random.default_rng(seed)
    a = [random.normal(size=(n, 6)) + 4 for _ in range(count)]
    b = [it @ random.normal(size=(6, 9)) + noise * random.normal(size=(n, 9)) for it in a]
    return a, b


def mean_cka(a: list[Floats], b: list[Floats], kept: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(np.mean([cka(x[kept], y[kept]) for x, y in zip(a, b, strict=True)]))


def test_that_value_and_error_are_those_of_leaving_items_out_one_by_one() -> None:
    sizes = np.array([3, 5, 4, 9, 2, 7, 6])
    items = np.repeat(np.arange(len(sizes)), sizes)
    n, g = len(items), len(sizes)
    a, b = layers(n)

    found = pooled_cka(a, b, items)

    whole = mean_cka(a, b, np.ones(n, dtype=bool))
    assert found.value == pytest.approx(whole, abs=1e-12)
    assert (found.rows, found.items) == (n, g)
    without = np.array([mean_cka(a, b, items != it) for it in range(g)])
    # Busing et al. 1999, eqs. 4 to 6, written out.
    h = n / sizes
    estimate = g * whole - ((1 - sizes / n) * without).sum()
    variance = np.mean((h * whole - (h - 1) * without - estimate) ** 2 / (h - 1))
    assert found.standard_error == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_that_with_equal_items_it_is_the_usual_jackknife() -> None:
    items = np.repeat(np.arange(10), 4)
    a, b = layers(40, seed=1)
    without = np.array([mean_cka(a, b, items != it) for it in range(10)])
    expected = math.sqrt(9 / 10 * ((without - without.mean()) ** 2).sum())
    assert pooled_cka(a, b, items).standard_error == pytest.approx(expected, rel=1e-9)


def test_that_many_items_are_left_out_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "LARGEST_GROUPS", 5)
    items = np.arange(40) // 2
    a, b = layers(40, seed=2)
    found = pooled_cka(a, b, items)
    assert found.items == 20
    monkeypatch.undo()
    in_groups = pooled_cka(a, b, items // 4)
    assert found.standard_error == pytest.approx(in_groups.standard_error, rel=1e-12)
    assert found.value == pytest.approx(in_groups.value, rel=1e-12)


def test_that_the_error_is_about_the_spread_over_fresh_items() -> None:
    items = np.repeat(np.arange(60), 3)
    found = []
    for seed in range(60):
        random = np.random.default_rng(100 + seed)
        x = np.repeat(random.normal(size=(60, 4)), 3, axis=0) + 0.3 * random.normal(size=(180, 4))
        y = x + np.repeat(random.normal(size=(60, 4)), 3, axis=0)
        found.append(pooled_cka([x], [y], items))
    spread = np.std([it.value for it in found])
    errors = np.mean([it.standard_error for it in found])
    assert 0.7 < errors / spread < 1.5  # were tokens taken for samples, it would be about 0.6


def test_that_layers_that_tell_nothing_apart_are_left_out() -> None:
    a, b = layers(24)
    items = np.repeat(np.arange(6), 4)
    nothing = np.ones((24, 3))
    alone = pooled_cka(a[:1], b[:1], items)
    assert pooled_cka([a[0], nothing], [b[0], b[1]], items) == alone
    undefined = pooled_cka([nothing], [b[0]], items)
    assert math.isnan(undefined.value)
    assert math.isnan(undefined.standard_error)


def test_that_one_item_has_a_value_and_no_error() -> None:
    a, b = layers(24)
    found = pooled_cka(a, b, [7] * 24)
    assert found.value == pytest.approx(mean_cka(a, b, np.ones(24, dtype=bool)))
    assert math.isnan(found.standard_error)


def test_that_unlike_networks_are_refused() -> None:
    a, b = layers(24)
    with pytest.raises(ValueError, match="2 layers with 1"):
        pooled_cka(a, b[:1], [0] * 24)
    with pytest.raises(ValueError, match="at least 4"):
        pooled_cka([a[0][:3]], [b[0][:3]], [0, 1, 2])
