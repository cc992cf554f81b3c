"""Forward KL(teacher || student) over the full vocabulary: the loss of SDFT.

The loss is the mean over sequences of the mean over their counted tokens (methods.md A1). The paper says
only "KL"; the direction is the one its base method used (idanshen/Self-Distillation#5). Each token's
gradient with respect to the student's logits is (q - p) / T, so loss and gradient of a chunk of tokens
come from one pass and no tensor of (batch, tokens, vocabulary) exists, for the student or the teacher.

Not here: sampling, masks, the loop. The teacher gets no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.distill.head import Head, chunked_loss, wide


@dataclass(frozen=True)
class Divergence:
    """The loss and, for each of N tokens, what was seen on the way; nats, NaN where the weight is zero.

    Distributions are those at the given temperature. `agreement` is 1 where both prefer the same token.
    """

    loss: Tensor  # scalar, with graph
    kl: Tensor  # (N,)
    reverse_kl: Tensor  # (N,)
    student_entropy: Tensor  # (N,)
    teacher_entropy: Tensor  # (N,)
    agreement: Tensor  # (N,)


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


def forward_kl(
    student_hidden: Tensor,
    student_head: Head,
    teacher_hidden: Tensor,
    teacher_head: Head,
    weights: Tensor,
    *,
    temperature: float = 1.0,
    chunk_tokens: int = 256,
) -> Divergence:
    """Weighted sum of the tokens' KL(teacher || student).

    Vocabularies that differ by padding are cropped to the smaller one before the softmax.

    Args:
        student_hidden: (N, H) last hidden states that predict the N tokens.
        student_head: the student's head; its weights get a gradient when they require one.
        teacher_hidden: (N, H') the teacher's, for the same tokens.
        teacher_head: the teacher's head.
        weights: (N,), see `token_weights`; a token of weight zero is not computed, and its gradient is
            exactly zero.
        temperature: both logits are divided by it.
        chunk_tokens: tokens whose logits exist at once.
    """
    counted = weights.nonzero().squeeze(-1)
    dtype = wide(student_hidden.dtype)
    seen = torch.full((5, weights.shape[0]), torch.nan, dtype=dtype, device=weights.device)
    taught = teacher_hidden.detach()[counted]
    vocabulary = min(student_head.vocabulary, teacher_head.vocabulary)

    def score(rows: slice, student: Tensor) -> tuple[Tensor, Tensor]:
        teacher = teacher_head.logits(taught[rows], vocabulary).to(student)
        log_q, q, preferred = _distribution_(student, temperature)
        log_p, p, taught_token = _distribution_(teacher, temperature)
        agreement = preferred == taught_token
        scratch = torch.mul(p, log_p)
        teacher_entropy = -scratch.sum(-1)
        student_entropy = -torch.mul(q, log_q, out=scratch).sum(-1)
        ratio = log_p.sub_(log_q)  # log p/q; log_p is gone
        kl = torch.mul(p, ratio, out=scratch).sum(-1)
        reverse = -torch.mul(q, ratio, out=scratch).sum(-1)
        columns = torch.stack([kl, reverse, student_entropy, teacher_entropy, agreement.to(kl)])
        seen[:, counted[rows]] = columns.to(dtype)
        return kl, q.sub_(p).div_(temperature)

    loss = chunked_loss(
        student_hidden[counted],
        student_head,
        weights[counted],
        score,
        vocabulary=vocabulary,
        chunk_tokens=chunk_tokens,
    )
    return Divergence(loss, *seen)


def _distribution_(logits: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities (n, V) in the memory of the logits, probabilities (n, V), likeliest token (n,).

    One pass finds the maximum and its place, and one takes the exponentials for sum and probabilities.
    """
    if temperature != 1.0:
        logits.div_(temperature)
    top, token = logits.max(-1, keepdim=True)
    probabilities = logits.sub_(top).exp()
    total = probabilities.sum(-1, keepdim=True)
    return logits.sub_(total.log()), probabilities.div_(total), token[:, 0]
