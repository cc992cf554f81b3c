"""Which column is what: the form behind `columns` of a recipe's dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.viewmodels import data_words
from app.viewmodels.data_entries import Source
from core.data.formats import COLUMNS

OWN = "columns"
AUTO = "auto"
FORMATS = (AUTO, "columns", "tooluse", "sciknoweval", "mmlu", "winogrande", "messages")
_LIKELY: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", "question", "instruction", "input", "query", "text"),
    "demonstration": (
        "demonstration",
        "response",
        "completion",
        "output",
        "solution",
        "reply",
        "golden_response",
    ),
    "answer": ("answer", "gold", "label", "target", "answerkey", "key"),
    "choices": ("choices", "options"),
    "system": ("system", "system_prompt"),
    "subject": ("subject", "group", "category", "topic", "domain"),
}
"""Names by which columns often go, the likeliest first."""


@dataclass(frozen=True)
class RoleView:
    """One line of the form: what is asked for, what was chosen, what can be, and what is wrong."""

    role: str
    title: str
    help: str
    column: str
    problem: str


def roles(
    source: Source, fields: Sequence[tuple[str, str, int, str]], rows: int
) -> tuple[RoleView, ...]:
    """The lines of the form.

    Args:
        source: being mapped.
        fields: name, kind, in how many rows, and an example of each column.
        rows: of the file.
    """
    chosen = source.get("columns") or {}
    known = {name: (kind, filled) for name, kind, filled, _ in fields}
    return tuple(
        RoleView(
            role,
            data_words.ROLE[role],
            data_words.ROLE_HELP[role],
            str(chosen.get(role, "")),
            _problem(role, str(chosen.get(role, "")), known, rows) if chosen else "",
        )
        for role in COLUMNS
    )


def mapped(source: Source, role: str, column: str) -> dict[str, Any]:
    """The source with another column for a role ("" for none)."""
    columns = {**(source.get("columns") or {}), role: column}
    kept = {name: columns[name] for name in COLUMNS if columns.get(name)}
    changed = {name: value for name, value in source.items() if name not in ("columns", "format")}
    return {**changed, "format": OWN, "columns": kept} if kept else changed


def with_format(source: Source, format: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """The source read as another format; `columns` are those for its own columns."""
    changed = {name: value for name, value in source.items() if name not in ("columns", "format")}
    if format == OWN:
        return {**changed, "format": OWN, "columns": dict(columns)}
    return changed if format == AUTO else {**changed, "format": format}


def guessed(names: Sequence[str]) -> dict[str, str]:
    """Columns for the roles, by the names they often have; no column twice."""
    lower = {name.lower(): name for name in reversed(names)}
    found: dict[str, str] = {}
    for role in COLUMNS:
        column = next((lower[it] for it in _LIKELY[role] if it in lower), "")
        if column and column not in found.values():
            found[role] = column
    return found


def _problem(role: str, column: str, known: Mapping[str, tuple[str, int]], rows: int) -> str:
    if not column:
        return "Choose the column that holds what is asked." if role == "prompt" else ""
    if column not in known:
        return f"The rows have no column {column}."
    kind, filled = known[column]
    if role == "prompt" and kind != "text":
        return f"This column holds a {kind}, not a text." if kind else "This column is empty."
    if role == "prompt" and filled < rows:
        return f"Empty in {rows - filled:,} of {rows:,} rows."
    if role == "choices" and not any(it in kind for it in ("list", "text")):
        return f"This column holds a {kind or 'nothing'}, not a list of options."
    return ""
