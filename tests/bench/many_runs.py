"""Databases with very many runs, made by copying rows: ten thousand runs in a few seconds.

What the list reads (`run`, `stage`, `series`, `eval_run`, `checkpoint`) is copied for every run; the logs
behind it exist for the runs that were written event by event only.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from core.events import RunFinished
from core.store.home import Home
from core.store.store import Store
from tests.app import sample_runs

WRITTEN = 20
"""Runs that are written through the store; the others are copies of these."""
COPIED = ("stage", "series", "eval_run", "checkpoint")
MINUTE = 60.0


def fill(home: Path, runs: int) -> None:
    """A database with `runs` runs that have ended, no two begun at the same time."""
    place = Home(home)
    place.create()
    with Store.open(place.database) as store:
        for number in range(min(runs, WRITTEN)):
            degrade = "nf4" if number % 2 else "pruned"
            recipe = sample_runs.recipe(f"bench · run {number}", degrade=degrade)
            until = sample_runs.STEPS if number % 4 == 0 else 20 + number
            log = sample_runs.events(recipe, until=until, seed=number)
            if not isinstance(log[-1], RunFinished):
                log.append(RunFinished(status="stopped", seconds=900.0))
            sample_runs.add(store, recipe, log, age=number * MINUTE)
    _copy(place.database, runs - WRITTEN)


def _copy(database: Path, copies: int) -> None:
    with sqlite3.connect(database) as db:
        sources = [row[0] for row in db.execute("SELECT uid FROM run ORDER BY created DESC")]
        db.execute("CREATE TEMP TABLE copy(source TEXT, uid TEXT, number INTEGER)")
        db.executemany(
            "INSERT INTO copy VALUES (?, ?, ?)",
            [
                (sources[number % len(sources)], secrets.token_hex(6), number + len(sources))
                for number in range(copies)
            ],
        )
        db.execute("CREATE INDEX temp.copy_source ON copy(source)")
        own = {"uid": "copy.uid", "name": "'bench · run ' || copy.number"}
        own["created"] = f"run.created - {MINUTE} * copy.number"
        columns = [row[1] for row in db.execute("PRAGMA table_info(run)")]
        db.execute(
            f"INSERT INTO run({', '.join(columns)})"
            f" SELECT {', '.join(own.get(name, f'run.{name}') for name in columns)}"
            " FROM run JOIN copy ON copy.source = run.uid"
        )
        for table in COPIED:
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            columns = [name for name in columns if name not in ("id", "run")]
            db.execute(
                f"INSERT INTO {table}(run, {', '.join(columns)})"
                f" SELECT copy.uid, {', '.join(f'{table}.{name}' for name in columns)}"
                f" FROM copy CROSS JOIN {table} ON {table}.run = copy.source"
            )
    db.close()
