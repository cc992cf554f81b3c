"""The event log of a run: appending, paging, forgetting, and folding everything again from it.

All functions but the reading ones run inside the caller's transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from pydantic import ValidationError

from core.events import REPLACED_KINDS, Event, from_json, to_json
from core.store import folding, reading
from core.store.rows import LoggedEvent
from core.store.sqlite import Database

PAGE = 5000
"""Events decoded at a time."""

Reported = set[tuple[str, int]]
"""Unreadable events already told of, as (run, seq)."""

_LOG = logging.getLogger(__name__)


def append(db: Database, uid: str, events: Sequence[Event], t: float) -> None:
    """Write events at the end of a run's log, fold them, and move the run's row.

    Of the kinds in `REPLACED_KINDS` the log keeps the newest per stage. Sequence numbers never go back
    and are never used twice, whatever is deleted: readers keep them as cursors.
    """
    row = db.execute(
        "UPDATE run SET last_seq = last_seq + ? WHERE uid = ? RETURNING last_seq",
        (len(events), uid),
    ).fetchone()
    if row is None:
        raise reading.unknown_run(uid)
    batch = [LoggedEvent(seq, t, e) for seq, e in enumerate(events, start=row[0] - len(events) + 1)]
    newest = {_slot(logged): logged.seq for logged in batch if logged.event.kind in REPLACED_KINDS}
    for slot in newest:
        db.execute("DELETE FROM event WHERE run = ? AND kind = ? AND stage = ?", (uid, *slot))
    kept = [logged for logged in batch if newest.get(_slot(logged), logged.seq) == logged.seq]
    db.conn.executemany(
        "INSERT INTO event(run, seq, t, kind, stage, step, payload) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (
                uid,
                logged.seq,
                t,
                *_slot(logged),
                folding.step_of(logged.event),
                to_json(logged.event),
            )
            for logged in kept
        ],
    )
    folding.fold(db, uid, kept)
    for logged in kept:
        folding.fold_state(db, uid, t, logged.event)


def _slot(logged: LoggedEvent) -> tuple[str, str]:
    return logged.event.kind, folding.stage_of(logged.event)


def page(
    db: Database,
    uid: str,
    after: int,
    reported: Reported,
    *,
    limit: int = PAGE,
    kinds: Collection[str] = (),
    stage: str | None = None,
) -> tuple[list[LoggedEvent], int | None]:
    """The next events past a cursor, and the cursor behind them (None at the end of the log).

    An event that this version cannot read is told of once in the program's log, and left out.
    """
    among = f"AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
    among += "" if stage is None else " AND stage = ?"
    named = () if stage is None else (stage,)
    rows = db.execute(
        # As bytes: text that a failing disk has made invalid must not end the reading of the log.
        f"SELECT seq, t, CAST(payload AS BLOB) FROM event WHERE run = ? AND seq > ? {among} ORDER BY seq LIMIT ?",
        (uid, after, *kinds, *named, limit),
    ).fetchall()
    found = []
    for seq, t, payload in rows:
        try:
            found.append(LoggedEvent(seq, t, from_json(payload.decode(errors="replace"))))
        except ValidationError:
            if (uid, seq) not in reported:
                reported.add((uid, seq))
                _LOG.exception(
                    "Event %d of run %s cannot be read by this version and is left out; a newer Rekindle"
                    " may show it.",
                    seq,
                    uid,
                )
    return found, rows[-1][0] if rows else None


def refold(db: Database, uid: str, reported: Reported) -> None:
    """Fold the index tables of a run anew."""
    folding.clear(db, uid)
    cursor: int | None = 0
    while cursor is not None:
        found, cursor = page(db, uid, cursor, reported)
        folding.fold(db, uid, found)


def refold_all(db: Database) -> None:
    """Fold the index tables of every run anew."""
    reported: Reported = set()
    for (uid,) in db.execute("SELECT uid FROM run").fetchall():
        refold(db, uid, reported)


def forget(db: Database, uid: str, stage: str, past_step: int | None, reported: Reported) -> None:
    """Delete what a stage reported (past a step, or all of it) and fold the run as if it never had."""
    if past_step is None:
        db.execute("DELETE FROM event WHERE run = ? AND stage = ?", (uid, stage))
    else:
        db.execute(
            "DELETE FROM event WHERE run = ? AND stage = ? AND step > ?", (uid, stage, past_step)
        )
    refold(db, uid, reported)
