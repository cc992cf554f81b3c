"""The command `sql`: a question to the database in a person's own words, read-only."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from app.cli_display import terminal, write_json
from app.cli_options import Json
from app.viewmodels import words
from core.store import asking
from core.store.home import Home

MOST_ROWS = 200
"""Rows that a person is shown by default; a program gets all."""

Question = Annotated[str, typer.Argument(help="SELECT …; without one: the tables and columns.")]
Most = Annotated[
    int, typer.Option("--limit", min=1, metavar="N", help="Show no more rows than this.")
]


def register(app: typer.Typer, wants_json: Callable[[], bool]) -> None:
    """Add the command.

    Args:
        app: the command line.
        wants_json: whether `--json` stood before the command.
    """

    @app.command()
    def sql(question: Question = "", limit: Most = MOST_ROWS, json: Json = False) -> None:
        """Ask the database in SQL, for reading only."""
        path = Home.default().database
        for_program = json or wants_json()
        if not question.strip():
            _say_tables(asking.tables(path), for_program)
            return
        for answer in asking.ask(path, question):
            if for_program:
                for row in answer.rows:
                    cells = map(_plain, row)
                    write_json(dict(zip(answer.columns, cells, strict=True)))
            else:
                _show(answer, limit)


def _show(answer: asking.Answer, limit: int) -> None:
    table = Table()
    for name in answer.columns:
        table.add_column(Text(name))
    rows = list(islice(answer.rows, limit + 1))
    for row in rows[:limit]:
        table.add_row(*(Text(_text(value)) for value in row))
    console = terminal()
    console.print(table)
    more = f"There are more than these {limit} rows; --limit shows more." if rows[limit:] else ""
    count = len(rows[:limit])
    console.print(more or f"{count} {'row' if count == 1 else 'rows'}", style="dim", markup=False)


def _say_tables(tables: list[tuple[str, str]], for_program: bool) -> None:
    for name, columns in tables:
        if for_program:
            write_json({"type": "table", "name": name, "columns": columns.split(", ")})
        else:
            line = Text(name, "bold")
            line.append(f"({columns})", "not bold")
            terminal().print(line)


def _plain(value: Any) -> Any:
    return f"{len(value)} bytes" if isinstance(value, bytes) else value


def _text(value: Any) -> str:
    return words.NONE if value is None else str(_plain(value))
