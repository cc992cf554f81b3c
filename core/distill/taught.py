"""The teacher's side of N tokens, as the divergence asks for it: log-probabilities of a few tokens at a time.

`TaughtStates` is one network's, from its last hidden states; `TaughtMixture` is several networks' as one
distribution. Nothing of (N, V) is ever kept. `TaughtCache` is kept: the likeliest entries of each token,
for a teacher that is not loaded while the student is trained.

Not here: the networks (`teacher`), nor which tokens count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from core.distill.head import Head, chunk_rows, log_softmax_
from core.distill.support import log_tail_of

Pool = Literal["linear", "log_linear"]


class TeacherTokens(Protocol):
    """What a teacher says at N tokens."""

    @property
    def vocabulary(self) -> int:
        """Entries it knows, padding included."""

    def log_probabilities(self, rows: Tensor, vocabulary: int, temperature: float) -> Tensor:
        """Log-probabilities (n, vocabulary), in float32 or float64, that the caller may overwrite.

        Args:
            rows: (n,) which of the N tokens.
            vocabulary: entries that take part; cropped before the softmax.
            temperature: the logits are divided by it.
        """


@dataclass(frozen=True)
class TaughtStates:
    """One network's last hidden states (N, H) and its head."""

    hidden: Tensor
    head: Head

    @property
    def vocabulary(self) -> int:
        """Rows of the head."""
        return self.head.vocabulary

    @torch.no_grad()
    def log_probabilities(self, rows: Tensor, vocabulary: int, temperature: float) -> Tensor:
        """See `TeacherTokens`."""
        logits = self.head.logits(self.hidden[rows.to(self.hidden.device)], vocabulary)
        return log_softmax_(logits, temperature)


@dataclass(frozen=True)
class TaughtMixture:
    """Several teachers as one distribution.

    Attributes:
        teachers: M of them, at the same N tokens.
        weights: of each, (M,) or for each token (N, M); not negative; they are divided by their sum.
        pool: `linear` averages probabilities (a token may be likely to any teacher), `log_linear`
            averages their logarithms and normalises (it must be likely to all).
    """

    teachers: Sequence[TeacherTokens]
    weights: Tensor
    pool: Pool = "linear"

    def __post_init__(self) -> None:
        if not self.teachers or self.weights.shape[-1] != len(self.teachers):
            raise ValueError(f"{self.weights.shape[-1]} weights for {len(self.teachers)} teachers")
        if bool((self.weights < 0).any()) or not bool((self.weights.sum(-1) > 0).all()):
            raise ValueError("weights of teachers are not negative, and not all zero")
        if self.pool not in ("linear", "log_linear"):
            raise ValueError(f"there is no pool {self.pool!r}")

    @property
    def vocabulary(self) -> int:
        """Entries that every teacher knows."""
        return min(teacher.vocabulary for teacher in self.teachers)

    @torch.no_grad()
    def log_probabilities(self, rows: Tensor, vocabulary: int, temperature: float) -> Tensor:
        """See `TeacherTokens`; two tensors of that size exist at a time."""
        mixed: Tensor | None = None
        for number, teacher in enumerate(self.teachers):
            log_p = teacher.log_probabilities(rows, vocabulary, temperature)
            share = self._shares(rows, log_p)[:, number, None]  # (n, 1)
            if self.pool == "linear":
                log_p.add_(share.log())
                mixed = log_p if mixed is None else torch.logaddexp(mixed, log_p, out=mixed)
            else:
                log_p.mul_(share)
                mixed = log_p if mixed is None else mixed.add_(log_p.to(mixed))
        assert mixed is not None  # there is at least one teacher
        return mixed if self.pool == "linear" else log_softmax_(mixed, 1.0)

    def _shares(self, rows: Tensor, like: Tensor) -> Tensor:
        """Normalised weights (n, M) in dtype and place of `like`."""
        weights = self.weights[None]
        if self.weights.ndim == 2:
            weights = self.weights[rows.to(self.weights.device)]
        weights = weights.to(like)
        return (weights / weights.sum(-1, keepdim=True)).expand(len(rows), -1)


