"""The loss of SDFT: a divergence between teacher and student at every counted token of the student's answers.

The loss is the mean over sequences of the mean over their counted tokens (methods.md A1). The paper says
only "KL"; the default is forward KL over the full vocabulary, which its base method used
(idanshen/Self-Distillation#5). Loss and gradient of a chunk of tokens come from one pass, so no tensor of
(batch, tokens, vocabulary) exists, for the student or the teacher. The teacher gets no gradient.

Not here: what is measured (`measure`), top-k (`support`), the teacher's side (`taught`), sampling, the loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from core.distill.head import Head, block_rows, chunked_loss, log_softmax_, wide
from core.distill.measure import Measure, inner, pair, value_and_slope
from core.distill.support import coarsen_, support_of
from core.distill.taught import TaughtCache, TeacherTokens

# exp of more means that the sampled answer came from another network; TRL bounds it there too.
_LARGEST_LOG_RATIO = 20.0


@dataclass(frozen=True)
class Divergence:
    """The loss and, for each of N tokens, what was seen on the way; nats, NaN where the weight is zero.

    Distributions are those at the given temperature. The KLs, entropies and agreement are of the full
    vocabulary whatever the measure; with a `TaughtCache` the KLs are those of its entries and their tail,
    and the teacher's entropy is NaN.
    """

    loss: Tensor  # scalar, with graph
    kl: Tensor  # (N,) KL(teacher || student)
    reverse_kl: Tensor  # (N,) KL(student || teacher)
    student_entropy: Tensor  # (N,)
    teacher_entropy: Tensor  # (N,)
    agreement: Tensor  # (N,) 1 where both prefer the same token
    objective: Tensor  # (N,) the chosen measure, clipped, before importance ratio and weight
    covered: Tensor  # (N,) mass in the support: the teacher's, for reverse KL the student's, for JSD their mean
    clipped: Tensor  # (N,) 1 where the measure was cut
    log_prob: Tensor  # (N,) the student's, of the target; NaN without targets
    ratio: Tensor  # (N,) importance ratio, cut; 1 when off


_SEEN = tuple(field.name for field in fields(Divergence) if field.name != "loss")


def token_weights(counted: Tensor, sequences: int | None = None) -> Tensor:
    """Weights that turn a sum over tokens into the mean over sequences of the mean over counted tokens.

    Args:
        counted: (B, T), true where a token carries loss.
        sequences: how many sequences the mean is over; by default B. A sequence without counted
            tokens takes part with a loss of zero.

    Returns:
        (B, T) in float32, zero where not counted.
    """
    mask = counted.to(torch.float32)
    return mask / mask.sum(-1, keepdim=True).clamp(min=1) / (sequences or counted.shape[0])


def divergence(
    student_hidden: Tensor,
    student_head: Head,
    teacher: TeacherTokens | TaughtCache,
    weights: Tensor,
    measure: Measure,
    *,
    temperature: float = 1.0,
    chunk_tokens: int = 256,
    targets: Tensor | None = None,
    sampled_log_prob: Tensor | None = None,
    is_clip: float | None = None,
) -> Divergence:
    """Weighted sum of the tokens' divergences between teacher and student.

    Vocabularies that differ by padding are cropped to the smaller one before the softmax.

    Args:
        student_hidden: (N, H) last hidden states that predict the N tokens.
        student_head: the student's head; its weights get a gradient when they require one.
        teacher: the teacher's side of the same tokens.
        weights: (N,), see `token_weights`; a token of weight zero is not computed, and its gradient is
            exactly zero.
        measure: what is summed.
        temperature: both logits are divided by it.
        chunk_tokens: tokens whose logits exist at once, at most.
        targets: (N,) the sampled tokens; any valid id where the weight is zero.
        sampled_log_prob: (N,) their log-probability, at this temperature, under the student that sampled
            them. Each token's loss is then multiplied by exp(log_prob - sampled_log_prob), without
            gradient (methods.md A1); NaN where there is nothing to correct.
        is_clip: that factor is cut at this.

    Raises:
        ValueError: importance ratios without targets, or a cache that cannot give the measure.
    """
    if sampled_log_prob is not None and targets is None:
        raise ValueError("importance ratios need the tokens that were sampled")
    if isinstance(teacher, TaughtCache):
        _check_cache(teacher, measure, student_head.vocabulary, temperature)
    vocabulary = min(student_head.vocabulary, teacher.vocabulary)
    counted = weights.nonzero().squeeze(-1)
    dtype = wide(student_hidden.dtype)
    shape = (len(_SEEN), weights.shape[0])
    seen = torch.full(shape, torch.nan, dtype=dtype, device=weights.device)

    def score(rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        tokens = counted[rows]
        losses, parts = [], block_rows(logits)
        full = (
            None
            if isinstance(teacher, TaughtCache)
            else teacher.log_probabilities(tokens, vocabulary, temperature).to(logits)
        )
        for start in range(0, len(tokens), parts):
            part = slice(start, start + parts)
            here = tokens[part]
            student = _Student.of_(logits[part], temperature)
            columns = dict.fromkeys(_SEEN, torch.full_like(student.entropy, torch.nan))
            if targets is not None:
                columns["log_prob"] = student.log_q.gather(-1, targets[here, None])[:, 0]
            if isinstance(teacher, TaughtCache):
                gradient = _against_cache(measure, teacher, here, student, columns)
            else:
                assert full is not None
                gradient = _against_full(measure, full[part], student, columns)
            factor = torch.ones_like(student.entropy)
            if sampled_log_prob is not None:
                before = sampled_log_prob[here].to(factor)
                drift = torch.where(before.isnan(), 0.0, columns["log_prob"] - before)
                factor = drift.clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO).exp_()
                factor.clamp_(max=is_clip if is_clip is not None else math.inf)
                gradient.mul_(factor[:, None])
            if measure.clip is not None:
                over = columns["objective"] > measure.clip
                gradient.masked_fill_(over[:, None], 0)
                columns["objective"] = columns["objective"].clamp(max=measure.clip)
                columns["clipped"] = over.to(factor)
            if temperature != 1.0:
                gradient.div_(temperature)
            columns["ratio"] = factor
            seen[:, here] = torch.stack([columns[name] for name in _SEEN]).to(seen)
            losses.append(columns["objective"] * factor)
        return torch.cat(losses), logits  # the gradient took the logits' place

    loss = chunked_loss(
        student_hidden[counted],
        student_head,
        weights[counted],
        score,
        vocabulary=vocabulary,
        chunk_tokens=chunk_tokens,
    )
    return Divergence(loss, *seen)


def _check_cache(cache: TaughtCache, measure: Measure, vocabulary: int, temperature: float) -> None:
    kept = cache.ids.shape[-1]
    if measure.kind != "forward_kl":
        raise ValueError(
            f"a cache of the teacher's likeliest entries gives forward KL only, not {measure.kind}"
        )
    if measure.top_k is not None and kept < min(measure.top_k, cache.vocabulary):
        raise ValueError(f"the cache keeps {kept} entries of a token, not {measure.top_k}")
    if cache.temperature != temperature:
        raise ValueError(
            f"the cache was taken at temperature {cache.temperature}, not {temperature}"
        )
    if cache.vocabulary > vocabulary:
        raise ValueError(
            f"the cache was taken over {cache.vocabulary} entries, the student has {vocabulary}"
        )


@dataclass(frozen=True)
class _Student:
    """The student's distribution at n tokens; `log_q` lies in the memory of its logits."""

    log_q: Tensor  # (n, V)
    q: Tensor  # (n, V)
    preferred: Tensor  # (n,)
    entropy: Tensor  # (n,)

    @staticmethod
    def of_(logits: Tensor, temperature: float) -> _Student:
        preferred = logits.argmax(-1)
        log_q = log_softmax_(logits, temperature)
        q = log_q.exp()
        return _Student(log_q, q, preferred, -inner(q, log_q))


