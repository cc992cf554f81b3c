"""A score table of the view models as columns and cells: shared by the run page and Compare."""

from __future__ import annotations

from collections.abc import Sequence

from app.viewmodels.types import ScoreCell, ScoreLine, ScoreTable
from app.widgets.tables import Cell, Column
from app.widgets.theme import Theme

MINUS = "\N{MINUS SIGN}"
ABSENT = "\N{EN DASH}"
FRACTION_TIP = (
    f"Recovered fraction: (recovered {MINUS} degraded) / (base {MINUS} degraded): 1 is fully recovered, 0 is nothing regained. "
    "Undefined when nothing was lost."
)


def score_rows(
    table: ScoreTable, theme: Theme, run_hues: Sequence[str] = ()
) -> tuple[list[Column], list[list[Cell]]]:
    """Task, one column a checkpoint, then the difference and the recovered fraction where they exist.

    `run_hues` are the colours of the compared runs; with two or more, each line names its run.
    """
    columns = [Column("task · protocol", numeric=False, stretch=True)]
    with_runs = len(run_hues) > 1
    if with_runs:
        columns.append(Column("run", numeric=False))
    for place in table.columns:
        title = f"{place.run} · {place.title}" if place.run else place.title
        columns.append(Column(title, token=theme.tokens.role_text(place.role)))
    with_delta = any(line.delta or line.refusal for line in table.lines)
    with_fraction = any(line.recovered for line in table.lines)
    if with_delta:
        columns.append(Column(table.delta_title or "difference"))
    if with_fraction:
        columns.append(Column("recovered fraction", tip=FRACTION_TIP))
    rows = []
    for line in table.lines:
        cells = _row(line, table, with_delta, with_fraction)
        if with_runs:
            known = 0 <= line.run_index < len(run_hues)
            cells.insert(1, Cell(line.run, dot=run_hues[line.run_index] if known else "third"))
        rows.append(cells)
    return columns, rows


def _row(line: ScoreLine, table: ScoreTable, with_delta: bool, with_fraction: bool) -> list[Cell]:
    name = f"{line.title} · {line.protocol}" if line.protocol else line.title
    cells = [Cell(name, tip=name)]
    for place, score in zip(table.columns, line.cells, strict=True):
        cells.append(_score(score, bold=place.role == "recovered"))
    if with_delta:
        token = "warning_text" if line.refusal else ""
        if not line.refusal and line.delta.startswith("+"):
            token = "recovered_text"
        if not line.refusal and line.delta.startswith(("-", MINUS)):
            token = "bad_text"
        cells.append(Cell(line.refusal or line.delta or ABSENT, token, tip=line.refusal))
    if with_fraction:
        muted = "" if line.recovered[:1].isdigit() else "third"
        cells.append(Cell(line.recovered or ABSENT, muted, tip=FRACTION_TIP))
    return cells


def _score(score: ScoreCell | None, *, bold: bool) -> Cell:
    if score is None:
        return Cell(ABSENT, "third", tip="not measured")
    tip = (
        f"{score.correct} of {score.n} · 95 % interval {score.low:.1f} to {score.high:.1f} · "
        f"protocol {score.protocol[:12]}"
    )
    return Cell(score.text, bold=bold, tip=tip)
