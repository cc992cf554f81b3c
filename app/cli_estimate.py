"""The command `estimate`: what a recipe will need, with the sum, beside what this machine has."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli_display import write_json
from app.viewmodels import estimate_words, words
from core.engine.estimate import Estimate, StageEstimate, to_record

_STYLE = {"too_large": "bold red", "tight": "yellow", "fits": "bold", "": "bold"}


def report(estimate: Estimate, console: Console | None) -> bool:
    """Show the estimate to a person, or as a JSON line; says whether nothing is known not to fit."""
    well = all(estimate.fits(stage) is not False for stage in estimate.stages)
    if console is None:
        write_json({"type": "estimate", "fits": well, **to_record(estimate)})
        return well
    implied = [stage for stage in estimate.stages if stage.implied]
    for stage in estimate.stages:
        if not stage.implied:
            _show(console, estimate, stage)
    if implied:
        most = max(stage.memory or 0 for stage in implied)
        spent = [stage.seconds for stage in implied if stage.seconds is not None]
        parts = [
            f"{words.size(most)} at most" if most else "not known",
            estimate_words.about(sum(spent)) if len(spent) == len(implied) else "",
        ]
        told = ", ".join(part for part in parts if part)
        console.print(Text(f"measurements of the checkpoints: {told}", "bold"))
    console.print(Text(estimate_words.whole(estimate)))
    console.print(Text(f"This machine: {estimate_words.machine(estimate.machine)}", "dim"))
    for stage in estimate.stages:
        remedy = estimate_words.remedy(estimate, stage)
        if remedy:
            console.print(Text(remedy, _STYLE[estimate_words.verdict(estimate, stage)]))
    return well


def _show(console: Console, estimate: Estimate, stage: StageEstimate) -> None:
    style = _STYLE[estimate_words.verdict(estimate, stage)]
    console.print(Text(estimate_words.brief(stage), style))
    console.print(Text(f"  {estimate_words.note(stage)}", "dim"))
    rows = estimate_words.rows(stage)
    if not rows:
        return
    table = Table(show_header=False, box=None, padding=(0, 1, 0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, size in rows[:-1]:
        table.add_row(Text(name), Text(size))
    for name, size in rows[-1:]:
        table.add_row(Text(name, "bold"), Text(size, "bold"))
    console.print(table)
