"""How far a network's next-token distributions are from the reference's, on the positions of a probe.

Two networks of equal geometry may answer differently, and the other way round; this is the functional measure
beside the geometric ones (methods.md F5). Of the reference its head and the states that enter it are kept, not
its distributions, which for a large vocabulary would be gigabytes. Logits exist for a few positions at a time,
in the precision in which the networks compute them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.distill.head import Head, check_head, chunk_rows, head_of, log_softmax_

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHUNK_TOKENS = 64
"""Positions whose logits exist at once: 39 MB in float32 for each network of 152,064 entries."""


def host_head(model: PreTrainedModel) -> Head:
    """The head of a network, in host memory, for after the network is freed.

    Raises:
        UserError: its logits are no linear head, optionally scaled or soft-capped.
    """
    head = head_of(model)
    check_head(model, head)
    return _moved(head, torch.device("cpu"))


class NextTokenKl:
    """Mean KL(reference || subject) over positions, in nats.

    Vocabularies that differ by padding are cropped to the smaller one before the softmax (methods.md A2.9).

    Args:
        reference: from `host_head`.
        subject: the network that is measured.

    Raises:
        UserError: as `host_head`.
    """

    def __init__(self, reference: Head, subject: PreTrainedModel) -> None:
        self._subject = head_of(subject)
        check_head(subject, self._subject)
        self._device = self._subject.weight.device
        self._reference = _moved(reference, self._device)
        self._total, self._count = 0.0, 0

    @torch.no_grad()
    def add(self, reference: Tensor, subject: Tensor) -> None:
        """Take in positions, given by what enters the two heads: (n, d) each."""
        vocabulary = min(self._reference.vocabulary, self._subject.vocabulary)
        rows = chunk_rows(CHUNK_TOKENS, vocabulary, self._device)
        for ours, theirs in zip(
            torch.split(subject, rows), torch.split(reference, rows), strict=True
        ):
            log_q = log_softmax_(self._subject.logits(ours.to(self._device), vocabulary), 1.0)
            log_p = log_softmax_(self._reference.logits(theirs.to(self._device), vocabulary), 1.0)
            kl = torch.linalg.vecdot(log_p.exp(), log_p - log_q)
            self._total += float(kl.clamp(min=0).sum())  # below 0 is rounding
        self._count += len(subject)

    @property
    def mean(self) -> float:
        """Over all positions so far; NaN without any."""
        return self._total / self._count if self._count else float("nan")


def _moved(head: Head, device: torch.device) -> Head:
    bias = None if head.bias is None else head.bias.detach().to(device)
    return replace(head, weight=head.weight.detach().to(device), bias=bias)
