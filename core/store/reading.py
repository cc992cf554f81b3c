"""From tables to rows: the queries behind every list of the window and the command line."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from core.errors import UserError
from core.events import EvaluatedItem
from core.store.encoding import FINITE, decode, null_to_nan
from core.store.rows import CheckpointRow, Points, RunMark, RunRow, ScoreRow
from core.store.sqlite import Database
from core.store.summary import SPARKLINE_KEY, sparkline

CANDIDATES_SHOWN = 8
"""Runs named in the message when a name fits none or several."""

_RUN_COLUMNS = (
    "run.uid, run.name, status, created, started, ended, heartbeat, pid, pid_started, seed, model.label,"
    " recipe_json, session, star, tags_json, notes, failure, failure_message, recovered_json"
)
_MARKS = (
    "last_seq, session, status, started, ended, heartbeat, pid, name, star, tags_json, notes, failure,"
    " failure_message, queue_position"
)
_SCORE_COLUMNS = (
    "run, subject, checkpoint, task, step, n, correct, protocol_fingerprint, scorer, dataset, seed"
)
_CHECKPOINT_COLUMNS = "identity, parent, kind, path, bytes, step, final, COALESCE(run, ''), stage"


def run_rows(
    db: Database, uids: Collection[str] | None = None, *, deleted: bool = False
) -> list[RunRow]:
    """All runs, or those of these ids, newest first. Reads the indexes and never a metric point.

    Args:
        deleted: those that a person has deleted, too.
    """
    among = "IN (SELECT value FROM json_each(?))"
    having = f"AND run {among}" if uids is not None else ""
    # The plus keeps SQLite from walking the whole table in order where only some runs are asked for.
    by = "+" if uids is not None else ""
    wanted = [f"uid {among}"] if uids is not None else []
    wanted += [] if deleted else ["deleted IS NULL"]
    where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
    parameters = (json.dumps(list(uids)),) if uids is not None else ()
    last: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for run, name, value, flag in db.execute(
        f"SELECT run, stage || '/' || key, last_value, last_flag FROM series WHERE n > 0 {having}"
        f" ORDER BY {by}id",
        parameters,
    ):
        last[run][name] = value if flag == FINITE else decode(value, flag)
    loss: dict[str, tuple[float, ...]] = {}
    for run, thin, value, flag, newest_kept in db.execute(
        "SELECT run, thin, last_value, last_flag, (n - 1) % stride = 0 FROM series"
        f" WHERE key = '{SPARKLINE_KEY}' AND n > 0 {having} ORDER BY {by}id",
        parameters,
    ):  # the last one stays: that of the last training stage
        loss[run] = sparkline(thin, decode(value, flag), newest_kept=bool(newest_kept))
    measured: defaultdict[str, dict[str, ScoreRow]] = defaultdict(dict)
    for fields in db.execute(
        f"SELECT {_SCORE_COLUMNS} FROM eval_run WHERE step IS NULL AND n > 0 {having} ORDER BY {by}seq",
        parameters,
    ):
        score = ScoreRow(*fields)
        measured[score.run][f"{score.subject}/{score.task}"] = score
    rows = db.execute(
        f"SELECT {_RUN_COLUMNS} FROM run JOIN model ON model.id = run.model {where}"
        " ORDER BY created DESC, run.rowid DESC",
        parameters,
    )
    return [
        _run_row(row, last.get(row[0], {}), measured.get(row[0], {}), loss.get(row[0], ()))
        for row in rows
    ]


def _run_row(
    row: Sequence[Any],
    last: dict[str, float],
    measured: dict[str, ScoreRow],
    loss: tuple[float, ...],
) -> RunRow:
    *plain, tags, notes, failure, failure_message, recovered = row  # as in _RUN_COLUMNS
    fields: list[Any] = [*plain, _tags(tags), notes, failure, failure_message, last, measured]
    fields += [_fractions(recovered), loss]
    return RunRow(*fields)


def _tags(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))


def _fractions(text: str) -> dict[str, dict[str, float | None]]:
    return {} if text == "{}" else json.loads(text)


def run_row(db: Database, uid: str) -> RunRow:
    """One run.

    Raises:
        UserError: there is none with that id.
    """
    rows = run_rows(db, (uid,), deleted=True)
    if not rows:
        raise unknown_run(uid)
    return rows[0]


def run_marks(db: Database) -> dict[str, RunMark]:
    """By id, newest first, what differs between two looks exactly when `run_rows` does.

    A run's series and scores move only with `last_seq` (or, when they are purged, with the session that
    follows), so that no index is read here.
    """
    return {
        row[0]: row[1:]
        for row in db.execute(
            f"SELECT uid, {_MARKS} FROM run WHERE deleted IS NULL ORDER BY created DESC, rowid DESC"
        )
    }


def is_deleted(db: Database, uid: str) -> bool:
    """Whether a person has deleted this run (and can still undo it)."""
    row = db.execute("SELECT deleted IS NOT NULL FROM run WHERE uid = ?", (uid,)).fetchone()
    return row is not None and bool(row[0])


def running(db: Database) -> list[str]:
    """Ids of the runs whose status is running."""
    found = db.execute("SELECT uid FROM run WHERE status = 'running' ORDER BY created")
    return [uid for (uid,) in found]


def session_of(db: Database, uid: str) -> int:
    """The number of a run's newest session, 0 before the first. Raises UserError when there is no such run."""
    row = db.execute("SELECT session FROM run WHERE uid = ?", (uid,)).fetchone()
    if row is None:
        raise unknown_run(uid)
    session: int = row[0]
    return session


