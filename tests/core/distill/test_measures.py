"""Every measure against float64 NumPy and finite differences, and what must hold for all of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.distill.divergence import Divergence, divergence
from core.distill.head import Head
from core.distill.measure import Measure
from core.distill.taught import TaughtStates
from tests.helpers.divergences import log_softmax, token

HIDDEN, TAUGHT = 7, 5
KINDS = [
    Measure("forward_kl"),
    Measure("reverse_kl"),
    Measure("jsd"),
    Measure("jsd", alpha=0.5, normalised=False),
    Measure("jsd", alpha=0.1),
    Measure("jsd", alpha=0.9, normalised=False),
]
MEASURES = [replace(kind, top_k=k) for kind, k in itertools.product(KINDS, [None, 1, 6, 40])]


def name(value: object) -> str | None:
    if not isinstance(value, Measure):
        return None
    parts = [value.kind, str(value.alpha) if value.kind == "jsd" else "", str(value.top_k)]
    return "-".join([*parts, "" if value.normalised else "raw"])


def draw(*shape: int, seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def logits_pass(
    measure: Measure, student: Tensor, teacher: Tensor, weights: Tensor | None = None
) -> tuple[Divergence, Tensor]:
    """Result and gradient where the hidden states are the logits themselves."""
    student = student.clone().requires_grad_()
    ones = torch.ones(len(student), dtype=student.dtype)
    unit = Head(torch.eye(student.shape[-1], dtype=student.dtype))
    taught = TaughtStates(teacher, Head(torch.eye(teacher.shape[-1], dtype=teacher.dtype)))
    result = divergence(student, unit, taught, ones if weights is None else weights, measure)
    return result, torch.autograd.grad(result.loss, student)[0]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("measure", MEASURES, ids=name)
def test_that_value_gradients_and_covered_mass_equal_numpy(
    measure: Measure, temperature: float
) -> None:
    tokens, student_size, teacher_size = 9, 44, 41
    states = draw(tokens, HIDDEN, seed=1).requires_grad_()
    weight = draw(student_size, HIDDEN, seed=2).requires_grad_()
    bias = draw(student_size, seed=3).requires_grad_()
    taught, taught_weight = draw(tokens, TAUGHT, seed=4), draw(teacher_size, TAUGHT, seed=5)
    weights = torch.linspace(0, 1, tokens, dtype=torch.float64)  # the first token does not count

    found = divergence(
        states,
        Head(weight, bias, 0.5, 4.0),
        TaughtStates(taught, Head(taught_weight)),
        weights,
        measure,
        temperature=temperature,
        chunk_tokens=4,
    )
    by_states, by_weight, by_bias = torch.autograd.grad(found.loss, (states, weight, bias))

    w, b, h = weight.detach().numpy(), bias.detach().numpy(), states.detach().numpy()
    product = 0.5 * (h @ w.T + b)[:, :teacher_size]
    logits = 4 * np.tanh(product / 4)
    log_p = log_softmax(taught.numpy() @ taught_weight.numpy().T / temperature)
    rows = [token(measure, log_p[i], logits[i], temperature) for i in range(tokens)]
    factor = weights.numpy()[:, None]
    by_product = np.stack([row[1] for row in rows]) * (1 - (logits / 4) ** 2) * 0.5 * factor
    values = np.array([row[0] for row in rows])
    np.testing.assert_allclose(found.objective[1:], values[1:], atol=1e-9, rtol=0)
    np.testing.assert_allclose(found.covered[1:], [row[2] for row in rows][1:], atol=1e-9)
    np.testing.assert_allclose(found.loss.item(), (values * factor[:, 0]).sum(), atol=1e-9)
    np.testing.assert_allclose(by_states, by_product @ w[:teacher_size], atol=1e-9, rtol=0)
    np.testing.assert_allclose(by_weight[:teacher_size], by_product.T @ h, atol=1e-9, rtol=0)
    np.testing.assert_allclose(by_bias[:teacher_size], by_product.sum(0), atol=1e-9, rtol=0)
    assert (by_weight[teacher_size:] == 0).all()
    assert (by_states[0] == 0).all()
    q = np.exp(log_softmax(logits / temperature))
    p = np.exp(log_p)
    full = {
        "kl": (p * np.log(p / q)).sum(-1),
        "reverse_kl": (q * np.log(q / p)).sum(-1),
        "student_entropy": -(q * np.log(q)).sum(-1),
        "teacher_entropy": -(p * np.log(p)).sum(-1),
        "agreement": p.argmax(-1) == q.argmax(-1),
    }
    for field, expected in full.items():  # whatever the measure
        np.testing.assert_allclose(getattr(found, field)[1:], expected[1:], atol=1e-9)
        assert getattr(found, field)[0].isnan()


@pytest.mark.parametrize("measure", MEASURES, ids=name)
def test_that_gradients_agree_with_central_differences(measure: Measure) -> None:
    student, teacher = draw(3, 12, seed=6), draw(3, 12, seed=7)
    measure = replace(measure, top_k=measure.top_k and min(measure.top_k, 4))
    _, gradient = logits_pass(measure, student, teacher)

    step = 1e-5
    for row, entry in itertools.product(range(3), range(12)):
        shift = torch.zeros_like(student)
        shift[row, entry] = step
        above, below = (
            logits_pass(measure, student + sign * shift, teacher)[0].loss.item() for sign in (1, -1)
        )
        assert abs((above - below) / (2 * step) - gradient[row, entry].item()) < 1e-8


@pytest.mark.parametrize("measure", MEASURES, ids=name)
def test_that_a_clipped_token_has_the_clips_value_and_no_gradient_at_all(measure: Measure) -> None:
    student, teacher = draw(8, 41, seed=8), draw(8, 41, seed=9)
    plain, free = logits_pass(measure, student, teacher)
    limit = float(plain.objective.median())

    found, gradient = logits_pass(replace(measure, clip=limit), student, teacher)

    over = plain.objective > limit
    assert over.any()
    assert not over.all()
    assert torch.equal(found.clipped.bool(), over)
    assert (gradient[over] == 0).all()
    assert torch.equal(gradient[~over], free[~over])
    torch.testing.assert_close(found.objective, plain.objective.clamp(max=limit))


@pytest.mark.parametrize("size", [152_064, 151_936])
@pytest.mark.parametrize("top_k", [None, 100])
@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_that_vocabularies_of_real_size_agree_with_numpy(
    kind: str, top_k: int | None, size: int
) -> None:
    """A student of 151,936 or 152,064 entries against a teacher of the other size: both are cropped."""
    other = 152_064 + 151_936 - size
    states, taught = draw(2, 3, seed=1, scale=2).requires_grad_(), draw(2, 3, seed=2, scale=2)
    head, taught_head = Head(draw(size, 3, seed=3)), Head(draw(other, 3, seed=4))
    measure = Measure(kind, top_k=top_k)  # type: ignore[arg-type]

    found = divergence(
        states, head, TaughtStates(taught, taught_head), torch.ones(2).double(), measure
    )
    gradient = torch.autograd.grad(found.loss, states)[0]

    weight = head.weight.numpy()[:151_936]
    log_p = log_softmax(taught.numpy() @ taught_head.weight.numpy()[:151_936].T)
    for i in range(2):
        value, by_logits, covered = token(measure, log_p[i], weight @ states.detach()[i].numpy(), 1)
        np.testing.assert_allclose(found.objective[i], value, atol=1e-9)
        np.testing.assert_allclose(found.covered[i], covered, atol=1e-9)
        np.testing.assert_allclose(gradient[i], by_logits @ weight, atol=1e-9)


@pytest.mark.parametrize("measure", MEASURES, ids=name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_certainty_makes_no_nan(measure: Measure, dtype: torch.dtype) -> None:
    """Probabilities underflow to zero on either side, and tails with them."""
    certain = torch.zeros(41, dtype=dtype)
    certain[3] = 900
    other = torch.zeros(41, dtype=dtype)
    other[5] = 900
    student = torch.stack([certain, certain, other * 0, certain, certain * -1])
    teacher = torch.stack([certain, other, certain, certain * 0, certain])

    found, gradient = logits_pass(measure, student, teacher)

    assert torch.isfinite(gradient).all()
    for field in ("objective", "kl", "reverse_kl", "student_entropy", "covered"):
        assert torch.isfinite(getattr(found, field)).all(), field
    assert (found.objective >= -1e-6).all()
    assert abs(found.objective[0]) < 1e-6  # both are certain of the same


def test_that_a_tail_keeps_its_digits_where_the_support_holds_nearly_everything() -> None:
    """In float32 one minus the support's mass is 0 here; summed over the complement it is 4e-12."""
    student, teacher = torch.zeros(1, 41), torch.zeros(1, 41)
    student[0, 0] = teacher[0, 0] = 30.0
    teacher[0, 1:] = torch.linspace(-1, 1, 40)
    for measure in (Measure("forward_kl", top_k=1), Measure("reverse_kl", top_k=1)):
        _, gradient = logits_pass(measure, student, teacher)
        log_p = log_softmax(teacher[0].double().numpy())
        _, expected, _ = token(measure, log_p, student[0].double().numpy(), 1)
        assert 0 < abs(expected[7]) < 1e-12
        np.testing.assert_allclose(gradient[0, 1:], expected[1:], rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_that_the_normalised_jsd_tends_to_the_kls_and_the_raw_one_to_nothing(
    dtype: torch.dtype,
) -> None:
    student, teacher = draw(6, 41, seed=1, dtype=dtype), draw(6, 41, seed=2, dtype=dtype)
    near, tolerance = (1e-4, 5e-3) if dtype == torch.float32 else (1e-7, 1e-5)
    for alpha, kind in ((near, "forward_kl"), (1 - near, "reverse_kl")):
        limit, slope = logits_pass(Measure(kind), student, teacher)  # type: ignore[arg-type]
        value, gradient = logits_pass(Measure("jsd", alpha=alpha), student, teacher)
        raw, weak = logits_pass(Measure("jsd", alpha=alpha, normalised=False), student, teacher)
        torch.testing.assert_close(value.objective, limit.objective, rtol=tolerance, atol=0)
        assert (gradient - slope).norm() < tolerance * slope.norm()
        assert weak.norm() < 2 * near * slope.norm()  # the jump from here to the end of the family
        assert (raw.objective < 2 * near * limit.objective).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(0.01, 20),
    alpha=st.floats(0.01, 0.99),
    top_k=st.sampled_from([None, 1, 5, 39, 40, 41, 100]),
    kind=st.sampled_from(["forward_kl", "reverse_kl", "jsd"]),
)
def test_that_it_is_not_negative_zero_for_equals_and_blind_to_shifts(
    seed: int, scale: float, alpha: float, top_k: int | None, kind: str
) -> None:
    measure = Measure(kind, alpha=alpha, top_k=top_k)  # type: ignore[arg-type]
    student, teacher = draw(4, 41, seed=seed, scale=scale), draw(4, 41, seed=seed + 1, scale=scale)

    found, gradient = logits_pass(measure, student, teacher)
    same, nothing = logits_pass(measure, teacher, teacher)
    moved, shifted = logits_pass(measure, student + 17, teacher - 29)

    assert (found.objective > 0).all()
    assert (gradient.sum(-1).abs() < 1e-9).all()  # softmax: no push along a shift of all logits
    assert (same.objective.abs() < 1e-12).all()
    assert (nothing.abs() < 1e-12).all()
    torch.testing.assert_close(moved.objective, found.objective, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shifted, gradient, rtol=1e-9, atol=1e-9)
    full = logits_pass(replace(measure, top_k=None), student, teacher)[0]
    assert (found.objective <= full.objective + 1e-9).all()  # merging entries loses information


