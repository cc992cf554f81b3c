"""What people change about runs: name, star, tags, notes, deletion, and their place in the queue.

All functions run inside the caller's transaction. Deleting hides a run, with everything of it kept, so
that it can be undone; `purge` deletes for good what was hidden long enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.store import reading
from core.store.sqlite import Database

STARS = (-1, 0, 1)


@dataclass(frozen=True)
class RunEdit:
    """What to change about one run; None leaves a thing as it is.

    Attributes:
        star: 1 star, -1 cross, 0 neither.
        deleted: True hides the run from every list, False brings it back.
    """

    name: str | None = None
    star: int | None = None
    tags: tuple[str, ...] | None = None
    notes: str | None = None
    deleted: bool | None = None

    def columns(self, now: float) -> dict[str, object]:
        """The columns of table `run` it sets, with their values."""
        columns: dict[str, object] = {}
        if self.name is not None:
            columns["name"] = self.name
        if self.star is not None:
            if self.star not in STARS:
                raise ValueError(f"star is -1, 0 or 1, not {self.star}")
            columns["star"] = self.star
        if self.tags is not None:
            columns["tags_json"] = json.dumps(list(self.tags))
        if self.notes is not None:
            columns["notes"] = self.notes
        if self.deleted is not None:
            columns["deleted"] = now if self.deleted else None
            if self.deleted:
                columns["queue_position"] = None
        return columns


def apply(db: Database, edits: Mapping[str, RunEdit], now: float) -> None:
    """Make these changes, by run. Raises UserError for a run that does not exist."""
    for uid, edit in edits.items():
        reading.session_of(db, uid)
        columns = edit.columns(now)
        if columns:
            db.table("run").update(uid, columns)


def delete(db: Database, uid: str) -> None:
    """Delete a run for good, with its log. Rows of its checkpoints stay as long as no other run has the
    same: their files are still on the disk, and other runs may build on them."""
    db.execute(
        "DELETE FROM checkpoint WHERE run = ?1 AND identity IN"
        " (SELECT identity FROM checkpoint WHERE run IS NOT ?1)",
        (uid,),
    )
    db.execute("DELETE FROM run WHERE uid = ?", (uid,))


def purge(db: Database, before: float) -> int:
    """Delete for good what was hidden before that time; returns how many runs that were."""
    hidden = db.execute("SELECT uid FROM run WHERE deleted < ?", (before,)).fetchall()
    for (uid,) in hidden:
        delete(db, uid)
    return len(hidden)


def queue(db: Database) -> list[str]:
    """The runs that wait for a window to start them, in order."""
    rows = db.execute(
        "SELECT uid FROM run WHERE queue_position IS NOT NULL AND deleted IS NULL"
        " ORDER BY queue_position, created"
    )
    return [uid for (uid,) in rows]


def merged(known: Sequence[str], wanted: Sequence[str], present: Sequence[str]) -> list[str]:
    """The order that keeps what two windows did to one queue.

    Args:
        known: the queue as this window last knew it.
        wanted: what it makes of it.
        present: what the queue has become meanwhile.
    """
    gone = set(known).difference(present)  # started or taken out elsewhere
    dropped = set(known).difference(wanted)
    left = [uid for uid in known if uid not in dropped]
    mine = [uid for uid in wanted if uid not in gone]
    if list(wanted[: len(left)]) == left:  # no order was changed here: theirs counts
        order = [uid for uid in present if uid not in dropped]
        return [*order, *(uid for uid in mine if uid not in order)]
    ours = [at for at, uid in enumerate(present) if uid in mine]
    last = ours[-1] if ours else -1
    before = ""
    for at, uid in enumerate(present):
        if uid in dropped:
            continue
        if uid not in mine:  # joined elsewhere: at the end, or behind the one it stood behind
            place = len(mine) if at > last else mine.index(before) + 1 if before else 0
            mine.insert(place, uid)
        before = uid
    return mine


def set_queue(db: Database, uids: Sequence[str]) -> None:
    """Make these, in this order, the runs that wait; others wait no longer."""
    db.execute("UPDATE run SET queue_position = NULL WHERE queue_position IS NOT NULL")
    db.conn.executemany(
        "UPDATE run SET queue_position = ? WHERE uid = ? AND status <> 'running'",
        [(place, uid) for place, uid in enumerate(uids, start=1)],
    )
