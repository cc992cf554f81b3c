"""CKA between student and teacher as a term of the loss (methods.md F2): debiased, linear, differentiable.

Rows are states of tokens, features are dimensions. With centred features x_i, y_i and k_i = |x_i|^2,
l_i = |y_i|^2 the debiased HSIC1 (Song et al. 2012, eq. 5) is, up to the factor n (n - 3) that cancels in CKA,

    <K, L> - n / (n - 2) * sum_i k_i l_i + sum_i k_i * sum_i l_i / ((n - 1) (n - 2)),

because the rows of a centred Gram matrix sum to zero. <K, L> is |X'Y|^2 in the feature form (d x d, cheaper
for n > d) and the sum of the products of the Gram matrices' entries in the Gram form (n x n); both are exact.
CKA = HSIC1(x, y) / sqrt(HSIC1(x, x) HSIC1(y, y)).

To attract is to minimise the mean over the layers of 1 - CKA. To repel is to minimise that of max(CKA, 0), not
-(1 - CKA): debiased CKA is zero for unrelated states, and there the push ends; below lies only noise.

Not here: which tokens and layers, pooling over micro-batches, weights (`core.stages.aligning`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.distill.head import wide

Direction = Literal["attract", "repel"]
Form = Literal["feature", "gram"]

SMALLEST_ROWS = 4
"""HSIC1 divides by n - 3."""

SINK_RATIO = 10.0
"""A row whose norm exceeds this many times the median is an attention sink (methods.md B3)."""

ROUNDING = 64
"""Differences below so many units in the last place of what they come from are rounding."""


Rows = dict[int, list[tuple[Tensor, Tensor]]]
"""Teacher -> of each compared layer the student's rows (n, d) and this teacher's (n, d')."""


@dataclass(frozen=True)
class Term:
    """The term on one set of rows.

    Attributes:
        value: scalar with graph, to be minimised.
        similarity: mean debiased CKA over the layers that have one.
    """

    value: Tensor
    similarity: float


@dataclass(frozen=True)
class Compared:
    """What the rows of a step came to.

    Attributes:
        rows: that were compared.
        value: of the term; 0 where it is undefined.
        similarity: mean debiased CKA; NaN where it is undefined.
        slopes: teacher -> of each layer the gradient of the term at one process's rows; without those that
            have no CKA.
    """

    rows: int
    value: float
    similarity: float
    slopes: dict[int, list[Tensor]]


def compare(shares: Sequence[Rows], mine: int, direction: Direction) -> Compared:
    """The term on pooled rows, without sinks, and its gradient at them.

    Rows of different teachers are compared apart; the terms are weighed by their rows.

    Args:
        shares: the rows of each process.
        mine: whose gradients are wanted.
        direction: of the term.
    """
    found: dict[int, tuple[int, Term, list[Tensor]]] = {}
    for teacher in sorted({it for share in shares for it in share}):
        given = [share[teacher] for share in shares if teacher in share]
        own, other = (
            [torch.cat([layer[side] for layer in layers]) for layers in zip(*given, strict=True)]
            for side in range(2)
        )
        counts = [share[teacher][0][0].shape[0] if teacher in share else 0 for share in shares]
        kept = usual_rows([*own, *other])
        with torch.enable_grad():
            leaves = [it[kept].requires_grad_() for it in own]
            term = cka_term(leaves, [it[kept] for it in other], direction)
        if term is None:
            continue
        slopes = torch.autograd.grad(term.value, leaves, allow_unused=True, materialize_grads=True)
        start, stop = sum(counts[:mine]), sum(counts[: mine + 1])
        spread = [torch.zeros_like(it) for it in own]
        for whole, slope in zip(spread, slopes, strict=True):
            whole[kept] = slope
        found[teacher] = int(kept.sum()), term, [it[start:stop] for it in spread]
    total = sum(rows for rows, *_ in found.values())
    return Compared(
        total,
        sum(rows / total * float(term.value.detach()) for rows, term, _ in found.values()),
        sum(rows / total * term.similarity for rows, term, _ in found.values())
        if found
        else math.nan,
        {
            teacher: [rows / total * it for it in slopes]
            for teacher, (rows, _, slopes) in found.items()
        },
    )


def cka_term(
    student: Sequence[Tensor], teacher: Sequence[Tensor], direction: Direction
) -> Term | None:
    """The mean over layers; None where no layer has a CKA.

    Args:
        student: of each layer the states (n, d), with graph.
        teacher: of the same layers and rows (n, d'); they get no gradient.
        direction: whether the states are to become alike or unlike.
    """
    found = [
        value
        for own, other in zip(student, teacher, strict=True)
        if (value := debiased_cka(own, other.detach())) is not None
    ]
    if not found:
        return None
    similarities = torch.stack(found)
    terms = 1 - similarities if direction == "attract" else similarities.clamp(min=0)
    return Term(terms.mean(), float(similarities.detach().mean()))


def debiased_cka(x: Tensor, y: Tensor, form: Form | None = None) -> Tensor | None:
    """Debiased linear CKA of features (n, d) and (n, d'): a float64 scalar with graph.

    Features are centred twice, with means in float64: the first mean is rounded to the size of the offset
    (methods.md B3). Products are float32 (float64 for float64 features), sums float64.

    Args:
        x: features of the rows.
        y: other features of the same rows.
        form: how <K, L> is computed; by default the cheaper way.

    Returns:
        None where it is undefined: fewer than four rows, or features that do not tell the rows apart.
    """
    n = x.shape[0]
    if n < SMALLEST_ROWS:
        return None
    if form is None:
        form = "feature" if n > max(x.shape[1], y.shape[1]) else "gram"
    first, second = _side(x, form), _side(y, form)
    of_first, of_second = _own(first, form), _own(second, form)
    if of_first is None or of_second is None:
        return None
    both = _hsic(_inner(first, second, form), first, second)
    return both / (of_first * of_second).sqrt()


def usual_rows(layers: Sequence[Tensor]) -> Tensor:
    """Which rows are no sinks: (n,) bool from layers of (n, d); the same rows for all layers and both networks."""
    kept = torch.ones(layers[0].shape[0], dtype=torch.bool, device=layers[0].device)
    if not len(kept):
        return kept
    with torch.no_grad():
        for layer in layers:
            norms = layer.square().sum(1, dtype=torch.float64).sqrt()
            kept &= norms <= SINK_RATIO * norms.quantile(0.5)
    return kept


@dataclass(frozen=True)
class _Side:
    """One network's part: centred features (n, d) or their Gram matrix (n, n), and their squared norms (n,)."""

    table: Tensor
    norms: Tensor


def _side(features: Tensor, form: Form) -> _Side:
    centred = _centred(features)
    norms = centred.square().sum(1, dtype=torch.float64)
    return _Side(centred if form == "feature" else centred @ centred.T, norms)


def _inner(a: _Side, b: _Side, form: Form) -> Tensor:
    """<K, L> of two Gram matrices."""
    product = (a.table.T @ b.table).square() if form == "feature" else a.table * b.table
    return product.sum(dtype=torch.float64)


def _hsic(inner: Tensor, a: _Side, b: _Side) -> Tensor:
    """n (n - 3) HSIC1."""
    n = a.norms.shape[0]
    diagonal = (a.norms * b.norms).sum()
    totals = a.norms.sum() * b.norms.sum()
    return inner - diagonal * (n / (n - 2)) + totals / ((n - 1) * (n - 2))


def _own(side: _Side, form: Form) -> Tensor | None:
    """n (n - 3) HSIC1 of features with themselves; None where it vanishes but for rounding."""
    inner = _inner(side, side, form)
    found = _hsic(inner, side, side)
    least = ROUNDING * torch.finfo(side.table.dtype).eps * float(inner.detach())
    return found if float(found.detach()) > least else None


def _centred(features: Tensor) -> Tensor:
    """Features with zero column means, at most 1 in size; columns that are constant but for rounding are zero."""
    exact = features.to(wide(features.dtype))
    centred = exact - exact.mean(0, dtype=torch.float64).to(exact.dtype)
    centred = centred - centred.mean(0, dtype=torch.float64).to(exact.dtype)
    spread, size = centred.detach().abs().amax(0), exact.detach().abs().amax(0)
    flat = spread <= ROUNDING * torch.finfo(exact.dtype).eps * size
    largest = spread.masked_fill(flat, 0.0).amax()
    scaled = centred / torch.where(largest > 0, largest, 1.0)  # CKA does not see a factor
    return scaled.masked_fill(flat, 0.0)