def _against_full(
    measure: Measure, log_p: Tensor, student: _Student, columns: dict[str, Tensor]
) -> Tensor:
    """Fill the columns and return the gradient (n, V) with respect to logits / T.

    The gradient lies in the memory of `log_q`; `log_p` is overwritten.
    """
    p = log_p.exp()
    columns["student_entropy"] = student.entropy
    columns["teacher_entropy"] = -inner(p, log_p)
    at_preferred = log_p.gather(-1, student.preferred[:, None])[:, 0]
    columns["agreement"] = (at_preferred == log_p.amax(-1)).to(p)
    inside = support_of(measure, log_p, student.log_q)
    if inside is None:
        both = pair(p, student.q, log_p.sub_(student.log_q))
        columns["covered"] = torch.ones_like(student.entropy)
        columns["kl"], columns["reverse_kl"] = both.forward, both.reverse
    else:
        whole = pair(p, student.q, log_p - student.log_q)
        columns["kl"], columns["reverse_kl"] = whole.forward, whole.reverse
        taught, learnt = coarsen_(log_p, p, student.log_q, student.q, inside)
        shares = {"forward_kl": taught, "reverse_kl": learnt, "jsd": (taught + learnt) / 2}
        columns["covered"] = shares[measure.kind]
        both = pair(p, student.q, log_p.sub_(student.log_q))
    columns["clipped"] = torch.zeros_like(student.entropy)
    columns["objective"], gradient = value_and_slope(measure, both, out=student.log_q)
    return gradient


def _against_cache(
    measure: Measure,
    cache: TaughtCache,
    tokens: Tensor,
    student: _Student,
    columns: dict[str, Tensor],
) -> Tensor:
    """As `_against_full`, for a teacher of whom the likeliest entries and their tail are known."""
    log_p = cache.spread(tokens, measure.top_k, student.log_q)
    p = log_p.exp()
    both = pair(p, student.q, log_p.sub_(student.log_q))
    preferred = cache.preferred(tokens).to(student.preferred.device)
    columns["student_entropy"] = student.entropy
    columns["agreement"] = (preferred == student.preferred).to(p)
    columns["covered"] = cache.covered(tokens, measure.top_k).to(p)
    columns["kl"], columns["reverse_kl"] = both.forward, both.reverse
    columns["clipped"] = torch.zeros_like(student.entropy)
    columns["objective"], gradient = value_and_slope(measure, both, out=student.log_q)
    return gradient
