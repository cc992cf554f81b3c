"""Tables as text: tab-separated, Markdown, CSV. The first row is the heading."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence

Rows = Sequence[Sequence[str]]


def tsv(rows: Rows) -> str:
    """For a spreadsheet; a tab or a line break inside a cell becomes a space."""
    return "\n".join("\t".join(" ".join(cell.split()) for cell in row) for row in rows)


def markdown(rows: Rows, right: Collection[int] = ()) -> str:
    """For a text; columns in `right` are aligned to the right."""
    head, *body = rows
    rule = ["---:" if place in right else "---" for place in range(len(head))]
    return "\n".join(
        f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in (head, rule, *body)
    )


def comma_separated(rows: Rows) -> str:
    """For a file; cells are quoted where they need it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
