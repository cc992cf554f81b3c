"""What deleting a checkpoint loses, in words."""

from __future__ import annotations

from collections.abc import Mapping

from app.viewmodels import words
from app.viewmodels.model_words import counted
from core.engine.removal import KEPT_SECONDS, Removal

MOST_NAMED = 6


def loss(plan: Removal, names: Mapping[str, str]) -> tuple[str, str]:
    """Title and text of the question before deleting: exactly what is lost, and what stays."""
    chosen = names[plan.chosen.identity]
    title = f"Delete {chosen}?"
    parts = [f"{words.size(plan.bytes)} on the disk."]
    if plan.dependants:
        listed = _listed([names[it.identity] for it in plan.dependants])
        parts.append(
            f"{counted(len(plan.dependants), 'checkpoint')} cannot be opened without it and "
            f"{'goes' if len(plan.dependants) == 1 else 'go'} too: {listed}."
        )
    if plan.remade:
        listed = _listed([names[it.identity] for it in plan.remade])
        parts.append(f"Made from it, complete in themselves, and kept: {listed}.")
    if plan.resumes:
        parts.append(
            f"When resumed, {_listed(list(plan.resumes))} would have to make it again first."
        )
    if plan.based:
        have = "it is its base" if len(plan.based) == 1 else "it is their base"
        parts.append(f"{_listed(list(plan.based))} cannot be run without it: {have}.")
    if plan.measured:
        parts.append(
            f"{counted(plan.measured, 'score')} stay readable; they cannot be measured again."
        )
    if plan.outside is not None:
        parts.append(f"The model's own files in {plan.outside} are not touched.")
    kept = words.duration(KEPT_SECONDS)
    parts.append(f"The trash keeps the files for {kept}; until then they can be put back.")
    return title, "\n".join(parts)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    more = len(names) - MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
