"""Runs beside each other: scores, curves, CKA profiles and recipe differences.

Each run is folded by the same view model as on the run page; bulky events (single items, completions)
are not read for it. Numbers are subtracted within one protocol only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels import labels, words
from app.viewmodels.protocol_words import refusal
from app.viewmodels.provenance import run_part
from app.viewmodels.run import RunViewModel
from app.viewmodels.types import (
    Band,
    DiffRow,
    Profile,
    RunSummary,
    ScoreColumn,
    ScoreLine,
    ScoreTable,
    Series,
)
from core.events import RunStarted
from core.recipe import plan
from core.recipe.spec import Recipe
from core.store.rows import LoggedEvent, RunRow
from core.store.store import Store

T = TypeVar("T")
Read = Callable[[Callable[[Store], T], Callable[[T], None]], None]

OTHER_PROTOCOL = "other runs used another protocol: do not compare the lines"
PAGE = 2000
KINDS = (
    "run_started",
    "run_finished",
    "stage_started",
    "stage_finished",
    "metrics",
    "task_evaluated",
    "cka_measured",
    "guard_warning",
)
_COLUMNS = (
    ScoreColumn("base", "base", "base"),
    ScoreColumn("degraded", "degraded", "degraded"),
    ScoreColumn("recovered", "recovered", "recovered"),
)


class _Compared:
    """One run of the comparison and the cursor up to which its log is known."""

    def __init__(self, uid: str, parent: QObject) -> None:
        self.model = RunViewModel(uid, parent)
        self.row: RunRow | None = None
        self.cursor = 0
        self.reading = False
        self.session = 0


class CompareViewModel(QObject):
    """The comparison.

    Args:
        read: runs a job on the reading store, off the window's thread, and hands on its answer.
    """

    changed = Signal()
    loadingChanged = Signal()

    def __init__(self, read: Callable[..., None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._read = read
        self._runs: dict[str, _Compared] = {}
        self._loading = False
        self._tell = QTimer(self, singleShot=True, interval=0)
        self._tell.timeout.connect(self.changed)

    def set_runs(self, uids: Sequence[str]) -> None:
        """Compare these runs, in this order; those compared already are kept."""
        before = self._runs
        self._runs = {uid: before.get(uid) or self._new(uid) for uid in dict.fromkeys(uids)}
        for uid, run in before.items():
            if uid not in self._runs:
                run.model.deleteLater()
        self.refresh()
        self._update_loading()
        self._tell.start()

    def add_run(self, uid: str) -> None:
        """Compare one more run."""
        self.set_runs([*self._runs, uid])

    def remove_run(self, uid: str) -> None:
        """Leave a run out."""
        self.set_runs([it for it in self._runs if it != uid])

    def refresh(self) -> None:
        """Read on where a run has gone on since; called when the database has changed."""
        for uid, run in self._runs.items():
            finished = run.row is not None and run.row.status not in ("running", "queued")
            if not run.reading and not (finished and run.model.loaded):
                self._next_page(uid, run)

    def reread(self, rows: dict[str, RunRow]) -> None:
        """Take new rows of the list: names, and runs that were resumed since they were read."""
        for uid, run in self._runs.items():
            row = rows.get(uid)
            if row is None or row == run.row:
                continue
            run.row = row
            run.model.describe(row)
            self._tell.start()
        self.refresh()

    @property
    def loading(self) -> bool:
        """Some run is not read to its end yet."""
        return self._loading

    def uids(self) -> tuple[str, ...]:
        """The compared runs."""
        return tuple(self._runs)

    def runs(self) -> tuple[RunSummary, ...]:
        """The compared runs; the place of each is the index of its colour."""
        names = [self._label(uid) for uid in self._runs]
        return tuple(
            RunSummary(
                uid,
                run.model.name,
                name,
                run.model.status,
                run.model.status_text,
                created=run.row.created if run.row is not None else 0.0,
                letter=labels.letter(place) if len(names) > 1 else "",
                short=short,
            )
            for place, ((uid, run), name, short) in enumerate(
                zip(self._runs.items(), names, labels.shortened(names), strict=True)
            )
        )

    def table(self) -> ScoreTable:
        """Base, degraded and recovered per task, a line for every run (and recovered stage)."""
        by_task: dict[str, list[ScoreLine]] = {}
        for index, (uid, run) in enumerate(self._runs.items()):
            source = run_part(run.model.name, uid)
            for task, lines in run.model.trio_lines(self._label(uid), index).items():
                by_task.setdefault(task, []).extend(replace(it, source=source) for it in lines)
        lines = [line for found in by_task.values() for line in _mark_protocols(found)]
        return ScoreTable(_COLUMNS, tuple(lines), f"recovered {words.MINUS} degraded")

    def available_keys(self) -> tuple[str, ...]:
        """Metrics that at least one run has."""
        keys = dict.fromkeys(
            key for run in self._runs.values() for key in run.model.available_keys()
        )
        return tuple(sorted(keys, key=words.metric_rank))

    def key_title(self, key: str) -> tuple[str, str]:
        """Title and unit of a metric."""
        return words.metric(key)

    def overlay(self, key: str) -> tuple[Series, ...]:
        """The curves of one metric of all runs; `run` is the run's label."""
        return tuple(
            replace(series, run=self._label(uid))
            for uid, run in self._runs.items()
            for series in run.model.series(key)
        )

    def tasks(self) -> tuple[str, ...]:
        """Tasks scored in at least one run."""
        return tuple(
            dict.fromkeys(task for run in self._runs.values() for task in run.model.tasks())
        )

    def task_title(self, task: str) -> str:
        """A task's name in words."""
        return words.plain(task)

    def accuracy(self, task: str) -> tuple[Band, ...]:
        """Live accuracy of one task in all runs, per cent."""
        return tuple(
            replace(band, run=self._label(uid))
            for uid, run in self._runs.items()
            for band in run.model.accuracy().get(task, ())
        )

    def profiles(self) -> tuple[Profile, ...]:
        """CKA per layer of all finished checkpoints of all runs."""
        return tuple(
            profile
            for uid, run in self._runs.items()
            for profile in run.model.cka_profile(self._label(uid))
        )

    def metric_source(self, key: str) -> str:
        """Where the curves of one metric come from, a line a run."""

        def source(run: RunViewModel) -> str:
            stages = [it.stage for it in run.series(key)]
            return run.source(stages) if stages else ""

        return self._sources(source)

    def task_source(self, task: str) -> str:
        """Where the accuracies of one task come from, a line a run."""
        return self._sources(lambda run: run.task_source(task) if task in run.tasks() else "")

    def profile_source(self) -> str:
        """Where the CKA by layer comes from, a line a run."""

        def source(run: RunViewModel) -> str:
            found = run.cka_profile()
            how = " / ".join(dict.fromkeys(it.caption for it in found))
            return run.cka_source([it.subject for it in found], how) if found else ""

        return self._sources(source)

    def differences(self) -> tuple[DiffRow, ...]:
        """Recipe fields that are not equal in all runs; values are aligned with `runs`."""
        flat = self._flat_recipes()
        paths = dict.fromkeys(path for fields in flat for path in fields)
        rows = []
        for path in paths:
            values = tuple(fields.get(path, words.NONE) for fields in flat)
            if len(set(values)) > 1:
                notes = tuple(_note(path, fields) for fields in flat)
                rows.append(DiffRow(path, words.field(path.rsplit(".", 1)[-1]), values, notes))
        return tuple(rows)

    def field_count(self) -> int:
        """Number of recipe fields of all runs together."""
        return len({path for fields in self._flat_recipes() for path in fields})

    # inside

    def _new(self, uid: str) -> _Compared:
        run = _Compared(uid, self)
        run.model.loadedChanged.connect(self._update_loading)
        for signal in (run.model.seriesChanged, run.model.scoresChanged, run.model.ckaChanged):
            signal.connect(self._tell.start)
        return run

    def _next_page(self, uid: str, run: _Compared) -> None:
        after = run.cursor
        run.reading = True

        def read(store: Store) -> tuple[RunRow, list[LoggedEvent]]:
            return store.run(uid), store.events(uid, after, PAGE, kinds=KINDS)

        self._read(read, lambda answer: self._take(uid, run, *answer))

    def _take(self, uid: str, run: _Compared, row: RunRow, events: list[LoggedEvent]) -> None:
        if self._runs.get(uid) is not run:
            return
        run.reading = False
        if run.row is None:
            run.row, run.session = row, row.session
            run.model.describe(row)
        begun = [it.event.session for it in events if isinstance(it.event, RunStarted)]
        if max(begun, default=0) > run.session:  # resumed since: read what still counts
            run.session, run.cursor = max(begun), 0
            run.model.reset()
            self._next_page(uid, run)
        elif events:
            run.cursor = events[-1].seq
            run.model.feed(events)
            self._next_page(uid, run)
        else:
            run.model.caught_up()

    def _update_loading(self) -> None:
        loading = any(not run.model.loaded for run in self._runs.values())
        if loading != self._loading:
            self._loading = loading
            self.loadingChanged.emit()
        self._tell.start()

    def _sources(self, of: Callable[[RunViewModel], str]) -> str:
        """What `of` says of each run, on one line behind its letter; of a single run as it is."""
        runs = self.runs()
        texts = [(it.letter, of(self._runs[it.uid].model)) for it in runs]
        if len(runs) == 1:
            return texts[0][1]
        lines = [" · ".join((letter, *text.split("\n"))) for letter, text in texts if text]
        return "\n".join(lines)

    def _label(self, uid: str) -> str:
        """The run's name, with the beginning of its id where another one has the same name."""
        name = self._runs[uid].model.name
        twins = sum(run.model.name == name for run in self._runs.values())
        return name if twins == 1 else f"{name} ({uid[:4]})"

    def _flat_recipes(self) -> list[dict[str, str]]:
        return [_fields(run.model.recipe, run.row) for run in self._runs.values()]


