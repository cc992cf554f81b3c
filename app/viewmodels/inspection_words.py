"""What an inspected model says of itself, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.viewmodels import words
from app.viewmodels.model_words import IDENTITY_CHARACTERS, Fact

_COUNTS = (
    ("layers", "layers"),
    ("hidden", "width"),
    ("vocabulary", "vocabulary"),
    ("context", "longest text"),
)
_SCALES = (("B", 10**9), ("M", 10**6), ("k", 10**3))


def facts(found: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Architecture, sizes, precision, hashes, licence; what is unknown is left out."""
    lines = [
        Fact("architecture", str(found.get("architecture") or "")),
        Fact("parameters", parameters(int(found.get("parameters") or 0))),
        Fact("precision", str(found.get("dtype") or "")),
        Fact("size", words.size(found["bytes"]) if found.get("bytes") else ""),
        *(Fact(title, f"{found[key]:,}") for key, title in _COUNTS if found.get(key)),
        _hash("tokenizer", found),
        _hash("template", found),
        Fact("commit", str(found.get("commit") or "")[:IDENTITY_CHARACTERS]),
        Fact("licence", str(found.get("licence") or "")),
    ]
    return tuple(line for line in lines if line.value)


def refusal(found: Mapping[str, Any]) -> str:
    """Why it cannot be a base and what to do; "" when it can."""
    return f"{found.get('refusal') or ''} {found.get('hint') or ''}".strip()


def parameters(count: int) -> str:
    """ "1.2 B (1,234,567,890)"; "" for none."""
    if not count:
        return ""
    for unit, scale in _SCALES:
        if count >= scale:
            return f"{count / scale:.3g} {unit} ({count:,})"
    return str(count)


def _hash(key: str, found: Mapping[str, Any]) -> Fact:
    title = {"tokenizer": "tokenizer", "template": "chat template"}[key]
    value = str(found.get(key) or "")
    if not value and found.get("origin") == "folder":
        return Fact(title, "none")
    return Fact(title, f"SHA-256 {value[:IDENTITY_CHARACTERS]}" if value else "", value)
