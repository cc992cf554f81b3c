"""What is said of datasets."""

from __future__ import annotations

from collections.abc import Mapping

from app.viewmodels import words
from app.viewmodels.data_entries import DEMO, IMPORTED, RECIPE, RUNS, Entry

COLUMN: Mapping[str, str] = {
    "name": "Name",
    "format": "Format",
    "items": "Rows",
    "size": "Size",
    "origin": "From",
    "runs": "Runs",
    "problems": "Problems",
}
FORMAT: Mapping[str, str] = {
    "": "not recognised",
    "tooluse": "tool use",
    "sciknoweval": "SciKnowEval",
    "mmlu": "MMLU",
    "winogrande": "Winogrande",
    "messages": "messages",
    "columns": "own columns",
}
ORIGIN: Mapping[str, str] = {
    RECIPE: "this recipe",
    IMPORTED: "imported",
    RUNS: "runs",
    DEMO: "generated",
}
ROLE: Mapping[str, str] = {
    "prompt": "Prompt",
    "demonstration": "Demonstration",
    "answer": "Answer key",
    "choices": "Options",
    "system": "System turn",
    "subject": "Group or subject",
}
ROLE_HELP: Mapping[str, str] = {
    "prompt": "What is asked: the last user turn. It has to be a text in every row.",
    "demonstration": "The expert response: shown to the teacher, and what SFT trains on.",
    "answer": "The gold answer that an evaluation compares with; for options their index, letter or text.",
    "choices": "A list of options, for multiple choice.",
    "system": "A system turn before the prompt.",
    "subject": "What items cluster by in intervals, and by which worked examples are chosen.",
}
NO_COLUMN = "—"


def format_of(entry: Entry) -> str:
    """The format in a word."""
    return FORMAT[entry.known.format] if entry.known is not None else words.NONE


def origins(entry: Entry) -> str:
    """Where it is known from."""
    return ", ".join(ORIGIN[it] for it in entry.origins)


def problems(entry: Entry) -> str:
    """What is wrong, in a few words; "" when nothing is."""
    if entry.missing:
        return "file not found"
    if entry.changed:
        return "changed since the import"
    if entry.known is None:
        return ""
    if not entry.known.rows:
        return "no rows"
    if not entry.known.format:
        return "columns to be named"
    if entry.known.faulty:
        return f"{entry.known.faulty:,} broken {'row' if entry.known.faulty == 1 else 'rows'}"
    return ""


def tip(entry: Entry) -> str:
    """Name, place, and what has used it."""
    used = f"used by {entry.runs:,} {'run' if entry.runs == 1 else 'runs'}" if entry.runs else ""
    return "\n".join(it for it in (entry.name, entry.place, used, problems(entry)) if it)


def share(count: int, of: int) -> str:
    """ "12 (3.1 %)"; the number alone where there is nothing to divide by."""
    return f"{count:,} ({100 * count / of:.1f} %)" if of else f"{count:,}"
