"""Next-token cross entropy from hidden states, a chunk of tokens at a time: the loss of SFT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.distill.head import Head, chunked_loss, wide


@dataclass(frozen=True)
class Likelihood:
    """The loss and, for each of N tokens: negative log-likelihood, entropy (nats), 1 where the target is the top token."""

    loss: Tensor  # scalar, with graph
    nll: Tensor  # (N,)
    entropy: Tensor  # (N,)
    correct: Tensor  # (N,)


def cross_entropy(
    hidden: Tensor, head: Head, targets: Tensor, weights: Tensor, *, chunk_tokens: int = 256
) -> Likelihood:
    """Weighted sum of the tokens' negative log-likelihood.

    Args:
        hidden: (N, H) last hidden states, each predicting its target.
        head: turns them into logits.
        targets: (N,) token ids.
        weights: (N,) factor of each token's loss.
        chunk_tokens: tokens whose logits exist at once.
    """
    dtype = wide(hidden.dtype)
    seen = torch.empty((3, targets.shape[0]), dtype=dtype, device=hidden.device)

    def score(rows: slice, logits: Tensor) -> tuple[Tensor, Tensor]:
        target = targets[rows, None]  # (n, 1)
        correct = logits.argmax(-1, keepdim=True) == target
        log_q = logits.sub_(logits.logsumexp(-1, keepdim=True))
        q = log_q.exp()
        nll = -log_q.gather(-1, target)
        entropy = -log_q.mul_(q).sum(-1)
        seen[:, rows] = torch.stack([nll[:, 0], entropy, correct[:, 0].to(nll)]).to(dtype)
        return nll[:, 0], q.scatter_add_(-1, target, torch.full_like(nll, -1.0))

    loss = chunked_loss(
        hidden, head, weights, score, vocabulary=head.vocabulary, chunk_tokens=chunk_tokens
    )
    return Likelihood(loss, *seen)
