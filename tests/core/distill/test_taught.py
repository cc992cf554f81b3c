"""Teachers as mixtures and as caches, and the importance of sampled tokens, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from core.distill.divergence import Divergence, divergence
from core.distill.head import Head
from core.distill.measure import Measure
from core.distill.taught import Pool, TaughtCache, TaughtMixture, TaughtStates, cache_of
from tests.helpers.divergences import log_softmax, token

TOKENS, HIDDEN, STUDENT, TEACHER = 7, 6, 44, 41


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def teachers(count: int = 3) -> list[TaughtStates]:
    """Networks of different width and vocabulary."""
    return [
        TaughtStates(draw(TOKENS, 4 + m, seed=20 + m), Head(draw(TEACHER + m, 4 + m, seed=30 + m)))
        for m in range(count)
    ]


def log_p_of(teacher: TaughtStates, temperature: float) -> np.ndarray:
    logits = teacher.hidden.numpy() @ teacher.head.weight.numpy().T
    return log_softmax(logits[:, :TEACHER] / temperature)


def student() -> tuple[Tensor, Head]:
    return draw(TOKENS, HIDDEN, seed=1).requires_grad_(), Head(draw(STUDENT, HIDDEN, seed=2))


def against_numpy(
    found: Divergence, states: Tensor, head: Head, log_p: np.ndarray, measure: Measure, t: float
) -> None:
    gradient = torch.autograd.grad(found.loss, states)[0]
    weight = head.weight.numpy()[:TEACHER]
    for i in range(TOKENS):
        logits = weight @ states.detach()[i].numpy()
        value, by_logits, covered = token(measure, log_p[i], logits, t)
        np.testing.assert_allclose(found.objective[i], value, atol=1e-9)
        np.testing.assert_allclose(found.covered[i], covered, atol=1e-9)
        np.testing.assert_allclose(gradient[i], by_logits @ weight, atol=1e-9)


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("pool", ["linear", "log_linear"])
@pytest.mark.parametrize("top_k", [None, 5])
@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jsd"])
def test_that_a_mixture_is_the_mean_of_its_teachers_in_its_pool(
    kind: str, top_k: int | None, pool: Pool, per_token: bool
) -> None:
    weights = draw(TOKENS, 3, seed=9).abs() if per_token else torch.tensor([2.0, 0.0, 6.0])
    states, head = student()
    measure = Measure(kind, top_k=top_k)  # type: ignore[arg-type]

    found = divergence(
        states,
        head,
        TaughtMixture(teachers(), weights, pool),
        torch.ones(TOKENS).double(),
        measure,
        temperature=0.7,
        chunk_tokens=3,
    )

    shares = weights.double().expand(TOKENS, 3).numpy()
    shares = shares / shares.sum(-1, keepdims=True)
    each = np.stack([log_p_of(teacher, 0.7) for teacher in teachers()], axis=1)  # (N, M, V)
    if pool == "linear":
        log_p = np.log((shares[..., None] * np.exp(each)).sum(1))
    else:
        log_p = log_softmax((shares[..., None] * each).sum(1))
    against_numpy(found, states, head, log_p, measure, 0.7)


def test_that_a_mixture_of_one_is_that_teacher_and_no_weights_are_refused() -> None:
    one = teachers(1)
    rows = torch.tensor([4, 0])
    for pool in ("linear", "log_linear"):
        mixed = TaughtMixture(one, torch.tensor([0.3]), pool)  # type: ignore[arg-type]
        torch.testing.assert_close(
            mixed.log_probabilities(rows, TEACHER, 1.0),
            one[0].log_probabilities(rows, TEACHER, 1.0),
        )
    assert TaughtMixture(teachers(), torch.ones(3)).vocabulary == TEACHER
    for weights in (torch.zeros(1), torch.tensor([-1.0]), torch.ones(2)):
        with pytest.raises(ValueError, match="weights"):
            TaughtMixture(one, weights)


@pytest.mark.parametrize("with_tail", [False, True])
@pytest.mark.parametrize(("kept", "used"), [(5, None), (5, 5), (9, 4), (41, None), (41, 3)])
def test_that_a_cache_gives_the_teachers_own_top_k(
    kept: int, used: int | None, with_tail: bool
) -> None:
    teacher = teachers(1)[0]
    states, head = student()
    ones = torch.ones(TOKENS).double()
    cache = cache_of(teacher, TOKENS, kept, 0.7, chunk_tokens=2)
    if not with_tail:
        cache = TaughtCache(cache.ids, cache.log_p, cache.temperature, cache.vocabulary)

    found = divergence(
        states, head, cache, ones, Measure(top_k=used), temperature=0.7, chunk_tokens=3
    )

    measure = Measure(top_k=used or kept)
    against_numpy(found, states, head, log_p_of(teacher, 0.7), measure, 0.7)
    direct = divergence(states, head, teacher, ones, measure, temperature=0.7)
    torch.testing.assert_close(found.student_entropy, direct.student_entropy)
    assert torch.equal(found.agreement, direct.agreement)
    torch.testing.assert_close(found.kl, found.objective)
    assert found.teacher_entropy.isnan().all()
    assert torch.isfinite(found.reverse_kl).all()


def test_that_a_cache_of_everything_gives_the_full_divergences() -> None:
    teacher, (states, head) = teachers(1)[0], student()
    ones = torch.ones(TOKENS).double()
    cached = divergence(states, head, cache_of(teacher, TOKENS, 1000), ones, Measure())
    full = divergence(states, head, teacher, ones, Measure())
    torch.testing.assert_close(cached.kl, full.kl)
    torch.testing.assert_close(cached.reverse_kl, full.reverse_kl)
    torch.testing.assert_close(cached.covered, ones)


def test_that_a_cache_for_a_smaller_student_is_cropped_before_the_softmax() -> None:
    teacher = teachers(1)[0]
    states, _ = student()
    head = Head(draw(30, HIDDEN, seed=2))
    ones = torch.ones(TOKENS).double()
    with pytest.raises(ValueError, match="41 entries, the student has 30"):
        divergence(states, head, cache_of(teacher, TOKENS, 6), ones, Measure())
    cropped = cache_of(teacher, TOKENS, 6, vocabulary=30)
    found = divergence(states, head, cropped, ones, Measure())
    direct = divergence(states, head, teacher, ones, Measure(top_k=6))
    torch.testing.assert_close(found.objective, direct.objective)


def test_that_a_cache_refuses_what_it_cannot_know() -> None:
    teacher, (states, head) = teachers(1)[0], student()
    cache = cache_of(teacher, TOKENS, 6)
    ones = torch.ones(TOKENS).double()
    for measure in (Measure("reverse_kl"), Measure("jsd")):
        with pytest.raises(ValueError, match="forward KL only"):
            divergence(states, head, cache, ones, measure)
    with pytest.raises(ValueError, match="keeps 6 entries"):
        divergence(states, head, cache, ones, Measure(top_k=7))
    with pytest.raises(ValueError, match=r"temperature 1\.0, not 0\.5"):
        divergence(states, head, cache, ones, Measure(), temperature=0.5)


def test_that_a_cached_teacher_of_certainty_makes_no_nan() -> None:
    teacher = TaughtStates(torch.eye(3) * 900, Head(torch.eye(3)))
    cache = cache_of(teacher, 3, 1)
    bare = TaughtCache(cache.ids, cache.log_p, 1.0, 3)
    for known in (cache, bare):
        states = torch.eye(3)[[0, 2, 1]].requires_grad_()
        found = divergence(states, Head(torch.eye(3)), known, torch.ones(3), Measure())
        found.loss.backward()
        assert torch.isfinite(found.objective).all()
        assert states.grad is not None
        assert torch.isfinite(states.grad).all()
    assert cache_of(teacher, 0, 2).ids.shape == (0, 2)


@pytest.mark.parametrize("is_clip", [None, 1.3])
@pytest.mark.parametrize("measure", [Measure(), Measure("jsd", top_k=5, clip=1.5)], ids=str)
def test_that_each_tokens_loss_is_multiplied_by_its_truncated_importance(
    measure: Measure, is_clip: float | None
) -> None:
    teacher, (states, head) = teachers(1)[0], student()
    weights = torch.linspace(0, 1, TOKENS).double()
    targets = torch.arange(TOKENS) * 5
    plain = divergence(states, head, teacher, weights, measure, temperature=0.7, targets=targets)
    free = torch.autograd.grad(plain.loss, states)[0]
    sampled = plain.log_prob.nan_to_num(0) + torch.linspace(-0.6, 0.6, TOKENS).double()

    found = divergence(
        states,
        head,
        teacher,
        weights,
        measure,
        temperature=0.7,
        chunk_tokens=2,
        targets=targets,
        sampled_log_prob=sampled,
        is_clip=is_clip,
    )

    log_q = log_softmax(states.detach().numpy() @ head.weight.numpy()[:TEACHER].T / 0.7)
    log_prob = log_q[np.arange(TOKENS), targets.numpy()]
    ratio = np.minimum(np.exp(log_prob - sampled.numpy()), is_clip or np.inf)
    np.testing.assert_allclose(found.log_prob[1:], log_prob[1:], atol=1e-9)
    np.testing.assert_allclose(found.ratio[1:], ratio[1:], atol=1e-9)
    assert found.ratio[0].isnan()
    assert (plain.ratio[1:] == 1).all()
    torch.testing.assert_close(found.objective[1:], plain.objective[1:])
    expected = (weights[1:] * found.ratio[1:] * found.objective[1:]).sum()
    torch.testing.assert_close(found.loss, expected)
    gradient = torch.autograd.grad(found.loss, states)[0]
    torch.testing.assert_close(gradient[1:], free[1:] * found.ratio[1:, None])
    assert (gradient[0] == 0).all()


def test_that_importance_needs_the_sampled_tokens_and_is_bounded() -> None:
    teacher, (states, head) = teachers(1)[0], student()
    ones = torch.ones(TOKENS).double()
    with pytest.raises(ValueError, match="tokens that were sampled"):
        divergence(states, head, teacher, ones, Measure(), sampled_log_prob=ones)
    found = divergence(
        states,
        head,
        teacher,
        ones,
        Measure(),
        targets=torch.zeros(TOKENS).long(),
        sampled_log_prob=ones * -1e6,
    )
    assert torch.isfinite(found.loss)
    assert divergence(states, head, teacher, ones, Measure()).log_prob.isnan().all()


def test_that_no_mixture_or_cache_needs_a_tensor_of_all_tokens_by_vocabulary() -> None:
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple) else (result,):
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.numel())
            return result

    tokens, size, chunk = 60, 300, 5
    states = torch.randn(tokens, 4, requires_grad=True)
    head, ones = Head(torch.randn(size, 4)), torch.ones(tokens)
    one = TaughtStates(torch.randn(tokens, 4), head)
    mixture = TaughtMixture([one, one], torch.ones(2))
    with Watch():
        cache = cache_of(mixture, tokens, 7, chunk_tokens=chunk)
        for teacher, kind in ((mixture, "jsd"), (one, "reverse_kl"), (cache, "forward_kl")):
            measure = Measure(kind, top_k=7)  # type: ignore[arg-type]
            found = divergence(states, head, teacher, ones, measure, chunk_tokens=chunk)
            found.loss.backward()

    assert largest == size * chunk
