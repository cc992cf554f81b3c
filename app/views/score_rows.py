"""A score table of the view models as columns and cells: shared by the run page and Compare."""

from __future__ import annotations

from collections.abc import Sequence

from app.viewmodels import words
from app.viewmodels.provenance import dataset_part, protocol_part, provenance
from app.viewmodels.types import RunSummary, ScoreCell, ScoreLine, ScoreTable
from app.widgets.tables import Cell, Column
from app.widgets.theme import Theme

FRACTION_TIP = (
    f"Recovered fraction: (recovered {words.MINUS} degraded) / (base {words.MINUS} degraded): 1 is fully recovered, "
    "0 is nothing regained. Undefined when nothing was lost; a loss whose 95 % interval holds 0 is within noise."
)
REFUSED = "not comparable"
PROTOCOL_GOES, GAIN_GOES, FRACTION_GOES = 3, 2, 1


def score_rows(
    table: ScoreTable, theme: Theme, runs: Sequence[RunSummary] = (), hues: Sequence[str] = ()
) -> tuple[list[Column], list[list[Cell]]]:
    """Task, protocol, one column a checkpoint, then the gain and the recovered fraction where they exist.

    Beside several recovered stages these two stand behind the one they judge, and the gain names it.

    `runs` are the compared runs and `hues` their colours; with two or more, each line names its run.
    The lines of one run name the recovered stage where it has several.
    """
    with_runs = len(runs) > 1
    with_stages = not with_runs and any(line.stage for line in table.lines)
    columns = [Column("task", numeric=False, stretch=not (with_runs or with_stages))]
    if with_stages:
        columns.append(Column("stage", numeric=False, stretch=True))
    if with_runs:
        columns.append(Column("run", numeric=False, stretch=True))
    unlike = any(line.refusal for line in table.lines)
    columns.append(Column("protocol", numeric=False, optional=0 if unlike else PROTOCOL_GOES))
    with_gain = any(line.delta or line.refusal for line in table.lines)
    with_fraction = any(line.recovered for line in table.lines)
    verdict = _verdict(table, with_gain, with_fraction)
    last = table.columns[-1].key if table.columns else ""
    judged = table.judged or last
    for place in table.columns:
        title = f"{place.run} · {place.title}" if place.run else place.title
        columns.append(Column(title, token=theme.tokens.role_text(place.role)))
        columns += verdict if place.key == judged else []
    rows = []
    for line in table.lines:
        cells = [Cell(line.title, tip=_named(line))]
        if with_stages:
            cells.append(Cell(line.stage, tip=line.judged))
        if with_runs:
            cells.append(_run(line, runs[line.run_index], hues[line.run_index]))
        cells.append(Cell(line.protocol, "second", tip=_named(line)))
        found = [_gain(line)] if with_gain else []
        found += [_fraction(line)] if with_fraction else []
        for place, score in zip(table.columns, line.cells, strict=True):
            cells.append(_score(score, line, bold=place.role == "recovered"))
            cells += found if place.key == judged else []
        rows.append(cells)
    return columns, rows


def _verdict(table: ScoreTable, with_gain: bool, with_fraction: bool) -> list[Column]:
    """The headings of the gain and the recovered fraction."""
    of = f"{table.judged} " if table.judged else ""
    found = []
    if with_gain:
        gain = f"{table.delta_title or 'difference'}, in points"
        found.append(Column(f"{of}gain", tip=gain, optional=GAIN_GOES))
    if with_fraction:
        tip = f"Of {table.delta_title}. {FRACTION_TIP}" if table.judged else FRACTION_TIP
        goes = FRACTION_GOES if of else 0  # one more stage must not cost the names of the tasks
        found.append(Column("fraction", tip=tip, optional=goes))
    return found


def _named(line: ScoreLine) -> str:
    return f"{line.title} · {line.protocol}" if line.protocol else line.title


def _run(line: ScoreLine, run: RunSummary, hue: str) -> Cell:
    name = f"{run.letter} {line.stage} · {run.short}" if line.stage else f"{run.letter} {run.short}"
    return Cell(name, tip="\n".join(filter(None, (line.source, line.stage))), dot=hue)


def _score(score: ScoreCell | None, line: ScoreLine, *, bold: bool) -> Cell:
    if score is None:
        return Cell(words.NONE, "third", tip="not measured")
    counts = f"{score.correct} of {score.n} · 95 % interval {score.low:.1f} to {score.high:.1f}"
    beside = " · ".join(f"{name} {value}" for name, value in score.beside)
    told = (counts, beside, _origin(line, score, score.checkpoint))
    return Cell(score.text, bold=bold, tip="\n".join(filter(None, told)))


def _gain(line: ScoreLine) -> Cell:
    token = "recovered_text" if line.delta.startswith("+") else ""
    token = "bad_text" if line.delta.startswith(words.MINUS) else token
    if line.delta and not line.certain:
        token = "second"
    if not line.delta:
        token = "warning_text" if line.refusal else "third"
    text = line.delta or (REFUSED if line.refusal else words.NONE)
    why = "\n".join(filter(None, (line.refusal, line.rests_on)))
    return Cell(text, token, tip=_because(line, why))


def _fraction(line: ScoreLine) -> Cell:
    muted = line.recovered in words.NO_FRACTION or not line.recovered
    return Cell(
        line.recovered or words.NONE, "second" if muted else "", tip=_because(line, line.why)
    )


def _because(line: ScoreLine, why: str) -> str:
    """The reason, then where the numbers of the line come from."""
    newest = next((it for it in reversed(line.cells) if it is not None), None)
    origin = "" if newest is None else _origin(line, newest, line.judged)
    return "\n".join(filter(None, (why, origin)))


def _origin(line: ScoreLine, score: ScoreCell, checkpoint: str) -> str:
    return provenance(
        run=line.source,
        seed=score.seed,
        checkpoint=checkpoint,
        dataset=dataset_part(score.dataset, score.n),
        protocol=protocol_part(score.scorer, score.protocol),
    )
