"""The commands on the run list: `runs` with the window's filter, and what people change about runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from app.cli_display import run_table, terminal, write_json
from app.cli_options import Json
from app.cli_running import opened
from app.viewmodels import words
from app.viewmodels.bookkeeping import SECONDS_PER_DAY
from app.viewmodels.run_cells import COLUMNS
from app.viewmodels.run_edits import KEPT_DAYS, RunEdits, kept
from app.viewmodels.run_entry import RunEntry, entry_of, sort_key
from app.viewmodels.run_filter import EXAMPLES, FilterError, compile_query, parse
from app.viewmodels.run_vocabulary import vocabulary
from core.engine import liveness
from core.errors import UserError
from core.store import asking
from core.store.edits import RunEdit
from core.store.home import Home
from core.store.rows import RunRow
from core.store.store import Store

STDIN = "-"

Wanted = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...",
        help=f"As in the window: {EXAMPLES[0][0]}. Put -- before one that begins with -.",
    ),
]
Sorted = Annotated[
    str, typer.Option("--sort", metavar="KEY", help="By this key of the filter; -KEY: backwards.")
]
Limit = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="No more than so many.")
]
Deleted = Annotated[bool, typer.Option("--deleted", help="Those that can still be restored.")]
Names = Annotated[list[str], typer.Argument(help="Runs: ids, their beginnings, or names.")]
Name = Annotated[str, typer.Argument(help="Id of the run, its beginning, or its name.")]
Added = Annotated[list[str] | None, typer.Option("--add", metavar="TAG", help="Add this tag.")]
Removed = Annotated[
    list[str] | None, typer.Option("--remove", metavar="TAG", help="Take this tag away.")
]
Uids = Annotated[list[str], typer.Argument(help="Ids of deleted runs, or their beginnings.")]


def register(app: typer.Typer, wants_json: Callable[[], bool]) -> None:
    """Add the commands.

    Args:
        app: the command line.
        wants_json: whether `--json` stood before the command.
    """

    @app.command()
    def runs(
        wanted: Wanted = None,
        sort: Sorted = "",
        limit: Limit = None,
        deleted: Deleted = False,
        json: Json = False,
    ) -> None:
        """List runs, newest first: all, or those that pass a filter."""
        as_json = json or wants_json()
        if deleted:
            _list_deleted(Home.default(), as_json)
            return
        with opened(Home.default()) as store:
            rows = chosen(store.runs(), " ".join(wanted or ()), sort)[:limit]
        if as_json:
            for row in rows:
                write_json({"type": "run", **row_fields(row)})
        elif rows:
            terminal().print(run_table(rows))
        else:
            terminal().print("No run passes this filter." if wanted else "No runs yet.")

    @app.command()
    def tag(names: Names, add: Added = None, remove: Removed = None, json: Json = False) -> None:
        """Add tags to runs, or take them away."""
        if not add and not remove:
            raise UserError("Which tag?", "For example: tag RUN --add paper --remove draft")
        edit(names, lambda it, rows: it.tag(rows, add or (), remove or ()), json or wants_json())

    @app.command()
    def note(
        name: Name,
        text: Annotated[str, typer.Argument(help='The notes; "" empties them, - reads them.')],
        json: Json = False,
    ) -> None:
        """Replace the notes of a run."""
        notes = sys.stdin.read().strip() if text == STDIN else text.strip()
        edit([name], lambda it, rows: it.note(rows[0], notes), json or wants_json())

    @app.command()
    def rename(
        name: Name,
        new: Annotated[str, typer.Argument(help="Its new name.")],
        json: Json = False,
    ) -> None:
        """Give a run another name."""
        edit([name], lambda it, rows: it.rename(rows[0], new), json or wants_json())

    @app.command()
    def star(names: Names, json: Json = False) -> None:
        """Mark runs with a star; the same again takes it away."""
        edit(names, lambda it, rows: it.mark(rows, 1), json or wants_json())

    @app.command()
    def cross(names: Names, json: Json = False) -> None:
        """Mark runs with a cross; the same again takes it away."""
        edit(names, lambda it, rows: it.mark(rows, -1), json or wants_json())

    @app.command()
    def delete(names: Names, json: Json = False) -> None:
        """Take runs out of the list; `restore` brings them back for some days. Checkpoints stay."""
        rows = edit(names, _delete, json or wants_json())
        if not (json or wants_json()):
            uids = " ".join(row.uid for row in rows)
            console = terminal()
            console.print(
                f"For {KEPT_DAYS} days they come back by: python -m app restore {uids}",
                markup=False,
            )

    @app.command()
    def restore(uids: Uids, json: Json = False) -> None:
        """Bring deleted runs back."""
        home = Home.default()
        with opened(home) as store:
            found = [_deleted_uid(home, text) for text in uids]
            store.edit({uid: RunEdit(deleted=False) for uid in found})
            for uid in found:
                _say(store.run(uid), "is back", json or wants_json())


def chosen(rows: Sequence[RunRow], text: str, sort: str) -> list[RunRow]:
    """The runs that pass a filter, in the order asked for.

    Raises:
        UserError: the filter cannot be read, or there is no such key to sort by.
    """
    entries = {row.uid: entry_of(row) for row in rows}
    known = vocabulary(tuple(entries), entries).keys
    try:
        passes = compile_query(parse(text, known), time.time())
    except FilterError as error:
        raise UserError(error.message, error.hint) from error
    found = [entry for entry in entries.values() if passes(entry)]
    if sort:
        key = sort.removeprefix("-").casefold()
        if key not in known and key not in COLUMNS:
            raise UserError(f"There is no “{key}” to sort by.", f"There are: {', '.join(known)}.")
        found.sort(key=lambda it: _place(it, key), reverse=sort.startswith("-"))
    return [entry.row for entry in found]


def _place(entry: RunEntry, key: str) -> tuple[int, float | str]:
    values = entry.values(key)
    return sort_key(values[0] if values else None)


def edit(
    names: Sequence[str], act: Callable[[RunEdits, Sequence[RunRow]], None], as_json: bool
) -> list[RunRow]:
    """Change runs as the window does, and say what was changed; returns the runs as they were."""
    with opened(Home.default()) as store:
        rows = list({row.uid: row for row in map(store.find, names)}.values())

        def write(
            job: Callable[[Store], object], done: Callable[[object], None] | None = None
        ) -> None:
            answer = job(store)
            if done is not None:
                done(answer)

        edits = RunEdits(write)
        said: list[str] = []
        edits.done.connect(said.append)
        act(edits, rows)
        there = {row.uid: row for row in store.runs([row.uid for row in rows])}
    if as_json:
        for row in rows:
            kind = "edited" if row.uid in there else "deleted"
            write_json({"type": kind, **row_fields(there.get(row.uid, row))})
    else:
        terminal().print(said[0] if said else "There was nothing to change.", markup=False)
    return rows


def _delete(edits: RunEdits, rows: Sequence[RunRow]) -> None:
    running = [row for row in rows if liveness.is_live(row)]
    if running:
        raise UserError(kept(running), "Stop first what is running.")
    edits.delete(rows)


def _deleted(home: Home) -> list[tuple[str, str, float]]:
    """Id, name and time of what can be restored, the newest first."""
    sql = "SELECT uid, name, deleted FROM run WHERE deleted IS NOT NULL ORDER BY deleted DESC"
    return [row for answer in asking.ask(home.database, sql) for row in answer.rows]


def _list_deleted(home: Home, as_json: bool) -> None:
    with opened(home):  # there may be no database yet
        found = _deleted(home)
    for uid, name, deleted in found:
        until = deleted + KEPT_DAYS * SECONDS_PER_DAY
        if as_json:
            write_json({"type": "deleted", "run": uid, "name": name, "until": until})
        else:
            terminal().print(f"{uid}  {name}  until {words.moment(until)}", markup=False)
    if not found and not as_json:
        terminal().print("No deleted runs.")


def _deleted_uid(home: Home, text: str) -> str:
    fitting = [uid for uid, _, _ in _deleted(home) if text and uid.startswith(text.lower())]
    if len(fitting) == 1:
        return fitting[0]
    what = "No deleted run fits" if not fitting else f"{len(fitting)} deleted runs fit"
    raise UserError(f"{what} {text!r}.", "Look with: python -m app runs --deleted")


def _say(row: RunRow, what: str, as_json: bool) -> None:
    if as_json:
        write_json({"type": "restored", **row_fields(row)})
    else:
        terminal().print(f"“{row.name}” ({row.uid}) {what}.", markup=False)


def row_fields(row: RunRow) -> Mapping[str, Any]:
    """What a program wants to know of a run in a list."""
    return {
        "run": row.uid,
        "name": row.name,
        "status": row.status,
        "failure": row.failure,
        "created": row.created,
        "started": row.started,
        "ended": row.ended,
        "seed": row.seed,
        "base": row.base,
        "star": row.star,
        "tags": list(row.tags),
        "notes": row.notes,
        "scores": row.scores,
        "recovered_fractions": row.recovered_fraction,
    }
