"""The columns of the run list and what their cells hand to a view: texts, sort values, hues, tooltips."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt

from app.viewmodels import words
from app.viewmodels.provenance import dataset_part, protocol_part, provenance, run_part
from app.viewmodels.run_entry import FIELD, METRIC, SCORE, RunEntry

SORT_ROLE = int(Qt.ItemDataRole.UserRole)
"""The raw value to sort by."""
UID_ROLE = SORT_ROLE + 1
STATUS_ROLE = SORT_ROLE + 2
SPARKLINE_ROLE = SORT_ROLE + 3
"""A tuple of floats, in the loss column."""
STAR_ROLE = SORT_ROLE + 4
"""1 star, -1 cross, 0 neither."""
SEARCH_ROLE = SORT_ROLE + 5
"""Lower-case text to filter by."""
HUE_ROLE = SORT_ROLE + 6
"""The role whose hue the cell has, "muted" for words in place of a number, or ""."""
GROUP_ROLE = SORT_ROLE + 7
"""On the heading of a group of runs, its `Group`; else None."""

ASKED = frozenset(
    (
        int(Qt.ItemDataRole.DisplayRole),
        int(Qt.ItemDataRole.ToolTipRole),
        int(Qt.ItemDataRole.TextAlignmentRole),
        int(Qt.ItemDataRole.AccessibleTextRole),
        *range(SORT_ROLE, GROUP_ROLE + 1),
    )
)
"""The roles that have an answer; a view asks for as many others, for every cell that it paints."""

_TITLES = {
    "star": "",
    "status": "Status",
    "name": "Name",
    "stages": "Stages",
    "model": "Model",
    "base": "Base",
    "degraded": "Degraded",
    "recovered": "Recovered",
    "fraction": "Fraction",
    "loss": "Loss",
    "created": "Created",
    "duration": "Duration",
    "tags": "Tags",
    "notes": "Notes",
    "seed": "Seed",
}
COLUMNS = tuple(_TITLES)
_HELP = {
    "base": "Accuracy of the base model in per cent, one number a task.",
    "degraded": "Accuracy of the last degraded checkpoint in per cent, one number a task.",
    "recovered": "Accuracy of the recovered checkpoint (the last by SDFT) in per cent, one number a task.",
    "fraction": "Recovered fraction: (recovered \u2212 degraded) / (base \u2212 degraded), mean over the tasks whose "
    "loss is beyond noise.",
    "created": "When the run was queued.",
    "duration": "Time of the run so far, or until it ended.",
    "loss": "Loss of the last training stage.",
    "tags": "Words that you gave the run; edit them with T.",
    "notes": "What you wrote about the run; edit it with N.",
    "seed": "Seed of data order, initialisation and sampling.",
}
_RIGHT = frozenset({"base", "degraded", "recovered", "fraction", "duration", "seed"})


def title(column: str) -> str:
    """The heading of a column."""
    if column in _TITLES:
        return _TITLES[column]
    name = column.partition(":")[2]
    if column.startswith(METRIC):
        stage, _, key = name.rpartition("/")
        return f"{words.metric(key)[0]} · {stage}"
    if column.startswith(SCORE):
        subject, _, task = name.rpartition("/")
        return f"{words.plain(task)} · {subject}"
    return name.removeprefix("stages.")


def about(column: str) -> str:
    """What a column shows, for its heading's tooltip."""
    name = column.partition(":")[2]
    if column.startswith(METRIC):
        key = name.rpartition("/")[2]
        unit = words.metric(key)[1]
        return f"Newest value of {name}{f', in {unit}' if unit else ''}."
    if column.startswith(SCORE):
        subject, _, task = name.rpartition("/")
        return f"Accuracy on {words.plain(task)} in per cent, checkpoint {subject}."
    if column.startswith(FIELD):
        return f"Recipe field {name}."
    return _HELP.get(column, "")


def header(column: str, role: int) -> Any:
    """A heading for Qt."""
    match role:
        case Qt.ItemDataRole.DisplayRole:
            return title(column)
        case Qt.ItemDataRole.ToolTipRole:
            return about(column) or None
        case Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
    return None


def cell(entry: RunEntry, column: str, role: int) -> Any:
    """A cell for Qt; see the roles at the top."""
    match role:
        case Qt.ItemDataRole.DisplayRole:
            return entry.text(column)
        case Qt.ItemDataRole.ToolTipRole:
            return _tip(entry, column)
        case Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
    return _own(entry, column, role)


def _own(entry: RunEntry, column: str, role: int) -> Any:
    match role:
        case _ if role == SORT_ROLE:
            return entry.key(column)
        case _ if role == UID_ROLE:
            return entry.row.uid
        case _ if role == STATUS_ROLE:
            return entry.row.status
        case _ if role == SPARKLINE_ROLE:
            return entry.row.loss if column == "loss" else None
        case _ if role == STAR_ROLE:
            return entry.row.star
        case _ if role == SEARCH_ROLE:
            return entry.search
        case _ if role == HUE_ROLE:
            return _hue(entry, column)
    return None


def _tip(entry: RunEntry, column: str) -> str:
    row = entry.row
    match column:
        case "status":
            return row.failure_message
        case "name":
            tags = f"\ntags {entry.text('tags')}" if row.tags else ""
            notes = f"\n{row.notes}" if row.notes else ""
            return f"{run_part(row.name, row.uid)}{tags}{notes}"
        case "notes":
            return row.notes
        case "base" | "degraded" | "recovered" | "fraction":
            return _origin(entry, column)
    if column.startswith(SCORE):
        return _score_origin(entry, column.partition(":")[2])
    if column.startswith(METRIC) and entry.extra(column) is not None:
        stage = column.partition(":")[2].rpartition("/")[0]
        part = run_part(row.name, row.uid)
        return provenance(run=part, seed=row.seed, checkpoint=stage, dataset="", protocol="")
    return ""


def _origin(entry: RunEntry, column: str) -> str:
    """The tooltip of a score or a fraction: what stands behind it and where that comes from."""
    measured = entry.row.measured.values()
    if column == "fraction":
        lines = entry.fraction.lines()
        checkpoint = entry.fraction.judged
        scores = [it for it in measured if it.subject == entry.fraction.stage]
    else:
        checkpoint = entry.subjects.get(column, "")
        scores = [it for it in measured if it.subject == checkpoint]
        lines = [f"{words.plain(it.task)}: {it.correct} of {it.n}" for it in scores]
    if not lines:
        return ""
    origin = provenance(
        run=run_part(entry.row.name, entry.row.uid),
        seed=entry.row.seed,
        checkpoint=checkpoint,
        dataset=", ".join(dataset_part(it.dataset, it.n) for it in scores),
        protocol=", ".join(protocol_part(it.scorer, it.protocol) for it in scores),
    )
    return "\n".join((*lines, origin))


def _score_origin(entry: RunEntry, name: str) -> str:
    score = entry.row.measured.get(name)
    if score is None:
        return ""
    origin = provenance(
        run=run_part(entry.row.name, entry.row.uid),
        seed=entry.row.seed,
        checkpoint=score.subject,
        dataset=dataset_part(score.dataset, score.n),
        protocol=protocol_part(score.scorer, score.protocol),
    )
    return f"{score.correct} of {score.n}\n{origin}"


def _alignment(column: str) -> Qt.AlignmentFlag:
    right = column in _RIGHT or column.startswith((METRIC, SCORE))
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter


def _hue(entry: RunEntry, column: str) -> str:
    if column == "fraction" and entry.texts[column] in words.NO_FRACTION:
        return "muted"
    return column if column in ("base", "degraded", "recovered") else ""