@dataclass(frozen=True)
class TaughtCache:
    """The k likeliest entries of a teacher at N tokens, likeliest first, and the mass of all others.

    Attributes:
        ids: (N, k) entries.
        log_p: (N, k) their log-probabilities.
        temperature: at which they were taken; no other can be had.
        vocabulary: entries that took part in the softmax.
        log_tail: (N,) log of the others' mass; None: one minus the sum, which has no digits left where
            the k entries hold nearly everything.
    """

    ids: Tensor
    log_p: Tensor
    temperature: float
    vocabulary: int
    log_tail: Tensor | None = None

    def __post_init__(self) -> None:
        if self.ids.shape != self.log_p.shape or self.ids.ndim != 2:
            raise ValueError(f"ids {tuple(self.ids.shape)}, log_p {tuple(self.log_p.shape)}")

    def spread(self, rows: Tensor, top_k: int | None, log_q: Tensor) -> Tensor:
        """The coarsened teacher (see `support`) as log-probabilities (n, V), in a tensor of its own.

        Args:
            rows: (n,) which of the N tokens.
            top_k: entries used of the k kept; None: all.
            log_q: the student's log-probabilities (n, V), whose shape the tail takes.
        """
        ids, log_p, log_tail = self._narrowed(rows, top_k, log_q)
        inside = torch.zeros(log_q.shape, dtype=torch.bool, device=log_q.device)
        shift = log_tail - log_tail_of(log_q, inside.scatter_(-1, ids, True))
        shift.nan_to_num_(nan=0.0, posinf=0.0)  # no tail: never used
        return (log_q + shift[:, None]).scatter_(-1, ids, log_p)

    def covered(self, rows: Tensor, top_k: int | None) -> Tensor:
        """The teacher's mass (n,) on the entries used."""
        return self.log_p[rows.to(self.log_p.device), :top_k].exp().sum(-1)

    def preferred(self, rows: Tensor) -> Tensor:
        """The teacher's likeliest entry (n,)."""
        return self.ids[rows.to(self.ids.device), 0]

    def _narrowed(
        self, rows: Tensor, top_k: int | None, like: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (n, k), their log-probabilities, and the log of the tail's mass (n,), finite."""
        rows = rows.to(self.ids.device)
        ids, log_p = self.ids[rows].to(like.device), self.log_p[rows].to(like)
        if self.log_tail is None:
            log_tail = (1 - log_p.exp().sum(-1)).clamp_(min=0).log_()
        else:
            log_tail = self.log_tail[rows].to(like)
        dropped = log_p[:, ids.shape[-1] if top_k is None else top_k :]
        if dropped.shape[-1]:
            log_tail = torch.logaddexp(log_tail, dropped.logsumexp(-1))
        # A tail of nothing counts as the smallest positive number: zero times its logarithm is a number.
        floor = math.log(torch.finfo(like.dtype).tiny)
        return ids[:, :top_k], log_p[:, :top_k], log_tail.clamp_(min=floor)


@torch.no_grad()
def cache_of(
    teacher: TeacherTokens,
    count: int,
    top_k: int,
    temperature: float = 1.0,
    chunk_tokens: int = 256,
    vocabulary: int | None = None,
) -> TaughtCache:
    """Keep a teacher's likeliest entries of tokens 0 to `count`.

    Args:
        teacher: the full distributions.
        count: N.
        top_k: entries kept of each token; at most the vocabulary.
        temperature: the logits are divided by it.
        chunk_tokens: tokens whose full distribution exists at once.
        vocabulary: entries that take part, at most the teacher's; the smaller of the student's and the
            teacher's, when a student of fewer entries is to learn from it.
    """
    size = min(teacher.vocabulary, vocabulary or teacher.vocabulary)
    kept = min(top_k, size)
    device = teacher.log_probabilities(torch.arange(min(count, 1)), size, temperature).device
    ids, log_ps, tails = [], [], []
    for rows in torch.split(torch.arange(count), chunk_rows(chunk_tokens, size, device)):
        log_p = teacher.log_probabilities(rows, size, temperature)
        values, places = log_p.topk(kept)
        tails.append(log_p.scatter_(-1, places, -torch.inf).logsumexp(-1))
        ids.append(places)
        log_ps.append(values)
    if not ids:
        empty = torch.empty(0, kept)
        return TaughtCache(empty.long(), empty, temperature, size, torch.empty(0))
    return TaughtCache(torch.cat(ids), torch.cat(log_ps), temperature, size, torch.cat(tails))
