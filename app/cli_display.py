"""How the command line shows a run: a progress bar in a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from app.cli_result import Result
from app.viewmodels import words
from app.viewmodels.journal import line_of
from app.viewmodels.protocol_words import READINGS
from app.viewmodels.run_entry import entry_of
from app.viewmodels.stage_strip import progress_text
from core.events import Event, Heartbeat, Metrics, StageFinished
from core.events import Progress as ProgressEvent
from core.store.rows import CheckpointRow, LoggedEvent, RunRow

PLAIN_WIDTH = 140
"""Columns of tables that are not written to a terminal."""
_STYLE = {"good": "green", "warning": "yellow", "error": "bold red", "info": ""}
PLAIN_PROGRESS_SECONDS = 10.0
"""Without a terminal a line of progress comes at most this often."""
_SHOWN_METRICS = ("loss", "divergence")


class Display:
    """Shows a run to a person. A context manager around the run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._task: TaskID | None = None
        self._stage = ""
        self._metrics = ""
        self._next_line = 0.0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[done]}"),
                TextColumn("{task.fields[left]}", style="dim"),
                TextColumn("{task.fields[metrics]}", style="dim"),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def on_event(self, event: Event) -> None:
        """Take what happened."""
        line = line_of(LoggedEvent(0, time.time(), event))
        if line is not None:
            level, text = line
            self._console.print(f"{words.clock(time.time())}  ", Text(text, _STYLE[level]), sep="")
        match event:
            case ProgressEvent():
                self._progress(event)
            case Metrics():
                values = {words.metric_key(name): it for name, it in event.values.items()}
                shown = [key for key in _SHOWN_METRICS if key in values]
                self._metrics = "  ".join(f"{key} {values[key]:.4g}" for key in shown)
            case StageFinished():
                self._metrics = ""
                self._end_bar()

    def _progress(self, event: ProgressEvent) -> None:
        left = "" if event.eta is None else f"{words.duration(event.eta)} left"
        rate = "" if event.rate is None else f"{words.number(event.rate)} {event.unit}s/s"
        rest = ", ".join(part for part in (rate, left) if part)
        if self._bar is None:
            now = time.monotonic()
            if now >= self._next_line and event.done < event.total:
                self._next_line = now + PLAIN_PROGRESS_SECONDS
                parts = (event.stage, progress_text(event), rest, self._metrics)
                self._console.print("  ".join(part for part in parts if part), markup=False)
            return
        if self._task is None or self._stage != event.stage:
            self._end_bar()
            self._stage = event.stage
            self._task = self._bar.add_task(event.stage, done="", left="", metrics="")
        self._bar.update(
            self._task,
            total=event.total,
            completed=event.done,
            done=progress_text(event),
            left=rest,
            metrics=self._metrics,
        )

    def _end_bar(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
        self._task = None


class JsonLines:
    """Writes each event as a JSON object whose `type` is the event's kind."""

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def on_event(self, event: Event) -> None:
        """Take what happened; heartbeats are left out."""
        if not isinstance(event, Heartbeat):
            fields = event.model_dump(mode="python")
            write_json({"type": fields.pop("kind"), "t": round(time.time(), 3), **fields})


def write_json(record: dict[str, Any]) -> None:
    """One object on one line; what is no number becomes null, as JSON has no word for it."""
    sys.stdout.write(json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(it) for key, it in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(it) for it in value]
    return value


def result_table(result: Result) -> Table:
    """Accuracies by task and checkpoint in per cent, with the difference and what was recovered."""
    table = Table(title="Accuracy in per cent", title_justify="left")
    table.add_column("task")
    table.add_column("protocol", style="dim")
    for column in result.table.columns:
        table.add_column(Text(column.title), justify="right")
    if result.table.delta_title:
        table.add_column(Text(result.table.delta_title), justify="right")
        table.add_column("recovered fraction", justify="right")
    for line in result.table.lines:
        cells = [it.text if it is not None else words.NONE for it in line.cells]
        judged = [line.delta or line.refusal, line.recovered] if result.table.delta_title else []
        table.add_row(*(Text(text) for text in (line.title, line.protocol, *cells, *judged)))
        for name in READINGS.values():
            read = [dict(it.beside).get(name, "") if it is not None else "" for it in line.cells]
            if any(read):
                table.add_row(f"  {name}", "", *(Text(text, "dim") for text in read))
    if result.cka:
        cells = [_cka(result.cka.get(column.key, math.nan)) for column in result.table.columns]
        table.add_section()
        table.add_row("CKA", "mean over the layers", *cells)
    return table


def _cka(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else words.NONE


def run_table(rows: Sequence[RunRow]) -> Table:
    """The list of runs, with the numbers that the window's list shows."""
    table = Table()
    for title in ("", "id", "status", "name", "model", "tags", "created"):
        table.add_column(title)
    for title in ("base", "degraded", "recovered", "fraction"):
        table.add_column(title, justify="right")
    for row in rows:
        texts = entry_of(row).texts
        shown = ("status", "name", "model", "tags", "created")
        numbers = ("base", "degraded", "recovered", "fraction")
        cells = (texts["star"], row.uid, *(texts[key] for key in (*shown, *numbers)))
        table.add_row(*map(Text, cells))
    return table


def show(
    console: Console, row: RunRow, result: Result, checkpoints: Sequence[CheckpointRow]
) -> None:
    """One run in full."""
    console.print(f"{row.name} ({row.uid})", markup=False, style="bold")
    took = f", {words.duration(result.seconds)}" if result.seconds else ""
    console.print(f"{result.status_text}{took} · {row.base} · seed {row.seed}", markup=False)
    about = " · ".join(filter(None, (entry_of(row).texts["star"], *row.tags)))
    for text in filter(None, (about, row.notes)):
        console.print(text, markup=False, style="dim")
    if result.failure is not None:
        console.print(f"{result.failure['message']} {result.failure['hint']}", markup=False)
    if result.table.lines or result.cka:
        console.print(result_table(result))
    for it in checkpoints:
        step = "" if it.final else f" (training state, step {it.step})"
        console.print(f"{it.stage}{step}: {it.path}, {words.size(it.bytes)}", markup=False)


def terminal() -> Console:
    """Where people read: as wide as the terminal, or one long line each where it is none."""
    live = sys.stdout.isatty()
    return Console(highlight=False, width=None if live else PLAIN_WIDTH, soft_wrap=not live)
