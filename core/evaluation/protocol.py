"""What a score means besides the network itself: the protocol, part by part.

A fingerprint over the parts goes with every score, and scores of different fingerprints are never subtracted:
published tables that did so show gains that are none (methods.md, section 0). The parts go along, so that a
refusal can say what differs. Nothing here touches a network; words for people are the window's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

Parts = Mapping[str, str]
"""What decides a score, by name; long texts by their digest."""


def digest(text: str) -> str:
    """SHA-256 of a text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(parts: Parts) -> str:
    """One name for all parts together, 64 hexadecimal digits; their order does not count."""
    return digest(json.dumps(dict(parts), sort_keys=True, separators=(",", ":")))


@dataclass(frozen=True)
class Difference:
    """A part in which two protocols differ; None where one of them has no such part."""

    part: str
    first: str | None
    second: str | None


def why_different(first: Parts, second: Parts) -> list[Difference]:
    """The parts in which two protocols differ, in the order of the first and then of the second.

    Empty for equal protocols, and where one of them has no parts at all (a score from before they were kept):
    then there is nothing to say in particular.
    """
    if not first or not second:
        return []
    return [
        Difference(name, first.get(name), second.get(name))
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]
