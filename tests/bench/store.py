"""How fast the store takes in and gives back: `python tests/bench/store.py [points] [runs]`.

In one run and on one disk: 100,000 scalar points by the store's own statement, by sqlite-utils
`insert_all` (1,000 rows a call), and by the whole way a worker takes (events of ten values each, logged
as JSON and folded); reading them back; listing 10,000 runs; the quick check; import time. Each rate is the
best of three. The last line is one JSON object.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.events import Event, Metrics, RunFinished, TaskEvaluated
from core.store.encoding import encode
from core.store.sqlite import connect
from core.store.store import Store

_CALL = 1000  # rows a transaction
_KEYS = (*(f"key{number}" for number in range(9)), "loss")
_EVENTS_A_BATCH = _CALL // len(_KEYS)
_REPEATS = 3
_STATEMENT = (
    "INSERT INTO metric(series, step, t, value, flag) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT(series, step) DO UPDATE SET t = excluded.t, value = excluded.value, flag = excluded.flag"
)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _best(measure: Callable[[Path], float]) -> float:
    times = []
    for _ in range(_REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            times.append(measure(Path(folder) / "bench.sqlite3"))
    return min(times)


def _new_run(store: Store) -> str:
    return store.queue_run("{}", name="bench", seed=1, base="tiny")


def _executemany(path: Path, points: int) -> float:
    with Store.open(path) as store:
        store.record(_new_run(store), [Metrics(stage="s", step=0, values={"loss": 1.0})])
    db = connect(path, read_only=False)

    def work() -> None:
        for start in range(1, points, _CALL):
            db.execute("BEGIN IMMEDIATE")
            rows = [(1, step, 1.0, *encode(float(step))) for step in range(start, start + _CALL)]
            db.conn.executemany(_STATEMENT, rows)
            db.commit()

    seconds = _seconds(work)
    db.close()
    return seconds


def _insert_all(path: Path, points: int) -> float:
    with Store.open(path) as store:
        store.record(_new_run(store), [Metrics(stage="s", step=0, values={"loss": 1.0})])
    db = connect(path, read_only=False)
    table = db.table("metric")

    def work() -> None:
        for start in range(1, points, _CALL):
            table.insert_all(
                (
                    {"series": 1, "step": step, "t": 1.0, "value": float(step), "flag": 0}
                    for step in range(start, start + _CALL)
                ),
                batch_size=_CALL,
            )

    seconds = _seconds(work)
    db.close()
    return seconds


def _events(points: int) -> list[list[Event]]:
    made: list[Event] = [
        Metrics(stage="s", step=step, values={key: math.sin(step) for key in _KEYS}, tokens=step)
        for step in range(points // len(_KEYS))
    ]
    return [made[start : start + _EVENTS_A_BATCH] for start in range(0, len(made), _EVENTS_A_BATCH)]


def _record(path: Path, batches: list[list[Event]]) -> float:
    with Store.open(path) as store:
        uid = _new_run(store)
        return _seconds(lambda: [store.record(uid, batch) for batch in batches])


def _reading(path: Path, batches: list[list[Event]]) -> dict[str, float]:
    with Store.open(path) as store:
        uid = _new_run(store)
        for batch in batches:
            store.record(uid, batch)
        bytes_ = path.stat().st_size + path.with_name(path.name + "-wal").stat().st_size
        return {
            "read_points_s": _seconds(lambda: [store.points(uid, "s", key) for key in _KEYS]),
            "rebuild_s": _seconds(lambda: store.rebuild(uid)),
            "database_mb": bytes_ / 1e6,
        }


def _listing(path: Path, runs: int) -> dict[str, float]:
    recipe = json.dumps({"stages": [], "notes": "x" * 1500})
    values = {f"metric{number}": 1.0 for number in range(9)} | {"loss": 0.5}
    with Store.open(path) as store:
        for number in range(runs):
            uid = store.queue_run(recipe, name=f"run {number}", seed=number, base="tiny")
            events: list[Event] = [
                Metrics(stage="sdft", step=step, values=values) for step in range(8)
            ]
            events += [
                TaskEvaluated(
                    stage=f"{subject}.evaluate",
                    subject=subject,
                    checkpoint=None,
                    task="tooluse",
                    n=100,
                    correct=number % 100,
                    protocol="p",
                    scorer="s",
                    dataset="d",
                    seed=1,
                )
                for subject in ("base", "nf4", "sdft")
            ]
            events.append(
                RunFinished(status="done", seconds=1.0, recovered_fraction={"a": {"t": 1}})
            )
            store.record(uid, events)
        times = [_seconds(store.runs) for _ in range(_REPEATS)]
    check = _seconds(lambda: Store.open(path).close())
    return {
        "list_runs_s": min(times),
        "open_for_writing_s": check,
        "list_database_mb": path.stat().st_size / 1e6,
    }


def _import_seconds(module: str) -> float:
    command = [sys.executable, "-c", f"import {module}"]
    root = Path(__file__).parents[2]
    return min(
        _seconds(lambda: subprocess.run(command, check=True, cwd=root)) for _ in range(_REPEATS)
    )


def main(points: int = 100_000, runs: int = 10_000) -> None:
    """Measure and print."""
    batches = _events(points)
    executemany = points / _best(lambda path: _executemany(path, points))
    insert_all = points / _best(lambda path: _insert_all(path, points))
    record = points / _best(lambda path: _record(path, batches))
    figures: dict[str, float] = {
        "points": points,
        "executemany_points_per_s": executemany,
        "insert_all_points_per_s": insert_all,
        "record_points_per_s": record,
        "executemany_over_insert_all": executemany / insert_all,
        "record_over_insert_all": record / insert_all,
        "runs": runs,
    }
    with tempfile.TemporaryDirectory() as folder:
        figures |= _reading(Path(folder) / "bench.sqlite3", batches)
    with tempfile.TemporaryDirectory() as folder:
        figures |= _listing(Path(folder) / "bench.sqlite3", runs)
    figures["import_python_s"] = _import_seconds("sys")
    figures["import_numpy_pydantic_s"] = _import_seconds("numpy, pydantic")
    figures["import_store_s"] = _import_seconds("core.store.store")
    print(json.dumps({"bench": "store"} | {k: float(f"{v:.4g}") for k, v in figures.items()}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
