"""The role walk, the recovered fraction and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from core.analysis.recovery import (
    Accuracy,
    Trio,
    fraction,
    fraction_interval,
    headline,
    mean_fraction,
    recovered_fractions,
    trio,
)
from core.events import Role
from core.recipe.plan import Step


def _step(id_: str, source: str | None, role: Role | None, kind: str = "sft") -> Step:
    return Step(id=id_, kind=kind, spec=None, source=source, role=role, implied=role is None)


FORGETTING = [
    _step("base", None, "base", "base"),
    _step("base.evaluate", "base", None, "evaluate"),
    _step("expert", "base", "expert"),
    _step("forgot", "expert", "degraded"),
    _step("forgot.evaluate", "forgot", None, "evaluate"),
    _step("back_base", "forgot", "recovered", "sdft"),
    _step("back_expert", "forgot", "recovered", "sdft"),
]


def test_that_after_forgetting_the_expert_is_what_was_lost() -> None:
    assert trio(FORGETTING, "back_expert") == Trio("expert", "forgot", "back_expert")


def test_that_after_compression_the_base_is_what_was_lost() -> None:
    steps = [
        _step("base", None, "base", "base"),
        _step("nf4", "base", "degraded", "quantize"),
        _step("one", "nf4", "recovered", "sdft"),
        _step("two", "one", "recovered", "sdft"),
    ]
    assert trio(steps, "one") == Trio("base", "nf4", "one")
    assert trio(steps, "two") == Trio("base", "nf4", "two")


def test_that_several_degradations_are_judged_from_the_last_one_back_to_the_undegraded() -> None:
    steps = [
        _step("base", None, "base", "base"),
        _step("prune", "base", "degraded", "prune"),
        _step("nf4", "prune", "degraded", "quantize"),
        _step("back", "nf4", "recovered", "sdft"),
    ]
    assert trio(steps, "back") == Trio("base", "nf4", "back")


def test_that_a_recovery_without_a_degraded_ancestor_has_no_fraction() -> None:
    steps = [_step("base", None, "base", "base"), _step("better", "base", "recovered", "sdft")]
    assert trio(steps, "better") is None
    assert recovered_fractions(steps, {"better": {"t": Accuracy(0.5, "p")}}) == {}


@pytest.mark.parametrize(
    ("base", "degraded", "recovered", "expected"),
    [
        (0.6, 0.2, 0.4, 0.5),
        (0.6, 0.2, 0.6, 1.0),
        (0.6, 0.2, 0.8, 1.5),
        (0.6, 0.2, 0.1, -0.25),
        (0.2, 0.2, 0.4, None),
        (0.2, 0.4, 0.4, None),
    ],
)
def test_that_the_fraction_is_of_what_was_lost(
    base: float, degraded: float, recovered: float, expected: float | None
) -> None:
    result = fraction(*(Accuracy(value, "p") for value in (base, degraded, recovered)))
    assert result == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_that_nothing_is_subtracted_across_protocols_or_from_what_is_missing(odd: int) -> None:
    same = [Accuracy(0.6, "p"), Accuracy(0.2, "p"), Accuracy(0.4, "p")]
    assert fraction(*same) == pytest.approx(0.5)
    assert (
        fraction(*[Accuracy(a.value, "q") if i == odd else a for i, a in enumerate(same)]) is None
    )
    assert fraction(*[None if i == odd else a for i, a in enumerate(same)]) is None


def test_that_every_recovered_stage_and_task_gets_its_own_fraction() -> None:
    p = "protocol"
    accuracies = {
        "base": {"science": Accuracy(0.3, p)},
        "expert": {"science": Accuracy(0.6, p), "tooluse": Accuracy(0.2, p)},
        "forgot": {"science": Accuracy(0.4, p), "tooluse": Accuracy(0.7, p)},
        "back_base": {"science": Accuracy(0.5, p), "tooluse": Accuracy(0.6, p)},
        "back_expert": {"science": Accuracy(0.7, p)},
    }
    assert recovered_fractions(FORGETTING, accuracies) == {
        "back_base": {"science": pytest.approx(0.5), "tooluse": None},
        "back_expert": {"science": pytest.approx(1.5)},
    }


def test_that_the_mean_is_over_real_losses_and_caps_each_task() -> None:
    def scores(**values: float) -> dict[str, Accuracy]:
        return {task: Accuracy(value, "p") for task, value in values.items()}

    accuracies = {
        "expert": scores(passed=0.8, stayed=0.9, gained=0.5, hardly=0.60),
        "forgot": scores(passed=0.4, stayed=0.1, gained=0.7, hardly=0.56),
        "back_base": scores(passed=1.0, stayed=0.5, gained=0.2, hardly=0.10),
    }
    # passed: 0.6 / 0.4 capped at 1; stayed: 0.4 / 0.8; gained lost nothing; hardly lost 4 points.
    assert mean_fraction(FORGETTING, accuracies, "back_base") == pytest.approx((1 + 0.5) / 2)
    assert mean_fraction(FORGETTING, accuracies, "expert") is None
    assert mean_fraction(FORGETTING, {"back_base": scores(passed=1.0)}, "back_base") is None


def test_that_the_headline_is_the_last_recovery_by_sdft() -> None:
    assert headline({"one": "sdft", "two": "sdft", "control": "sft"}) == "two"
    assert headline({"one": "sft", "two": "sft"}) == "two"
    assert headline({}) == ""


def _flags(right: int, n: int, start: int = 0) -> list[bool]:
    return [start <= index < start + right for index in range(n)]


def test_that_the_interval_of_a_fraction_is_that_of_paired_draws() -> None:
    random = np.random.default_rng(1)
    base = random.random(300) < 0.8
    degraded = base & (random.random(300) < 0.4)
    recovered = degraded | (base & (random.random(300) < 0.6))

    def ratio(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> float:
        return float((third.mean() - second.mean()) / (first.mean() - second.mean()))

    oracle = bootstrap(
        (base.astype(float), degraded.astype(float), recovered.astype(float)),
        ratio,
        paired=True,
        vectorized=False,
        n_resamples=4000,
        method="percentile",
        random_state=2,
    ).confidence_interval
    found = fraction_interval(base.tolist(), degraded.tolist(), recovered.tolist())
    assert found.value == pytest.approx(ratio(base, degraded, recovered))
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=0.015)
    assert found.defined


def test_that_a_large_sample_has_fiellers_interval() -> None:
    random = np.random.default_rng(7)
    base = random.random(2000) < 0.7
    degraded = np.where(random.random(2000) < 0.15, ~base, base)
    recovered = np.where(random.random(2000) < 0.5, base, degraded)
    x = base.astype(float) - degraded
    y = recovered.astype(float) - degraded
    z2, n = norm.ppf(0.975) ** 2, len(x)
    covariance = np.cov(x, y) / n
    # Fieller 1954: the roots of (mean y - r mean x)^2 = z^2 var(y - r x) / n.
    a = x.mean() ** 2 - z2 * covariance[0, 0]
    b = -2 * (x.mean() * y.mean() - z2 * covariance[0, 1])
    c = y.mean() ** 2 - z2 * covariance[1, 1]
    low, high = sorted(np.roots([a, b, c]))
    found = fraction_interval(base.tolist(), degraded.tolist(), recovered.tolist())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)


def test_that_a_loss_that_may_be_none_leaves_the_fraction_without_bounds() -> None:
    base, degraded = _flags(60, 97), _flags(58, 97, start=5)  # 60 -> 58, with 12 items changed
    found = fraction_interval(base, degraded, _flags(59, 97, start=2))
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert not found.defined
    nothing = fraction_interval(base, base, degraded)
    assert nothing.value is None
    assert not nothing.defined


def test_that_a_sure_loss_has_bounds_around_the_fraction_and_groups_widen_them() -> None:
    groups = [f"tool {index // 20}" for index in range(200)]
    base = [True] * 200
    degraded = [index // 20 % 2 == 0 for index in range(200)]  # every other tool is lost
    recovered = [kept or index // 20 in (1, 3) for index, kept in enumerate(degraded)]
    alone = fraction_interval(base, degraded, recovered)
    whole = fraction_interval(base, degraded, recovered, groups)
    assert alone.value == whole.value == pytest.approx(0.4)
    assert whole.low < alone.low < 0.4 < alone.high < whole.high
    assert (alone.clusters, whole.clusters) == (0, 10)


def test_that_full_recovery_is_exactly_one_and_unequal_items_are_refused() -> None:
    base, degraded = _flags(80, 100), _flags(40, 100)
    found = fraction_interval(base, degraded, base)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="same items"):
        fraction_interval(base, degraded, base[:-1])
