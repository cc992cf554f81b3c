"""CKA as a loss: value against the analysis in float64, gradient against differences, what it must not see."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.analysis import cka as analysis
from core.distill import cka_loss
from core.distill.cka_loss import Direction, Form, cka_term, compare, debiased_cka, usual_rows

SHAPES = [(4, 3, 3), (5, 7, 2), (40, 6, 9), (30, 70, 50), (90, 16, 16)]
"""Rows, dimensions of one network, of the other: both forms are the cheaper one somewhere."""


def pair(n: int, d: int, other: int, seed: int = 0, offset: float = 5.0) -> tuple[Tensor, Tensor]:
    """Related features in float64, far from the origin."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x = normal(n, d)
    return x + offset, x @ normal(d, other) + normal(n, other) - offset


def value(x: Tensor, y: Tensor, form: Form | None = None) -> float:
    found = debiased_cka(x, y, form)
    assert found is not None
    return float(found.detach())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["feature", "gram", None])
def test_that_it_is_the_debiased_cka_of_the_analysis(
    shape: tuple[int, int, int], form: Form | None
) -> None:
    x, y = pair(*shape)
    expected = analysis.cka(x.numpy(), y.numpy(), variant="debiased")
    assert value(x, y, form) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_that_both_forms_have_the_same_gradient(shape: tuple[int, int, int]) -> None:
    gradients = []
    for form in ("feature", "gram"):
        x, y = pair(*shape)
        x.requires_grad_()
        found = debiased_cka(x, y, form)
        assert found is not None
        gradients.append(torch.autograd.grad(found, x)[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("direction", ["attract", "repel"])
@pytest.mark.parametrize("shape", [(6, 3, 4), (5, 8, 7)])
def test_that_the_gradient_is_that_of_the_differences(
    direction: Direction, shape: tuple[int, int, int]
) -> None:
    x, y = pair(*shape)
    x2, y2 = pair(shape[0], 5, 5, seed=1)

    def term(first: Tensor, second: Tensor) -> Tensor:
        found = cka_term([first, second], [y, y2], direction)
        assert found is not None
        return found.value

    assert torch.autograd.gradcheck(term, (x.requires_grad_(), x2.requires_grad_()))


@pytest.mark.parametrize("shape", [(40, 6, 6), (10, 30, 30)])
def test_that_scale_offset_and_rotation_change_nothing(shape: tuple[int, int, int]) -> None:
    x, y = pair(*shape)
    rotation = torch.linalg.qr(pair(shape[1], shape[1], 1, seed=2)[0])[0]
    expected = value(x, y)
    assert value(x * 1e-6, y * 1e8) == pytest.approx(expected, abs=1e-9)
    assert value(x - 40, y + 7) == pytest.approx(expected, abs=1e-9)
    assert value(x @ rotation, y) == pytest.approx(expected, abs=1e-9)
    assert value(x, x) == pytest.approx(1, abs=1e-12)
    assert value(x @ rotation, x) == pytest.approx(1, abs=1e-9)


def test_that_a_large_offset_survives_float32() -> None:
    x, y = pair(200, 20, 20, offset=0)
    assert value((x + 1000).float(), y.float()) == pytest.approx(value(x, y), abs=1e-5)


def test_that_the_gradient_of_scaled_features_is_scaled_back() -> None:
    # They are scaled inside, by a factor that depends on them.
    x, y = pair(12, 4, 4)
    small = (x * 1e-3).requires_grad_()
    large = (x * 1e3).requires_grad_()
    for features in (small, large):
        found = debiased_cka(features, y)
        assert found is not None
        found.backward()
    assert small.grad is not None
    assert large.grad is not None
    torch.testing.assert_close(small.grad, large.grad * 1e6, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["feature", "gram"])
def test_that_rows_that_are_not_told_apart_have_no_cka(dtype: torch.dtype, form: Form) -> None:
    x, _ = pair(20, 5, 5)
    constant = torch.full((20, 5), 0.1, dtype=dtype)
    alone = torch.zeros(20, 5, dtype=dtype)
    alone[3] = 7.0  # one row apart from all others: nothing is left of it after U-centring
    for nothing in (constant, alone):
        assert debiased_cka(x.to(dtype), nothing, form) is None
        assert debiased_cka(nothing, x.to(dtype), form) is None
    assert debiased_cka(x[:3].to(dtype), x[:3].to(dtype), form) is None


def test_that_layers_without_cka_are_left_out_and_none_is_no_term() -> None:
    x, y = pair(20, 5, 5)
    constant = torch.ones(20, 5, dtype=torch.float64)
    leaves = [x.clone().requires_grad_(), constant.clone().requires_grad_()]
    with_both = cka_term(leaves, [y, y], "attract")
    with_one = cka_term([x], [y], "attract")
    assert with_both is not None
    assert with_one is not None
    assert with_both.value.item() == with_one.value.item()
    with_both.value.backward()
    assert leaves[1].grad is None
    assert cka_term([constant], [y], "attract") is None
    nothing = compare([{0: [(constant, y)]}], 0, "attract")
    assert (nothing.rows, nothing.value, nothing.slopes) == (0, 0.0, {})
    assert math.isnan(nothing.similarity)


def test_that_the_teacher_gets_no_gradient() -> None:
    x, y = pair(20, 5, 5)
    x.requires_grad_()
    y.requires_grad_()
    found = cka_term([x], [y], "attract")
    assert found is not None
    found.value.backward()
    assert x.grad is not None
    assert float(x.grad.abs().max()) > 0
    assert y.grad is None


def test_that_attracting_and_repelling_are_opposite_until_nothing_is_left_to_repel() -> None:
    x, y = pair(50, 5, 5)
    x.requires_grad_()
    attract, repel = cka_term([x], [y], "attract"), cka_term([x], [y], "repel")
    assert attract is not None
    assert repel is not None
    assert attract.value.item() == pytest.approx(1 - value(x, y))
    assert repel.value.item() == pytest.approx(value(x, y))
    towards, away = (torch.autograd.grad(it.value, x)[0] for it in (attract, repel))
    torch.testing.assert_close(towards, -away)

    unlike = next(
        candidate
        for seed in range(50)
        if value(candidate := pair(50, 5, 5, seed=seed + 1)[0], y) < -0.01
    ).requires_grad_()
    ended = cka_term([unlike], [y], "repel")
    assert ended is not None
    assert ended.value.item() == 0
    assert float(torch.autograd.grad(ended.value, unlike)[0].abs().max()) == 0


def test_that_sinks_of_either_network_are_left_out_everywhere() -> None:
    x, y = pair(40, 5, 5, offset=0)
    clean = compare([{0: [(x, y), (x, y)]}], 0, "attract")
    assert clean.rows == 40
    of_student, of_teacher = x.clone(), y.clone()
    of_student[7] *= 1000
    of_teacher[9] *= 1000
    usual = usual_rows([of_student, y, of_teacher])
    assert [place for place, flag in enumerate(usual.tolist()) if not flag] == [7, 9]

    found = compare([{0: [(of_student, y), (x, of_teacher)]}], 0, "attract")

    assert found.rows == 38
    kept = torch.tensor([place not in (7, 9) for place in range(40)])
    for slope in found.slopes[0]:
        assert bool((slope[~kept] == 0).all())
        assert float(slope[kept].abs().max()) > 0
    expected = analysis.cka(x[kept].numpy(), y[kept].numpy())
    assert found.similarity == pytest.approx(expected, abs=1e-9)
    assert found.value == pytest.approx(1 - expected, abs=1e-9)


def test_that_the_limit_of_a_sink_is_that_of_the_analysis() -> None:
    assert cka_loss.SINK_RATIO == analysis.SINK_RATIO
    assert cka_loss.SMALLEST_ROWS == analysis.SMALLEST_N


def test_that_processes_together_have_the_rows_and_gradients_of_one() -> None:
    x, y = pair(40, 5, 5)
    whole = compare([{0: [(x, y)]}], 0, "attract")
    shares = [{0: [(x[:13], y[:13])]}, {}, {0: [(x[13:], y[13:])]}]
    parts = [compare(shares, rank, "attract") for rank in range(3)]
    assert {it.value for it in parts} == {whole.value}
    joined = torch.cat([it.slopes[0][0] for it in parts])
    assert [len(it.slopes[0][0]) for it in parts] == [13, 0, 27]
    torch.testing.assert_close(joined, whole.slopes[0][0])


def test_that_rows_of_several_teachers_are_weighed_by_their_number() -> None:
    x, y = pair(40, 5, 5)
    x2, y2 = pair(10, 5, 8, seed=3)
    found = compare([{0: [(x, y)], 1: [(x2, y2)]}], 0, "attract")
    assert found.rows == 50
    expected = 0.8 * (1 - value(x, y)) + 0.2 * (1 - value(x2, y2))
    assert found.value == pytest.approx(expected, abs=1e-12)
    alone = compare([{1: [(x2, y2)]}], 0, "attract")
    torch.testing.assert_close(found.slopes[1][0], 0.2 * alone.slopes[1][0])
