"""Parts of a protocol: one fingerprint for equal ones, and what differs between others."""

from __future__ import annotations

from core.evaluation.protocol import Difference, digest, fingerprint, why_different

PARTS = {"scorer": "a_v1", "items": "97", "dataset": "d" * 64}


def test_that_equal_parts_in_any_order_have_one_fingerprint() -> None:
    assert fingerprint(PARTS) == fingerprint(dict(reversed(PARTS.items())))
    assert fingerprint(PARTS) != fingerprint({**PARTS, "items": "96"})
    assert fingerprint(PARTS) != fingerprint({**PARTS, "num_fewshot": "0"})
    assert len(fingerprint(PARTS)) == len(digest("x")) == 64


def test_that_each_part_that_differs_or_is_missing_is_named() -> None:
    other = {"scorer": "a_v1", "items": "507", "max_new_tokens": "8"}
    assert why_different(PARTS, other) == [
        Difference("items", "97", "507"),
        Difference("dataset", "d" * 64, None),
        Difference("max_new_tokens", None, "8"),
    ]
    assert why_different(PARTS, dict(PARTS)) == []


def test_that_nothing_is_said_of_scores_from_before_parts_were_kept() -> None:
    assert why_different({}, PARTS) == why_different(PARTS, {}) == []