def unknown_run(uid: str) -> UserError:
    """The error for an id that names no run."""
    return UserError(
        f"There is no run {uid}.", "It may have been deleted; look at the list of runs."
    )


def find_uid(db: Database, text: str) -> str:
    """The run that a person means by an id, the beginning of an id, or a name.

    Raises:
        UserError: none or several fit; the hint names the candidates.
    """
    wanted = text.strip()
    known: Sequence[tuple[str, str]] = db.execute(
        "SELECT uid, name FROM run WHERE deleted IS NULL ORDER BY created DESC, rowid DESC"
    ).fetchall()
    exact = [uid for uid, _ in known if uid == wanted]
    if exact:
        return exact[0]
    fitting = [
        (uid, name)
        for uid, name in known
        if wanted and (uid.startswith(wanted.lower()) or name.casefold() == wanted.casefold())
    ]
    if len(fitting) == 1:
        return fitting[0][0]
    if fitting:
        raise UserError(
            f"{len(fitting)} runs fit {wanted!r}.",
            f"Give more of the id: {_listed(fitting)}.",
        )
    if not known:
        raise UserError(f"No run fits {wanted!r}.", "The database holds no runs yet.")
    near = [row for row in known if wanted.casefold() in row[1].casefold()] or known
    raise UserError(f"No run fits {wanted!r}.", f"There are: {_listed(near)}.")


def _listed(runs: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"{uid} ({name})" for uid, name in runs[:CANDIDATES_SHOWN])
    more = len(runs) - CANDIDATES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def points(db: Database, uid: str, stage: str, key: str) -> Points:
    """One series in full, by step; empty when there is none."""
    rows: list[tuple[int, float, float | None, int]] = db.execute(
        "SELECT step, t, value, flag FROM metric WHERE series ="
        " (SELECT id FROM series WHERE run = ? AND stage = ? AND key = ?) ORDER BY step",
        (uid, stage, key),
    ).fetchall()
    steps, times, values, flags = zip(*rows, strict=True) if rows else ((), (), (), ())
    numbers = np.array(values, dtype=np.float64)  # NULL becomes NaN
    for flag in set(flags) - {0}:
        numbers[np.array(flags) == flag] = decode(None, flag)
    return Points(stage, key, np.array(steps, np.int64), np.array(times, np.float64), numbers)


def series(db: Database, uid: str) -> list[tuple[str, str, int, int, float]]:
    """The series of a run in the order they began: stage, key, n, last step, last value."""
    rows = db.execute(
        "SELECT stage, key, n, last_step, last_value, last_flag FROM series"
        " WHERE run = ? AND n > 0 ORDER BY id",
        (uid,),
    )
    return [(*row[:4], decode(row[4], row[5])) for row in rows]


def scores(db: Database, uid: str) -> list[ScoreRow]:
    """The finished evaluations of a run, in the order they were finished."""
    rows = db.execute(
        f"SELECT {_SCORE_COLUMNS} FROM eval_run WHERE run = ? AND seq IS NOT NULL ORDER BY seq",
        (uid,),
    )
    return [ScoreRow(*row) for row in rows]


def checkpoints(db: Database, uid: str) -> list[CheckpointRow]:
    """The checkpoints a run saved, in the order they were last saved."""
    rows = db.execute(
        f"SELECT {_CHECKPOINT_COLUMNS} FROM checkpoint WHERE run = ? ORDER BY seq", (uid,)
    )
    return [_checkpoint_row(row) for row in rows]


def checkpoint_rows(db: Database) -> list[CheckpointRow]:
    """The checkpoints of all runs, in the order they were first saved; one made by several runs comes several times."""
    rows = db.execute(f"SELECT {_CHECKPOINT_COLUMNS} FROM checkpoint ORDER BY id")
    return [_checkpoint_row(row) for row in rows]


def final_scores(db: Database) -> list[ScoreRow]:
    """The finished evaluations of finished checkpoints, of all runs, in the order they were begun.

    That is `id`; `seq` counts within one run only.
    """
    rows = db.execute(
        f"SELECT {_SCORE_COLUMNS} FROM eval_run WHERE seq IS NOT NULL AND step IS NULL AND n > 0"
        " AND checkpoint IS NOT NULL ORDER BY id"
    )
    return [ScoreRow(*row) for row in rows]


def checkpoint(db: Database, identity: str) -> CheckpointRow | None:
    """The checkpoint with that identity, a finished one before an unfinished one; None when unknown."""
    row = db.execute(
        f"SELECT {_CHECKPOINT_COLUMNS} FROM checkpoint WHERE identity = ?"
        " ORDER BY final DESC, id DESC LIMIT 1",
        (identity,),
    ).fetchone()
    return None if row is None else _checkpoint_row(row)


def _checkpoint_row(row: Sequence[Any]) -> CheckpointRow:
    *plain, final, run, stage = row  # as in _CHECKPOINT_COLUMNS
    fields: list[Any] = [*plain, bool(final), run, stage]
    return CheckpointRow(*fields)


def item_results(db: Database, uid: str, subject: str, task: str) -> list[EvaluatedItem]:
    """The items of the newest evaluation of a stage's finished checkpoint on a task, in order."""
    rows = db.execute(
        "SELECT item_id, correct, score, completion, gold FROM eval_item WHERE eval_run ="
        " (SELECT id FROM eval_run WHERE run = ? AND subject = ? AND task = ? AND step IS NULL"
        "  ORDER BY id DESC LIMIT 1) ORDER BY id",
        (uid, subject, task),
    )
    return [
        EvaluatedItem(
            item=item,
            correct=bool(correct),
            score=null_to_nan(score),
            completion=completion,
            gold=gold,
        )
        for item, correct, score, completion, gold in rows
    ]