@pytest.mark.parametrize("measure", MEASURES, ids=name)
def test_that_tokens_that_do_not_count_get_exactly_no_gradient(measure: Measure) -> None:
    student, teacher = draw(6, 41, seed=1), draw(6, 41, seed=2)
    weights = torch.tensor([0, 0.5, 0, 0.5, 0, 0], dtype=torch.float64)
    student[2], teacher[4] = torch.nan, torch.inf

    found, gradient = logits_pass(measure, student, teacher, weights)
    empty, nothing = logits_pass(measure, student, teacher, weights * 0)

    assert (gradient[weights == 0] == 0).all()
    assert (gradient[weights > 0] != 0).any()
    assert torch.isfinite(found.loss)
    assert torch.equal(found.objective.isnan(), weights == 0)
    assert empty.loss.item() == 0
    assert empty.loss.requires_grad
    assert (nothing == 0).all()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"kind": "kl"}, "no measure"),
        ({"kind": "jsd", "alpha": 0.0}, "between 0 and 1"),
        ({"kind": "jsd", "alpha": 1.0}, "between 0 and 1"),
        ({"top_k": 0}, "at least 1"),
        ({"clip": 0.0}, "larger than 0"),
    ],
)
def test_that_a_measure_without_meaning_is_refused(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Measure(**settings)  # type: ignore[arg-type]
