"""Parts of a protocol: one fingerprint for equal ones."""

from __future__ import annotations

from core.evaluation.protocol import digest, fingerprint

PARTS = {"scorer": "a_v1", "items": "97", "dataset": "d" * 64}


def test_that_equal_parts_in_any_order_have_one_fingerprint() -> None:
    assert fingerprint(PARTS) == fingerprint(dict(reversed(PARTS.items())))
    assert fingerprint(PARTS) != fingerprint({**PARTS, "items": "96"})
    assert fingerprint(PARTS) != fingerprint({**PARTS, "num_fewshot": "0"})
    assert len(fingerprint(PARTS)) == len(digest("x")) == 64
