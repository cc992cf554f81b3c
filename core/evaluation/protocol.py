"""What a score means besides the network itself: the protocol, part by part.

A fingerprint over the parts goes with every score, and scores of different fingerprints are never subtracted:
published tables that did so show gains that are none (methods.md, section 0). The parts go along, so that a
refusal can say what differs (`core.analysis.protocols`). Nothing here touches a network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

Parts = Mapping[str, str]
"""What decides a score, by name; long texts by their digest."""


def digest(text: str) -> str:
    """SHA-256 of a text, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(parts: Parts) -> str:
    """One name for all parts together, 64 hexadecimal digits; their order does not count."""
    return digest(json.dumps(dict(parts), sort_keys=True, separators=(",", ":")))
