"""Where a number comes from, in words: the text of its tooltip."""

from __future__ import annotations

from app.viewmodels import words

UID_CHARACTERS = 8
FINGERPRINT_CHARACTERS = 8


def provenance(*, run: str, seed: int | None, checkpoint: str, dataset: str, protocol: str) -> str:
    """One line a part, as plain text; parts that are empty (or an unknown seed) are left out."""
    parts = (
        ("run", run),
        ("checkpoint", checkpoint),
        ("dataset", dataset),
        ("protocol", protocol),
        ("seed", "" if seed is None else str(seed)),
    )
    return "\n".join(f"{name} {value}" for name, value in parts if value)


def run_part(name: str, uid: str) -> str:
    """A run by its name and the beginning of its id."""
    return f"{name} ({uid[:UID_CHARACTERS]})"


def dataset_part(dataset: str, n: int) -> str:
    """A dataset and how many of its items were scored."""
    return f"{dataset} · n {n:,}" if dataset else f"n {n:,}"


def protocol_part(scorer: str, fingerprint: str) -> str:
    """A scorer in words and the beginning of the protocol's fingerprint."""
    named = words.SCORER.get(scorer, scorer)
    return " · ".join(part for part in (named, fingerprint[:FINGERPRINT_CHARACTERS]) if part)
