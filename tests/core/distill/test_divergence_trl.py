"""TRL's own loss functions: equal where they are right, and two places where they or their kin are blind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.distill.divergence import Divergence, divergence
from core.distill.head import Head
from core.distill.measure import Measure
from core.distill.taught import TaughtStates
from tests.helpers.divergences import log_softmax, token

TOKENS, SIZE, TOP_K = 9, 60, 8


@pytest.fixture(autouse=True)
def _silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")  # its import warns that it is experimental


def draw(seed: int, scale: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(TOKENS, SIZE, generator=generator, dtype=torch.float64) * scale


def ours(measure: Measure, student: Tensor, teacher: Tensor) -> tuple[Divergence, Tensor]:
    """The measure on logits, and its gradient by the student's."""
    states = student.detach().clone().requires_grad_()
    unit = Head(torch.eye(student.shape[-1], dtype=student.dtype))
    ones = torch.ones(len(student), dtype=student.dtype)
    found = divergence(states, unit, TaughtStates(teacher, unit), ones, measure)
    return found, torch.autograd.grad(found.loss, states)[0]


def theirs(loss: Tensor, student: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), student)[0]


@pytest.mark.parametrize(
    ("alpha", "measure"),
    [
        (0.0, Measure("forward_kl")),
        (1.0, Measure("reverse_kl")),
        (0.5, Measure("jsd", 0.5, normalised=False)),
        (0.05, Measure("jsd", 0.05, normalised=False)),
        (0.9, Measure("jsd", 0.9, normalised=False)),
    ],
)
def test_that_full_measures_equal_sdft_and_gkd(alpha: float, measure: Measure) -> None:
    from trl.experimental.gkd import GKDTrainer
    from trl.experimental.sdft.loss_utils import compute_full_logit_self_distillation_loss

    student, teacher = draw(1).requires_grad_(), draw(2)
    found, gradient = ours(measure, student, teacher)

    sdft = compute_full_logit_self_distillation_loss(student, teacher, distillation_alpha=alpha)
    gkd = GKDTrainer.generalized_jsd_loss(
        student[None], teacher[None], beta=alpha, reduction="none"
    ).sum(-1)[0]
    for reference in (sdft, gkd):
        torch.testing.assert_close(found.objective, reference.detach(), rtol=0, atol=1e-9)
        torch.testing.assert_close(gradient, theirs(reference, student), rtol=0, atol=1e-9)


def trl_top_k(student: Tensor, teacher: Tensor, alpha: float, *, tail: bool) -> Tensor:
    from trl.experimental.sdft.loss_utils import compute_topk_self_distillation_loss

    loss: Tensor = compute_topk_self_distillation_loss(
        student,
        teacher,
        distillation_topk=TOP_K,
        distillation_alpha=alpha,
        distillation_add_tail=tail,
    )
    return loss


def test_that_reverse_kl_on_the_students_top_k_equals_trl_with_a_tail() -> None:
    student, teacher = draw(1).requires_grad_(), draw(2)
    found, gradient = ours(Measure("reverse_kl", top_k=TOP_K), student, teacher)
    reference = trl_top_k(student, teacher, 1.0, tail=True)
    torch.testing.assert_close(found.objective, reference.detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(gradient, theirs(reference, student), rtol=0, atol=1e-9)


def test_that_forward_kl_on_the_teachers_top_k_equals_trls_parts_on_that_support() -> None:
    from trl.experimental.sdft.loss_utils import add_tail_bucket, compute_divergence

    student, teacher = draw(1).requires_grad_(), draw(2)
    places = teacher.topk(TOP_K).indices
    reference = compute_divergence(
        add_tail_bucket(student.log_softmax(-1).gather(-1, places)),
        add_tail_bucket(teacher.log_softmax(-1).gather(-1, places)),
        0.0,
    )
    found, gradient = ours(Measure("forward_kl", top_k=TOP_K), student, teacher)
    torch.testing.assert_close(found.objective, reference.detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(gradient, theirs(reference, student), rtol=0, atol=1e-9)


def test_that_trls_top_k_is_blind_to_what_the_student_lacks_and_ours_is_not() -> None:
    """methods.md A2.1: the teacher is sure of an entry that the student gives almost nothing."""
    student = torch.zeros(1, 1000, dtype=torch.float64)
    student[0, :TOP_K] = 10.0
    teacher = student.clone()
    teacher[0, 500] = 10 + 20.0  # outside of the student's top-k, where both agree
    student[0, 500] = 10 - 12.24  # a little under the others
    full, _ = ours(Measure("forward_kl"), student, teacher)
    assert full.objective.item() == pytest.approx(14.32, abs=0.01)

    blind = trl_top_k(student, teacher, 0.0, tail=False)
    half_blind = trl_top_k(student, teacher, 0.0, tail=True)
    seeing, gradient = ours(Measure("forward_kl", top_k=TOP_K), student, teacher)

    assert abs(blind.item()) < 1e-3
    assert half_blind.item() < 0.5 * full.objective.item()
    assert seeing.objective.item() == pytest.approx(full.objective.item(), abs=1e-3)
    assert gradient[0, 500] == pytest.approx(-1, abs=1e-3)  # the missing entry is pushed up


def test_that_clamping_each_entry_can_turn_a_loss_negative_and_clipping_the_token_cannot() -> None:
    """methods.md A2.6 and trl#5990: the pointwise terms of a KL are signed; TRL 1.16 sums them unclamped."""
    student, teacher = draw(1, scale=0.1), draw(2, scale=0.1)
    teacher[:, 7] += 3  # one entry's large term is cut, the others' small negative ones stay
    log_q, log_p = student.log_softmax(-1), teacher.log_softmax(-1)
    pointwise = torch.nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True)
    clamped = pointwise.clamp(max=0.05).sum(-1)

    found, _ = ours(Measure("forward_kl", clip=0.05), student, teacher)

    assert (clamped < 0).all()
    assert (found.objective >= 0).all()
    assert (found.objective <= 0.05).all()
    torch.testing.assert_close(pointwise.sum(-1), found.kl)


def test_that_trls_tail_is_cut_where_the_support_holds_nearly_everything_and_ours_is_not() -> None:
    """TRL takes a tail as one minus the support's mass, which it holds at 1e-7 or more; ours is 6e-13 here."""
    student, teacher = torch.zeros(1, SIZE), torch.zeros(1, SIZE)
    student[0, TOP_K:], teacher[0, TOP_K:] = -16, -30
    measure = Measure("reverse_kl", top_k=TOP_K)
    log_p = log_softmax(teacher[0].double().numpy())
    exact, _, _ = token(measure, log_p, student[0].double().numpy(), 1.0)

    found, _ = ours(measure, student, teacher)

    assert found.objective.item() == pytest.approx(exact, rel=0.05)
    assert trl_top_k(student, teacher, 1.0, tail=True).item() < 0.5 * exact