def _fields(recipe: Recipe | None, row: RunRow | None) -> dict[str, str]:
    """The fields in force, defaults included; a recipe of another version is shown as it was written."""
    if recipe is None:
        return _flatten(json.loads(row.recipe_json)) if row is not None else {}
    fields = _flatten(recipe.model_dump(mode="json", by_alias=True))
    for stage, source in plan.sources(recipe).items():
        implied = {f"stages.{stage}.from": source, f"stages.{stage}.seed": str(recipe.seed)}
        fields |= {path: it for path, it in implied.items() if fields.get(path) == words.NONE}
    return fields


def _note(path: str, fields: Mapping[str, str]) -> str:
    if path not in fields:
        return "not in this recipe"
    return "not set" if fields[path] == words.NONE else ""


def _flatten(value: Any, path: str = "") -> dict[str, str]:
    """Fields by dotted path, stages named by their id, values as text."""
    if isinstance(value, dict):
        items = [(str(key), it) for key, it in value.items()]
    elif isinstance(value, list) and any(isinstance(it, dict) for it in value):
        items = [
            (str(it.get("id", index)) if isinstance(it, dict) else str(index), it)
            for index, it in enumerate(value)
        ]
    else:
        unset = value is None or value == ""
        text = value if isinstance(value, str) else json.dumps(value)
        return {path: words.NONE if unset else text}
    fields: dict[str, str] = {}
    for key, it in items:
        fields |= _flatten(it, f"{path}.{key}" if path else key)
    return fields


def _mark_protocols(lines: Sequence[ScoreLine]) -> list[ScoreLine]:
    """Lines of one task; where runs used different protocols, each line says so, and in what they differ."""
    by_protocol = {cell.protocol: cell for line in lines for cell in line.cells if cell is not None}
    if len(by_protocol) < 2:
        return list(lines)
    first, second, *_ = by_protocol.values()
    why = refusal(first.parts, second.parts, OTHER_PROTOCOL)
    marked = []
    for line in lines:
        own = sorted({cell.protocol[:8] for cell in line.cells if cell is not None})
        note = f"{line.protocol} · protocol {', '.join(own)}" if own else line.protocol
        marked.append(replace(line, protocol=note, refusal=line.refusal or why))
    return marked
