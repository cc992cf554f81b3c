"""Recorded logs of real runs (`events/*.jsonl`, made by `events/record.py`), and what a view model makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from app.viewmodels.run import RunViewModel
from core.events import from_json
from core.store.rows import LoggedEvent, RunRow

FOLDER = Path(__file__).parent / "events"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.jsonl")))
EPOCH = 1_790_000_000.0


@dataclass(frozen=True)
class Recording:
    """One file: the run's row as far as it is known, and its log."""

    row: RunRow
    log: tuple[LoggedEvent, ...]

    def view(self, log: Sequence[LoggedEvent] | None = None) -> RunViewModel:
        """A view model that has folded `log`, the whole one by default, at once; the row is read again after it."""
        run = RunViewModel(self.row.uid)
        run.describe(self.row)
        run.apply(self.log if log is None else log)
        run.describe(self.row)
        return run


@cache
def recording(name: str) -> Recording:
    """A file by its name."""
    head, *lines = (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()
    run = json.loads(head)
    parsed = [json.loads(line) for line in lines]
    log = tuple(
        LoggedEvent(it["seq"], EPOCH + it["t"], from_json(json.dumps(it["event"]))) for it in parsed
    )
    row = RunRow(
        uid=f"recorded-{name}",
        name=run["name"],
        status=run["status"],
        recipe_json=json.dumps(run["recipe"]),
        seed=run["recipe"]["seed"],
        base="",
        created=EPOCH,
        started=EPOCH,
        ended=log[-1].t,
        heartbeat=log[-1].t,
        pid=None,
        pid_started=None,
        session=1,
        star=0,
        tags=(),
        notes="",
        failure="",
        failure_message="",
        last={},
        measured={},
        recovered_fraction={},
        loss=(),
    )
    return Recording(row, log)


def picture(run: RunViewModel) -> dict[str, object]:
    """Everything the run page paints, in comparable form."""
    return {
        "stages": run.stages(implied=True),
        "planned": run.planned(),
        "scores": run.score_table(),
        "accuracy": {
            task: [(it.stage, it.x.tolist(), it.y.tolist(), it.low.tolist()) for it in bands]
            for task, bands in run.accuracy().items()
        },
        "facts": run.facts,
        "status": run.status_text,
        "failure": run.failure,
        "series": {
            key: [
                (it.stage, it.x.tolist(), np.nan_to_num(it.y, nan=-9).tolist())
                for it in run.series(key)
            ]
            for key in run.available_keys()
        },
        "marks": run.marks(),
        "live cka": [
            (stage, np.nan_to_num(live.values, nan=-9).tolist())
            for stage in run.cka_subjects()
            if (live := run.cka_live(stage)) is not None
        ],
        "cka": [
            (it.label, it.heatmap.rows, np.nan_to_num(it.heatmap.values, nan=-9).tolist())
            for it in run.cka_maps()
        ],
        "completions": tuple(run.completions()),
        "guards": run.guards(),
        "log": tuple(run.log()),
    }
