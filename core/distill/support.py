"""The entries of a vocabulary that a top-k divergence tells apart, and the tail that holds all others.

The divergence of the partition {each of k entries, the tail} equals the full divergence between the
student and a *coarsened* teacher: one that has its own probabilities on the k entries and, outside, the
student's shape with its own mass (log p~ = log q + log P_tail/Q_tail). Value and gradient both agree, for
every measure that depends on ratios only: in the tail all ratios are the same, so the sums over its entries are
the bucket's. So no measure needs a second formula, and a tail is never a difference from one: it is summed
over the complement, which keeps it exact where the k entries hold nearly everything.

Not here: the measures themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.distill.measure import Measure


def support_of(measure: Measure, log_p: Tensor, log_q: Tensor) -> Tensor | None:
    """Which entries (n, V), bool, the measure tells apart; None: all.

    Args:
        measure: its kind says whose likeliest entries are taken.
        log_p: the teacher's log-probabilities (n, V).
        log_q: the student's.
    """
    if measure.top_k is None or measure.top_k >= log_q.shape[-1]:
        return None
    inside = torch.zeros(log_q.shape, dtype=torch.bool, device=log_q.device)
    if measure.kind != "reverse_kl":
        inside.scatter_(-1, log_p.topk(measure.top_k, sorted=False).indices, True)
    if measure.kind != "forward_kl":
        inside.scatter_(-1, log_q.topk(measure.top_k, sorted=False).indices, True)
    return inside


def coarsen_(
    log_p: Tensor, p: Tensor, log_q: Tensor, q: Tensor, inside: Tensor
) -> tuple[Tensor, Tensor]:
    """Give the teacher the student's shape outside of the support, keeping its mass there.

    Args:
        log_p: (n, V), overwritten.
        p: (n, V) its exponential, overwritten.
        log_q: (n, V).
        q: (n, V).
        inside: (n, V), the support.

    Returns:
        The mass of teacher and student (n,) inside the support.
    """
    log_tail_p, log_tail_q = log_tail_of(log_p, inside), log_tail_of(log_q, inside)
    shift = log_tail_p.sub_(log_tail_q).nan_to_num_(nan=0.0)[:, None]  # no tail: never used
    outside = ~inside
    masses = (p.masked_fill(outside, 0).sum(-1), q.masked_fill(outside, 0).sum(-1))
    torch.where(inside, log_p, log_q + shift, out=log_p)
    torch.exp(log_p, out=p)
    return masses


def log_tail_of(log_p: Tensor, inside: Tensor) -> Tensor:
    """Log of the mass (n,) outside of the support, summed there; -inf without an outside."""
    return log_p.masked_fill(inside, -torch.inf).logsumexp(-1)
