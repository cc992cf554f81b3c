"""From events to index tables. The log is the truth: whatever is here can be folded again from it.

`fold` fills the index tables of one run; `fold_state` moves the run's own row (status, heartbeat, …),
which processes also change without an event and which is therefore never refolded.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence

from core.events import (
    CheckpointSaved,
    CkaMeasured,
    CompletionSampled,
    EvaluatedItem,
    Event,
    Heartbeat,
    ItemsEvaluated,
    Metrics,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.store import summary
from core.store.encoding import DTYPE, canonical, decode, encode, nan_to_null, to_blob
from core.store.rows import LoggedEvent
from core.store.sqlite import Database
from core.store.summary import SeriesSummary

DURABLE_EVENTS = (RunStarted, RunFinished, StageFinished, CheckpointSaved)
"""Events that must survive a power cut: their transaction is flushed to the disk before it returns."""

CODE_VERSION = "engine"
"""The key of `RunStarted.environment` that holds the version of the engine that ran."""

_INDEX_TABLES = ("stage", "checkpoint", "series", "cka", "eval_run", "completion")

_Point = tuple[int, float, float]  # step, time, value


def stage_of(event: Event) -> str:
    """The stage an event belongs to, '' for the whole run."""
    return getattr(event, "stage", "")


def step_of(event: Event) -> int | None:
    """The step an event belongs to, None where it has none."""
    return getattr(event, "step", None)


def clear(db: Database, uid: str) -> None:
    """Empty the index tables of one run; metric points and evaluated items go with their parents."""
    for table in _INDEX_TABLES:
        db.execute(f"DELETE FROM {table} WHERE run = ?", (uid,))
    db.execute("UPDATE run SET recovered_json = '{}' WHERE uid = ?", (uid,))


def fold(db: Database, uid: str, batch: Iterable[LoggedEvent]) -> None:
    """Take events into the index tables, in order, inside the caller's transaction."""
    points: dict[tuple[str, str], list[_Point]] = {}
    for logged in batch:
        event = logged.event
        match event:
            case Metrics():
                for key, value in event.values.items():
                    point = (event.step, logged.t, canonical(value))
                    points.setdefault((event.stage, key), []).append(point)
            case ItemsEvaluated():
                _fold_items(db, uid, event)
            case TaskEvaluated():
                _fold_score(db, uid, logged.seq, event)
            case CompletionSampled():
                _fold_completion(db, uid, logged.seq, event)
            case CkaMeasured():
                _fold_cka(db, uid, logged.seq, event)
            case CheckpointSaved():
                _fold_checkpoint(db, uid, logged.seq, event)
            case RunStarted():
                _fold_plan(db, uid, event)
            case StageStarted():
                db.execute(
                    "UPDATE stage SET status = 'running', input_checkpoint = (SELECT output_checkpoint"
                    " FROM stage AS other WHERE other.run = stage.run AND other.stage_id = stage.source)"
                    " WHERE run = ? AND stage_id = ?",
                    (uid, event.stage),
                )
            case StageFinished():
                db.execute(
                    "UPDATE stage SET status = ?, output_checkpoint = ?, reused = ?, seconds = ?"
                    " WHERE run = ? AND stage_id = ?",
                    (
                        event.status,
                        event.checkpoint,
                        int(event.reused),
                        event.seconds,
                        uid,
                        event.stage,
                    ),
                )
            case RunFinished():
                recovered = json.dumps(event.recovered_fraction)
                db.execute("UPDATE run SET recovered_json = ? WHERE uid = ?", (recovered, uid))
            case _:  # progress, warnings and heartbeats are read from the log only
                pass
    for (stage, key), new in points.items():
        _fold_points(db, uid, stage, key, new)


def fold_state(db: Database, uid: str, t: float, event: Event) -> None:
    """Move the run's own row by one event."""
    match event:
        case Heartbeat():
            db.execute("UPDATE run SET heartbeat = ? WHERE uid = ?", (t, uid))
        case RunStarted():
            db.execute(
                "UPDATE run SET status = 'running', started = COALESCE(started, ?), ended = NULL,"
                " failure = '', failure_message = '', env_json = ?, code_version = ? WHERE uid = ?",
                (
                    t,
                    json.dumps(event.environment),
                    event.environment.get(CODE_VERSION, ""),
                    uid,
                ),
            )
        case RunFinished():
            failure = event.failure
            message = f"{failure.message} {failure.hint}".strip() if failure else ""
            db.execute(
                "UPDATE run SET status = ?, ended = ?, failure = ?, failure_message = ? WHERE uid = ?",
                (event.status, t, failure.failure if failure else "", message, uid),
            )
        case _:
            pass


def _fold_plan(db: Database, uid: str, event: RunStarted) -> None:
    (recipe_json,) = db.execute("SELECT recipe_json FROM run WHERE uid = ?", (uid,)).fetchone()
    declared = {spec["id"]: spec for spec in json.loads(recipe_json).get("stages", ())}
    db.execute("DELETE FROM stage WHERE run = ?", (uid,))
    for ordinal, stage in enumerate(event.stages):
        spec = declared.get(stage.id)
        db.table("stage").insert(
            {
                "run": uid,
                "ordinal": ordinal,
                "stage_id": stage.id,
                "kind": stage.kind,
                "source": stage.source,
                "role": stage.role,
                "implied": int(stage.implied),
                "spec_json": json.dumps(spec) if spec is not None else None,
                "status": "waiting",
            }
        )


