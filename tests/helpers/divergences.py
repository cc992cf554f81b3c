"""Divergences of one token in float64 NumPy, written from their definitions and not from the code under test.

The partition of the vocabulary into told-apart entries and one tail is built as a list of buckets; the
gradient is the chain rule over buckets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.distill.measure import Measure

Row = NDArray[np.float64]


def log_softmax(logits: Row) -> Row:
    """Along the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def value_of(measure: Measure, p: Row, q: Row) -> float:
    """The measure between two distributions over the same buckets, neither cut nor partitioned."""

    def kl(a: Row, b: Row) -> float:
        held = a > 0
        return float((a[held] * (np.log(a[held]) - np.log(b[held]))).sum())

    if measure.kind == "forward_kl":
        return kl(p, q)
    if measure.kind == "reverse_kl":
        return kl(q, p)
    alpha = measure.alpha
    mixture = alpha * p + (1 - alpha) * q
    value = alpha * kl(p, mixture) + (1 - alpha) * kl(q, mixture)
    return value / (alpha * (1 - alpha)) if measure.normalised else value


def slope_of(measure: Measure, p: Row, q: Row) -> Row:
    """Derivative of `value_of` by each q."""
    if measure.kind == "forward_kl":
        return np.asarray(-p / q)
    if measure.kind == "reverse_kl":
        return np.asarray(np.log(q / p) + 1)
    alpha = measure.alpha
    mixture = alpha * p + (1 - alpha) * q
    slope = (
        -alpha * (1 - alpha) * p / mixture
        + (1 - alpha) * (np.log(q / mixture) + 1)
        - (1 - alpha) ** 2 * q / mixture
    )
    return np.asarray(slope / (alpha * (1 - alpha)) if measure.normalised else slope)


def told_apart(measure: Measure, p: Row, q: Row) -> list[int]:
    """Entries that are not in the tail."""
    size = len(p)
    if measure.top_k is None or measure.top_k >= size:
        return list(range(size))
    teachers = set(np.argsort(-p)[: measure.top_k].tolist())
    students = set(np.argsort(-q)[: measure.top_k].tolist())
    chosen = {
        "forward_kl": teachers,
        "reverse_kl": students,
        "jsd": teachers | students,
    }
    return sorted(chosen[measure.kind])


def token(
    measure: Measure, log_p: Row, student_logits: Row, temperature: float
) -> tuple[float, Row, float]:
    """Value, gradient by the student's logits (V,) and covered mass, of one token.

    Args:
        measure: with its top-k and clip.
        log_p: the teacher's log-probabilities (V,).
        student_logits: (V,).
        temperature: of the student's; the teacher's is in `log_p`.
    """
    p, q = np.exp(log_p), np.exp(log_softmax(student_logits / temperature))
    told = told_apart(measure, p, q)
    tail = sorted(set(range(len(p))) - set(told))
    buckets = [[j] for j in told] + ([tail] if tail else [])
    coarse_p = np.array([p[bucket].sum() for bucket in buckets])
    coarse_q = np.array([q[bucket].sum() for bucket in buckets])
    value = value_of(measure, coarse_p, coarse_q)
    by_bucket = slope_of(measure, coarse_p, coarse_q)
    by_entry = np.empty_like(q)
    for bucket, slope in zip(buckets, by_bucket, strict=True):
        by_entry[bucket] = slope
    gradient = q * (by_entry - (q * by_entry).sum()) / temperature
    of_p, of_q = float(p[told].sum()), float(q[told].sum())
    covered = {"forward_kl": of_p, "reverse_kl": of_q, "jsd": (of_p + of_q) / 2}[measure.kind]
    if measure.clip is not None and value > measure.clip:
        return measure.clip, np.zeros_like(gradient), covered
    return value, gradient, covered
