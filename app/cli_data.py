"""The command `data inspect`: what a file of data holds, and all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli_display import write_json
from app.cli_options import ColumnMap, DataFile, Json
from app.viewmodels.data_pace import DataPace
from app.viewmodels.data_survey import SurveyView, survey_view
from core.data.formats import COLUMNS
from core.engine import data_process
from core.errors import UserError
from core.store.home import Home

OK, WRONG = 0, 1
SHOWN_FAULTS = 10
SHOWN_GROUPS = 12
EXAMPLE_CHARACTERS = 60


def register(app: typer.Typer, console_of: Callable[[bool], Console | None]) -> None:
    """Add the commands on data.

    Args:
        app: the command line.
        console_of: where to write for a person; None for a program. Told whether `--json` was given.
    """
    data = typer.Typer(help="Look at data.", no_args_is_help=True)

    @data.callback()
    def start() -> None:
        """Look at data."""

    @data.command()
    def inspect(file: DataFile, columns: ColumnMap = None, json: Json = False) -> None:
        """What a file holds, and all that is wrong with it. Exit status 1: a run could not read all of it."""
        console, source = console_of(json), source_of(file, columns or ())
        well = report(source, inspected(Home.default(), source, console), console)
        raise typer.Exit(OK if well else WRONG)

    app.add_typer(data, name="data")


def source_of(file: Path, mapping: Sequence[str]) -> dict[str, Any]:
    """The dataset of a recipe that a file and `prompt=question,…` make.

    Raises:
        UserError: a mapping is none, or names something else than a role.
    """
    columns: dict[str, str] = {}
    for part in ",".join(mapping).split(","):
        if not part.strip():
            continue
        role, found, column = (it.strip() for it in part.partition("="))
        if not found or role not in COLUMNS or not column:
            raise UserError(
                f"{part.strip()} maps no column.",
                f"Give NAME=COLUMN, where the name is one of {', '.join(COLUMNS)}.",
            )
        columns[role] = column
    source: dict[str, Any] = {"file": str(file.expanduser().absolute())}
    return {**source, "format": "columns", "columns": columns} if columns else source


def inspected(home: Home, source: dict[str, Any], console: Console | None) -> Any:
    """The survey of a dataset, from a process of its own; a terminal shows how far it is.

    Raises:
        UserError: there are no such data.
    """
    pace = DataPace()
    with ExitStack() as stack:
        tell: Callable[[str], None] = _unheard
        if console is not None and console.is_terminal:
            tell = stack.enter_context(console.status("Reading…")).update
        return data_process.ask(
            "reading",
            home,
            "survey",
            {"source": source},
            lambda it: tell(f"Reading: {pace.told(it)}"),
        )


def report(source: dict[str, Any], record: Any, console: Console | None) -> bool:
    """Show a survey to a person, or as a JSON line; says whether a run could read all of it."""
    well = bool(record["format"]) and not record["faulty"]
    if console is None:
        write_json({"type": "data", "ok": well, "source": source, **record})
        return well
    survey = survey_view(record)
    console.print(Text(survey.headline, "bold"))
    _table(console, (), [(name, value) for name, value, _ in survey.facts])
    _table(
        console,
        ("column", "kind", "filled", "for example"),
        [
            (name, kind, f"{filled:,}", " ".join(text.split())[:EXAMPLE_CHARACTERS])
            for name, kind, filled, text in survey.fields
        ],
    )
    if survey.groups:
        shown = [(name, f"{count:,}") for name, count in survey.groups[:SHOWN_GROUPS]]
        _table(console, ("group", "items"), shown)
    _problems(console, survey)
    return well


def _problems(console: Console, survey: SurveyView) -> None:
    if survey.trouble[0]:
        console.print(Text(survey.trouble[0], "bold red"))
        console.print(Text(survey.trouble[1]))
    for _, message, hint in survey.faults[:SHOWN_FAULTS]:
        console.print(Text(message, "red"))
        console.print(Text(f"  {hint}", "dim"))
    more = survey.faulty - SHOWN_FAULTS
    if more > 0:
        console.print(Text(f"and {more:,} more", "red"))


def _table(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*heads, show_header=bool(heads), box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _unheard(_: str) -> None:
    """Nobody watches."""