def _fold_points(db: Database, uid: str, stage: str, key: str, new: Sequence[_Point]) -> None:
    columns = ", ".join(summary.COLUMNS)
    row = db.execute(
        f"SELECT id, {columns} FROM series WHERE run = ? AND stage = ? AND key = ?",
        (uid, stage, key),
    ).fetchone()
    if row is None:
        cursor = db.execute(
            "INSERT INTO series(run, stage, key) VALUES (?, ?, ?)", (uid, stage, key)
        )
        series, known = cursor.lastrowid, SeriesSummary()
    else:
        series, known = row[0], summary.from_columns(*row[1:])
    db.conn.executemany(
        "INSERT INTO metric(series, step, t, value, flag) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT(series, step) DO UPDATE"
        " SET t = excluded.t, value = excluded.value, flag = excluded.flag",
        [(series, step, t, *encode(value)) for step, t, value in new],
    )
    last = -1 if known.last_step is None else known.last_step
    steps = [last, *(step for step, _, _ in new)]
    thinned = key == summary.SPARKLINE_KEY
    if all(earlier < later for earlier, later in itertools.pairwise(steps)):
        added: Iterable[tuple[int, float]] = ((step, value) for step, _, value in new)
    else:  # a step came again or late: read the series anew
        known = SeriesSummary()
        stored = db.execute(
            "SELECT step, value, flag FROM metric WHERE series = ? ORDER BY step", (series,)
        )
        added = ((step, decode(value, flag)) for step, value, flag in stored)
    for step, value in added:
        known.add(step, value, thinned=thinned)
    assignments = ", ".join(f"{column} = ?" for column in summary.COLUMNS)
    db.execute(f"UPDATE series SET {assignments} WHERE id = ?", (*known.columns(), series))


def _fold_items(db: Database, uid: str, event: ItemsEvaluated) -> None:
    evaluation = _evaluation(db, uid, event)
    db.conn.executemany(
        "INSERT INTO eval_item(eval_run, item_id, correct, score, completion, gold)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(eval_run, item_id) DO UPDATE SET"
        " correct = excluded.correct, score = excluded.score,"
        " completion = excluded.completion, gold = excluded.gold",
        [_item_columns(evaluation, item) for item in event.items],
    )


def _item_columns(evaluation: int, item: EvaluatedItem) -> tuple[object, ...]:
    score = nan_to_null(item.score)
    return (evaluation, item.item, int(item.correct), score, item.completion, item.gold)


def _fold_score(db: Database, uid: str, seq: int, event: TaskEvaluated) -> None:
    db.execute(
        "UPDATE eval_run SET seq = ?, checkpoint = ?, n = ?, correct = ?, protocol_fingerprint = ?,"
        " scorer = ?, dataset = ?, seed = ? WHERE id = ?",
        (
            seq,
            event.checkpoint,
            event.n,
            event.correct,
            event.protocol,
            event.scorer,
            event.dataset,
            event.seed,
            _evaluation(db, uid, event),
        ),
    )


def _evaluation(db: Database, uid: str, event: ItemsEvaluated | TaskEvaluated) -> int:
    key = (uid, event.stage, event.subject, event.task, event.step)
    db.execute(
        "INSERT INTO eval_run(run, stage, subject, task, step) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT(run, stage, subject, task, COALESCE(step, -1)) DO NOTHING",
        key,
    )
    found = db.execute(
        "SELECT id FROM eval_run WHERE run = ? AND stage = ? AND subject = ? AND task = ?"
        " AND COALESCE(step, -1) = COALESCE(?, -1)",
        key,
    ).fetchone()
    evaluation: int = found[0]
    return evaluation


def _fold_completion(db: Database, uid: str, seq: int, event: CompletionSampled) -> None:
    db.table("completion").insert(
        {
            "run": uid,
            "seq": seq,
            "stage": event.stage,
            "step": event.step,
            "item": event.item,
            "prompt": event.prompt,
            "demonstration": event.demonstration,
            "student_text": "".join(event.tokens),
            "teacher_top1_agreement": nan_to_null(event.teacher_top1_agreement),
            "kl": nan_to_null(event.kl),
            "ended": int(event.ended),
        }
    )


def _fold_cka(db: Database, uid: str, seq: int, event: CkaMeasured) -> None:
    db.table("cka").insert(
        {
            "run": uid,
            "seq": seq,
            "stage": event.stage,
            "step": event.step,
            "reference": event.reference,
            "current": event.subject,
            "probe": event.probe,
            "mode": event.mode,
            "token": event.token,
            "preprocessing": event.preprocessing,
            "variant": event.variant,
            "layout": event.layout,
            "rows": json.dumps(event.rows),
            "cols": json.dumps(event.cols),
            "dtype": DTYPE,
            "data": to_blob(event.values),
            "null_floor": to_blob(event.null_floor),
            "spread": to_blob(event.spread),
            "n": event.n,
        }
    )


def _fold_checkpoint(db: Database, uid: str, seq: int, event: CheckpointSaved) -> None:
    db.table("checkpoint").upsert(
        {
            "run": uid,
            "identity": event.identity,
            "parent": event.parent,
            "kind": event.stage_kind,
            "path": event.path,
            "bytes": event.bytes,
            "step": event.step,
            "final": int(event.final),
            "stage": event.stage,
            "seq": seq,
        },
        pk=("run", "identity"),
    )
