"""What distance SDFT takes between the teacher's distribution p and the student's q at one token.

A measure here is a choice without data, and the mathematics of that choice on full rows: value and gradient
with respect to the student's logits. Forward KL is KL(p||q); reverse KL is KL(q||p); JSD mixes
m = alpha*p + (1-alpha)*q and is alpha*KL(p||m) + (1-alpha)*KL(q||m), as GKD and TRL write it. The raw JSD
is not continuous with the two KLs at its ends: its gradient goes to zero there (methods.md A1). Divided by
alpha*(1-alpha) it tends to forward KL for alpha -> 0 and to reverse KL for alpha -> 1.

Not here: which entries of the vocabulary take part (`support`), heads, chunks, weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

Kind = Literal["forward_kl", "reverse_kl", "jsd"]

# exp(80) is finite in float32; beyond it 1 + alpha*(exp(r) - 1) is alpha*exp(r) to the last digit.
_LARGEST_EXPONENT = 80.0


@dataclass(frozen=True)
class Measure:
    """The choice of a distance.

    Attributes:
        kind: which divergence.
        alpha: the teacher's share of the mixture, in (0, 1); only JSD has one.
        normalised: JSD divided by alpha*(1-alpha); false: as in TRL and GKD.
        top_k: entries that are told apart; all others are one entry, the tail, that holds the rest of
            the mass. They are the teacher's likeliest for forward KL, the student's for reverse KL, both
            for JSD: any other choice is blind where it matters (methods.md A2.1). None: all.
        clip: a token's value is cut at this, in nats, after the sum over the vocabulary; a token that is
            cut has no gradient. Clipping each entry instead can make a token's loss negative (A2.6).
    """

    kind: Kind = "forward_kl"
    alpha: float = 0.5
    normalised: bool = True
    top_k: int | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("forward_kl", "reverse_kl", "jsd"):
            raise ValueError(f"there is no measure {self.kind!r}")
        if self.kind == "jsd" and not 0 < self.alpha < 1:
            raise ValueError(f"alpha of a JSD lies between 0 and 1, not at {self.alpha}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is at least 1, not {self.top_k}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is larger than 0, not {self.clip}")


@dataclass(frozen=True)
class Pair:
    """Both distributions at n tokens, with V entries each; `ratio` is log p - log q."""

    p: Tensor  # (n, V)
    q: Tensor  # (n, V)
    ratio: Tensor  # (n, V)
    forward: Tensor  # (n,) KL(p||q)
    reverse: Tensor  # (n,) KL(q||p)


def pair(p: Tensor, q: Tensor, ratio: Tensor) -> Pair:
    """The distributions with both KLs."""
    return Pair(p, q, ratio, inner(p, ratio), inner(q, ratio).neg_())


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Row by row inner product (n,) of two (n, V)."""
    return cast("Tensor", torch.linalg.vecdot(a, b))


def value_and_slope(measure: Measure, both: Pair, out: Tensor) -> tuple[Tensor, Tensor]:
    """The measure (n,), not clipped, and its gradient (n, V) with respect to the student's logits / T.

    For an entry j it is q_j * (h_j - sum_c q_c h_c), h = dL/dq (methods.md A1):

    * forward KL: q - p
    * reverse KL: q * (log q/p - KL(q||p))
    * JSD: (1-alpha) * q * (log q/m - KL(q||m))

    Args:
        measure: which one.
        both: the distributions; `ratio` is overwritten for JSD.
        out: (n, V), takes the gradient; must not be one of the pair's tensors.
    """
    if measure.kind == "forward_kl":
        return both.forward, torch.sub(both.q, both.p, out=out)
    if measure.kind == "reverse_kl":
        torch.add(both.ratio, both.reverse[:, None], out=out)
        return both.reverse, out.mul_(both.q).neg_()
    return _jensen_shannon(measure, both, out)


def _jensen_shannon(measure: Measure, both: Pair, out: Tensor) -> tuple[Tensor, Tensor]:
    """JSD by u = log m/q and v = log m/p = u - ratio.

    The smaller side of the mixture decides which of the two is a small number and is computed directly,
    so that it keeps its relative precision: it is divided by alpha or 1-alpha afterwards.
    """
    alpha, ratio = measure.alpha, both.ratio
    if alpha <= 0.5:
        u = _log_mixed(ratio, alpha, out)
        v = ratio.neg_().add_(u)
    else:
        v = _log_mixed(ratio.neg_(), 1 - alpha, out)
        u = torch.sub(v, ratio, out=ratio)  # the ratio was negated
    of_teacher, of_student = -inner(both.p, v), -inner(both.q, u)  # KL(p||m), KL(q||m)
    scale = alpha * (1 - alpha) if measure.normalised else 1.0
    value = (alpha / scale) * of_teacher + ((1 - alpha) / scale) * of_student
    torch.add(u, of_student[:, None], out=out)
    return value, out.mul_(both.q).mul_(-(1 - alpha) / scale)


def _log_mixed(ratio: Tensor, share: float, out: Tensor) -> Tensor:
    """log(1 + share*(exp(ratio) - 1)) into `out`, without overflow, precise where it is small.

    The logarithm of 1+x is log(w) * x/(w-1) with w = 1+x rounded (Kahan): the error of the rounding
    cancels; where w is 1, it is x. torch.log1p is as precise, but took 15 times as long on a CPU.
    """
    x = torch.clamp(ratio, max=_LARGEST_EXPONENT, out=out).exp_().sub_(1).mul_(share)
    w = x + 1
    log_w = w.log()
    step = w.sub_(1)
    torch.where(step == 0, x, log_w.mul_(x).div_(step), out=out)
    return out.add_((ratio - _LARGEST_EXPONENT).clamp_(min=0))
