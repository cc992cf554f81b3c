"""The queries behind the lineage of checkpoints: all of them at once, with the runs and scores around them."""

from __future__ import annotations

import json

from core.store.reading import checkpoint_rows, final_scores
from core.store.rows import LineageRows, LineageRun
from core.store.sqlite import Database

KIND = "checkpoint"
"""The `kind` of the artifact rows that say what became of a checkpoint's files."""


def read(db: Database) -> LineageRows:
    """Everything the database knows about checkpoints; a handful of queries however many there are."""
    roles = {
        (run, stage): role
        for run, stage, role in db.execute("SELECT run, stage_id, COALESCE(role, '') FROM stage")
    }
    runs = {
        uid: LineageRun(uid, name, status, pid, started, seed, created, base, json.loads(fractions))
        for uid, name, status, pid, started, seed, created, base, fractions in db.execute(
            "SELECT uid, name, status, pid, pid_started, seed, created, COALESCE(label, ''),"
            " recovered_json FROM run LEFT JOIN model ON model.id = run.model"
        )
    }
    used = db.execute(
        "SELECT run, input_checkpoint FROM stage WHERE input_checkpoint IS NOT NULL"
        " UNION SELECT run, output_checkpoint FROM stage WHERE output_checkpoint IS NOT NULL"
        " UNION SELECT run, identity FROM checkpoint WHERE run IS NOT NULL"
    )
    gone = db.execute("SELECT relpath, state FROM artifact WHERE kind = ?", (KIND,))
    return LineageRows(
        checkpoints=tuple(checkpoint_rows(db)),
        roles=roles,
        runs=runs,
        scores=tuple(final_scores(db)),
        used=frozenset((run, identity) for run, identity in used),
        gone=dict(gone.fetchall()),
    )


def mark(db: Database, relpath: str, size: int, state: str) -> None:
    """Say what became of a checkpoint's files; its row and every number measured on it stay."""
    db.execute(
        "INSERT INTO artifact(kind, relpath, bytes, sha256, state) VALUES (?, ?, ?, '', ?)"
        " ON CONFLICT(relpath) DO UPDATE SET state = excluded.state, bytes = excluded.bytes",
        (KIND, relpath, size, state),
    )


def unmark(db: Database, relpath: str) -> None:
    """The files are where they belong again."""
    db.execute("DELETE FROM artifact WHERE kind = ? AND relpath = ?", (KIND, relpath))
