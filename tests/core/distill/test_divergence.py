"""The divergence against float64 NumPy, finite differences, a dense computation and TRL's own loss."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.distill.divergence import Divergence, divergence, token_weights
from core.distill.head import Head
from core.distill.measure import Measure
from core.distill.taught import TaughtStates

VOCABULARY, HIDDEN, TEACHER_HIDDEN = 41, 8, 6


def forward_kl(
    student: Tensor,
    student_head: Head,
    teacher: Tensor,
    teacher_head: Head,
    weights: Tensor,
    **settings: Any,
) -> Divergence:
    """The default measure against one network."""
    taught = TaughtStates(teacher, teacher_head)
    return divergence(student, student_head, taught, weights, Measure(), **settings)


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(dtype)


def heads(dtype: torch.dtype = torch.float32) -> tuple[Head, Head]:
    return (
        Head(draw(VOCABULARY, HIDDEN, seed=1, dtype=dtype)),
        Head(draw(VOCABULARY, TEACHER_HIDDEN, seed=2, dtype=dtype)),
    )


def hidden(tokens: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    student = draw(tokens, HIDDEN, seed=3, dtype=dtype).requires_grad_()
    return student, draw(tokens, TEACHER_HIDDEN, seed=4, dtype=dtype)


def dense(
    student: Tensor, teacher: Tensor, student_head: Head, teacher_head: Head, temperature: float
) -> Tensor:
    """Per-token KL(teacher || student) from whole logits, by autograd."""
    size = min(student_head.vocabulary, teacher_head.vocabulary)
    log_q = (student_head.logits(student)[:, :size] / temperature).log_softmax(-1)
    log_p = (teacher_head.logits(teacher)[:, :size] / temperature).log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.mark.parametrize("temperature", [1.0, 0.7, 2.5])
def test_that_value_gradient_and_statistics_equal_float64_numpy(temperature: float) -> None:
    student, teacher = hidden(11, torch.float64)
    student_head, teacher_head = heads(torch.float64)
    weights = token_weights(torch.ones(1, 11)).flatten().to(torch.float64)

    result = forward_kl(
        student,
        student_head,
        teacher,
        teacher_head,
        weights,
        temperature=temperature,
        chunk_tokens=4,
    )
    result.loss.backward()

    w = student_head.weight.numpy()
    log_q = log_softmax(student.detach().numpy() @ w.T / temperature)
    log_p = log_softmax(teacher.numpy() @ teacher_head.weight.numpy().T / temperature)
    p, q = np.exp(log_p), np.exp(log_q)
    kl = (p * (log_p - log_q)).sum(-1)
    np.testing.assert_allclose(result.kl, kl, atol=1e-12)
    np.testing.assert_allclose(result.reverse_kl, (q * (log_q - log_p)).sum(-1), atol=1e-12)
    np.testing.assert_allclose(result.student_entropy, -(q * log_q).sum(-1), atol=1e-12)
    np.testing.assert_allclose(result.teacher_entropy, -(p * log_p).sum(-1), atol=1e-12)
    np.testing.assert_array_equal(result.agreement, q.argmax(-1) == p.argmax(-1))
    np.testing.assert_allclose(result.loss.item(), kl.mean(), atol=1e-12)
    expected = ((q - p) / temperature / 11) @ w
    assert student.grad is not None
    np.testing.assert_allclose(student.grad, expected, atol=1e-12)


@pytest.mark.parametrize(("scale", "softcap"), [(1.0, None), (0.25, None), (1.0, 3.0), (0.5, 2.0)])
def test_that_gradients_agree_with_finite_differences(scale: float, softcap: float | None) -> None:
    teacher = draw(5, TEACHER_HIDDEN, seed=4, dtype=torch.float64)
    teacher_head = Head(draw(7, TEACHER_HIDDEN, seed=2, dtype=torch.float64))
    weights = torch.tensor([0.3, 0.0, 0.1, 0.2, 0.4], dtype=torch.float64)

    def loss(states: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        head = Head(weight, bias, scale, softcap)
        result = forward_kl(
            states, head, teacher, teacher_head, weights, temperature=0.8, chunk_tokens=2
        )
        return result.loss * 3

    inputs = (
        draw(5, HIDDEN, seed=3, dtype=torch.float64).requires_grad_(),
        draw(9, HIDDEN, seed=1, dtype=torch.float64).requires_grad_(),
        draw(9, seed=5, dtype=torch.float64).requires_grad_(),
    )
    assert torch.autograd.gradcheck(loss, inputs, atol=1e-8)


@pytest.mark.parametrize("chunk", [1, 3, 16, 1000])
def test_that_chunked_equals_dense(chunk: int) -> None:
    student, teacher = hidden(17)
    student_head, teacher_head = heads()
    student_head.weight.requires_grad_()
    weights = torch.rand(17, generator=torch.Generator().manual_seed(0))

    result = forward_kl(student, student_head, teacher, teacher_head, weights, chunk_tokens=chunk)
    got = torch.autograd.grad(result.loss, (student, student_head.weight))
    reference = (dense(student, teacher, student_head, teacher_head, 1.0) * weights).sum()
    expected = torch.autograd.grad(reference, (student, student_head.weight))

    torch.testing.assert_close(result.loss, reference)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_that_no_gradient_reaches_the_teacher() -> None:
    student, teacher = hidden(4)
    student_head, teacher_head = heads()
    teacher.requires_grad_()
    teacher_head.weight.requires_grad_()

    forward_kl(student, student_head, teacher, teacher_head, torch.ones(4)).loss.backward()

    assert teacher.grad is None
    assert teacher_head.weight.grad is None


def test_that_equal_models_have_no_divergence_and_no_gradient() -> None:
    student, _ = hidden(9)
    head, _ = heads()

    result = forward_kl(student, head, student.detach().clone(), head, torch.ones(9))
    result.loss.backward()

    assert (result.kl == 0).all()
    assert (result.agreement == 1).all()
    assert student.grad is not None
    assert (student.grad == 0).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(0.01, 30), temperature=st.floats(0.1, 4))
def test_that_it_is_never_negative(seed: int, scale: float, temperature: float) -> None:
    student_head, teacher_head = heads()
    student = draw(6, HIDDEN, seed=seed, scale=scale)
    teacher = draw(6, TEACHER_HIDDEN, seed=seed + 1, scale=scale)

    result = forward_kl(
        student, student_head, teacher, teacher_head, torch.ones(6), temperature=temperature
    )

    assert (result.kl >= -1e-5).all()
    assert (result.reverse_kl >= -1e-5).all()
    assert torch.isfinite(result.kl).all()


def test_that_uncounted_tokens_get_exactly_no_gradient_even_if_their_states_are_not_numbers() -> (
    None
):
    student, teacher = hidden(6)
    student_head, teacher_head = heads()
    weights = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0, 0.0])
    with torch.no_grad():
        student[2], teacher[4] = torch.nan, torch.inf

    result = forward_kl(student, student_head, teacher, teacher_head, weights)
    result.loss.backward()

    assert torch.isfinite(result.loss)
    assert student.grad is not None
    assert (student.grad[weights == 0] == 0).all()
    assert (student.grad[weights > 0] != 0).any()
    assert torch.equal(result.kl.isnan(), weights == 0)


def test_that_nothing_counted_gives_a_zero_loss_with_a_graph() -> None:
    student, teacher = hidden(3)
    student_head, teacher_head = heads()
    student_head.weight.requires_grad_()

    weights = token_weights(torch.zeros(1, 3)).flatten()
    result = forward_kl(student, student_head, teacher, teacher_head, weights)
    result.loss.backward()

    assert result.loss.item() == 0
    assert student.grad is not None
    assert (student.grad == 0).all()
    assert student_head.weight.grad is not None
    assert (student_head.weight.grad == 0).all()


def test_that_padding_of_the_larger_vocabulary_takes_no_part() -> None:
    student, teacher = hidden(7)
    student_head, teacher_head = heads()
    padded = torch.cat([student_head.weight, draw(5, HIDDEN, seed=9, scale=50)]).requires_grad_()

    plain = forward_kl(student, student_head, teacher, teacher_head, torch.ones(7))
    wider = forward_kl(student, Head(padded), teacher, teacher_head, torch.ones(7))
    wider.loss.backward()

    torch.testing.assert_close(wider.kl, plain.kl)
    assert padded.grad is not None
    assert (padded.grad[VOCABULARY:] == 0).all()
    teacher_wider = Head(torch.cat([teacher_head.weight, draw(5, TEACHER_HIDDEN, seed=9)]))
    other = forward_kl(student, student_head, teacher, teacher_wider, torch.ones(7))
    torch.testing.assert_close(other.kl, plain.kl)


def test_that_the_mean_is_over_sequences_of_the_mean_over_counted_tokens() -> None:
    counted = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])

    weights = token_weights(counted)

    torch.testing.assert_close(weights.sum(-1), torch.tensor([1 / 3, 1 / 3, 0.0]))
    torch.testing.assert_close(weights[0], torch.full((4,), 1 / 12))
    assert torch.equal(token_weights(counted, 12) * 4, weights)


def test_that_half_precision_keeps_its_sums_in_float32() -> None:
    student, teacher = hidden(64, torch.bfloat16)
    student_head, teacher_head = heads(torch.bfloat16)

    result = forward_kl(student, student_head, teacher, teacher_head, torch.full((64,), 1 / 64))
    result.loss.backward()

    assert result.loss.dtype == torch.float32
    assert student.grad is not None
    assert student.grad.dtype == torch.bfloat16
    exact = dense(
        student.detach().double(),
        teacher.double(),
        Head(student_head.weight.double()),
        Head(teacher_head.weight.double()),
        1.0,
    )
    # The logits of a bfloat16 model carry 8 bits; their mean over 64 tokens stays within 2 %.
    torch.testing.assert_close(result.loss.double(), exact.mean(), rtol=0.02, atol=0)


def trl_loss(
    student_logits: Tensor, teacher_logits: Tensor, mask: Tensor, temperature: float
) -> Tensor:
    """The loss of TRL's trainer for full_logits and alpha 0, by its own code."""
    from trl.experimental.sdft.sdft_trainer import DistillationLogits, SDFTTrainer

    trainer = SimpleNamespace(
        args=SimpleNamespace(
            distillation_mode="full_logits", distillation_alpha=0.0, distillation_is_clip=None
        ),
        accelerator=SimpleNamespace(gather=lambda value: value),
        _log_self_distillation_metric=lambda mode, value: None,
    )
    logits = DistillationLogits(
        completion_ids=mask.long(),
        loss_mask=mask.long(),
        student_logits=student_logits / temperature,
        teacher_logits=teacher_logits / temperature,
    )
    loss: Tensor = SDFTTrainer._compute_self_distillation_loss(
        trainer, SimpleNamespace(training=True), {}, logits
    )
    return loss


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_that_loss_and_gradient_equal_trl_with_full_logits_and_alpha_0(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")  # its import warns that it is experimental
    batch, length = 4, 9
    student_head, teacher_head = heads()
    student = draw(batch, length, HIDDEN, seed=6).requires_grad_()
    teacher = draw(batch, length, TEACHER_HIDDEN, seed=7)
    lengths = torch.tensor([9, 5, 4, 2])
    positions = torch.arange(length)
    mask = (positions >= 3) & (positions < lengths[:, None])  # skip 3; the last row has none left

    result: Divergence = forward_kl(
        student.flatten(0, 1),
        student_head,
        teacher.flatten(0, 1),
        teacher_head,
        token_weights(mask).flatten(),
        temperature=temperature,
        chunk_tokens=5,
    )
    got = torch.autograd.grad(result.loss, student)[0]
    reference = trl_loss(
        student_head.logits(student), teacher_head.logits(teacher), mask, temperature
    )
    expected = torch.autograd.grad(reference, student)[0]

    assert abs(result.loss.item() - reference.item()) < 1e-5
    assert (got - expected).abs().max() < 1e-5
    assert got.abs().max() > 1e-3
