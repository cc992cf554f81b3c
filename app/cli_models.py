"""The commands on models: `checkpoints` lists them, `export` takes one out of the home."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from app.cli_display import write_json
from app.cli_options import Json
from app.viewmodels import model_words, words
from app.viewmodels.model_words import NodeView
from core.engine import jobs
from core.engine.jobs import Advance, Job, Rate
from core.engine.shelf import Shelf, ShelfReader
from core.errors import UserError
from core.store.home import Home
from core.store.store import Store

SHOWN_CHARACTERS = 12
LEAST_CHARACTERS = 4
"""Of an identity, to be meant by its beginning."""
MOST_NAMED = 8
PLAIN_WIDTH = 200


@dataclass(frozen=True)
class _Found:
    shelf: Shelf
    nodes: tuple[NodeView, ...]


def register(app: typer.Typer, wants_json: Callable[[], bool]) -> None:
    """Add the commands.

    Args:
        app: the command line.
        wants_json: whether `--json` stood before the command.
    """

    @app.command()
    def checkpoints(json: Json = False) -> None:
        """List all checkpoints: made from what, where, how large, and what was measured."""
        found = _look(Home.default())
        if json or wants_json():
            for node in found.nodes:
                write_json(_fields(found, node))
        else:
            console = _console()
            console.print(_table(found))
            console.print(model_words.disk(found.shelf), style="dim", markup=False)

    @app.command()
    def export(
        checkpoint: Annotated[
            str, typer.Argument(help="RUN:STAGE, or the beginning of an identity.")
        ],
        folder: Annotated[Path, typer.Argument(help="A new or an empty folder.")],
        merged: Annotated[
            bool, typer.Option("--merged", help="One whole network in safetensors (the default).")
        ] = False,
        adapter: Annotated[
            bool,
            typer.Option(
                "--adapter",
                help="The LoRA delta alone; not of an adapter that lies over another adapter.",
            ),
        ] = False,
        packed: Annotated[bool, typer.Option("--packed", help="NF4 weights as packed.")] = False,
        dtype: Annotated[
            str, typer.Option("--dtype", help="Precision of merged weights; auto keeps the stored.")
        ] = "auto",
        json: Json = False,
    ) -> None:
        """Write a checkpoint into a folder that other programs open."""
        if merged + adapter + packed > 1:
            raise UserError("Give one of --merged, --adapter, --packed.")
        form = "adapter" if adapter else "packed" if packed else "merged"
        home = Home.default()
        node = find(_look(home), checkpoint)
        if form == "adapter" and node.over:
            raise UserError(
                f"{node.title} exports {model_words.MERGED_ONLY.format(over=node.over)}.",
                "Leave --adapter out: one whole network holds both.",
            )
        job = Job(
            "export", node.key, str(folder.expanduser().absolute()), {"form": form, "dtype": dtype}
        )
        as_json = json or wants_json()
        with _Shown(as_json, node.title) as shown:
            result = jobs.run(job, home, shown.advance)
        if as_json:
            write_json({"type": "exported", "checkpoint": node.key, "form": form, **result})
        else:
            size = words.size(result["bytes"])
            _console().print(f"{result['folder']}: {size}, {form}", markup=False)


def find(found: _Found, text: str) -> NodeView:
    """The checkpoint that a person means.

    Raises:
        UserError: none or several fit; the hint names them.
    """
    run, _, stage = text.rpartition(":")
    if run:
        fitting = [
            node
            for node in found.nodes
            for makers in (found.shelf.items[node.key].makers,)
            if any(it.stage == stage and _is_run(found, it.run, run) for it in makers)
        ]
    else:
        fitting = [
            node
            for node in found.nodes
            if len(text) >= LEAST_CHARACTERS and node.key.startswith(text.lower())
        ]
    if len(fitting) == 1:
        return fitting[0]
    listed = fitting or list(found.nodes)
    names = ", ".join(f"{it.key[:SHOWN_CHARACTERS]} ({it.title})" for it in listed[:MOST_NAMED])
    if fitting:
        raise UserError(f"{len(fitting)} checkpoints fit {text!r}.", f"Give an identity: {names}.")
    raise UserError(
        f"No checkpoint fits {text!r}.",
        f"There are: {names}." if names else "There are none yet; a run makes them.",
    )


def _is_run(found: _Found, uid: str, wanted: str) -> bool:
    known = found.shelf.runs.get(uid)
    return uid.startswith(wanted.lower()) or (
        known is not None and known.name.casefold() == wanted.casefold()
    )


def _look(home: Home) -> _Found:
    home.create()
    with Store.open(home.database) as store:
        shelf = ShelfReader(home)(store)
    return _Found(shelf, model_words.nodes(shelf))


def _fields(found: _Found, node: NodeView) -> dict[str, object]:
    item = found.shelf.items[node.key]
    return {
        "type": "checkpoint",
        "identity": node.key,
        "parent": node.parent,
        "title": node.title,
        "kind": node.kind,
        "role": node.role,
        "storage": node.storage,
        "state": node.state,
        "path": node.path,
        "bytes": node.size,
        "runs": [{"run": it.run, "stage": it.stage} for it in item.makers],
        "scores": [
            {
                "run": it.run,
                "task": it.task,
                "n": it.n,
                "correct": it.correct,
                "protocol": it.protocol,
                "scorer": it.scorer,
                "dataset": it.dataset,
                "seed": it.seed,
            }
            for it in found.shelf.scores.get(node.key, ())
        ],
    }


def _table(found: _Found) -> Table:
    table = Table()
    for title in ("identity", "checkpoint", "kind", "made from", "size", "scores", "state", "run"):
        table.add_column(title, justify="right" if title == "size" else "left")
    titles = {node.key: node.title for node in found.nodes}
    for node in found.nodes:
        cells = (
            node.key[:SHOWN_CHARACTERS],
            node.title,
            node.kind,
            titles.get(node.parent, ""),
            words.size(node.size) if node.size else words.NONE,
            node.scores,
            node.state_text,
            node.runs,
        )
        table.add_row(*map(Text, cells))
    return table


class _Shown:
    """Progress of a job: a bar in a terminal, JSON lines where asked for, nothing elsewhere."""

    def __init__(self, as_json: bool, title: str) -> None:
        self._json = as_json
        self._title = title
        self._rate = Rate()
        self._stack = ExitStack()
        self._bar: Progress | None = None

    def __enter__(self) -> _Shown:
        if not self._json and sys.stdout.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[left]}"),
            )
            self._bar = self._stack.enter_context(
                Progress(*columns, console=_console(), transient=True)
            )
            self._bar.add_task(self._title, left="")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def advance(self, said: Advance) -> None:
        """Take in how far it is."""
        if self._json:
            write_json({"type": "progress", "done": said.done, "total": said.total})
        if self._bar is not None:
            self._rate.take(self._bar.get_time(), said)
            left = words.duration(self._rate.seconds_left)
            rate = self._rate.per_second
            speed = f"{words.size(rate)}/s" if rate is not None else ""
            text = ", ".join(part for part in (speed, f"{left} left" if left else "") if part)
            for task in self._bar.task_ids:
                self._bar.update(task, total=said.total, completed=said.done, left=text)


def _console() -> Console:
    terminal = sys.stdout.isatty()
    return Console(highlight=False, width=None if terminal else PLAIN_WIDTH, soft_wrap=not terminal)
