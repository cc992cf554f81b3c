"""Damaged files, full disks, and what a person is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.errors import UserError
from core.events import Event, Metrics, StageStarted
from core.store import integrity
from core.store.migrations import MIGRATIONS, Migration
from core.store.sqlite import Database
from core.store.store import Store

_PAGE = 4096
_EVENTS = 400


def _large_run(database: Path, whole_run: list[Event]) -> str:
    with Store.open(database) as store:
        uid = store.queue_run("{}", name="precious", seed=1, base="tiny", created=1.0)
        store.record(uid, whole_run)
        for number in range(_EVENTS):
            marker = f"marker-{number:04d} " + "x" * 300
            metrics = Metrics(stage="r", step=number, values={"loss": float(number)})
            store.record(uid, [StageStarted(stage="s", why=marker), metrics])
    return uid


def _damage(database: Path, *markers: bytes) -> None:
    """Overwrite the pages that hold the markers."""
    data = bytearray(database.read_bytes())
    for start in {data.index(marker) // _PAGE * _PAGE for marker in markers}:
        data[start : start + _PAGE] = b"\xa5" * _PAGE
    database.write_bytes(data)


def _set_aside(database: Path) -> Path:
    (aside,) = database.parent.glob("*.damaged-*[0-9]")
    return aside


def _markers(store: Store, uid: str) -> set[int]:
    return {
        int(entry.event.why[7:11])
        for entry in store.events(uid)
        if isinstance(entry.event, StageStarted) and entry.event.why
    }


@pytest.mark.parametrize(
    "damaged",
    [[200], [0], [_EVENTS - 1], [50, 51, 300]],
    ids=["middle", "first", "last", "several"],
)
def test_that_a_damaged_file_is_set_aside_and_its_rows_recovered(
    database: Path, whole_run: list[Event], damaged: list[int]
) -> None:
    uid = _large_run(database, whole_run)
    _damage(database, *(f"marker-{number:04d}".encode() for number in damaged))
    broken = database.read_bytes()
    with Store.open(database) as store:
        (notice,) = store.notices
        assert "was damaged" in notice
        assert not store.read_only
        row = store.run(uid)
        assert (row.name, row.created, row.base, row.status) == ("precious", 1.0, "tiny", "done")
        found = _markers(store, uid)
        lost = set(range(_EVENTS)) - found
        assert set(damaged) <= lost
        assert len(lost) <= 20 * len(set(damaged))
        assert f"1 runs with {len(store.events(uid))} events were recovered" in notice
        recovered = [e.event for e in store.events(uid) if isinstance(e.event, Metrics)]
        steps = {event.step for event in recovered if "loss" in event.values}
        assert set(store.points(uid, "r", "loss").steps.tolist()) == steps
        assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert store._db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert store._db.journal_mode == "wal"
        store.record(uid, [Metrics(stage="r", step=9999, values={"loss": 1.0})])
    aside = _set_aside(database)
    assert str(aside) in notice
    assert aside.read_bytes() == broken
    with Store.open(database) as store:
        assert store.notices == ()


def test_that_spoilt_text_is_recovered_as_far_as_it_can_be_read(
    database: Path, whole_run: list[Event]
) -> None:
    uid = _large_run(database, whole_run)
    data = bytearray(database.read_bytes())
    at = data.index(b"precious")
    data[at : at + 4] = b"\xa5\xa5\xa5\xa5"
    database.write_bytes(data)
    _damage(database, b"marker-0200")
    with Store.open(database) as store:
        assert store.run(uid).name == "\ufffd\ufffd\ufffd\ufffdious"


def test_that_the_number_of_lost_rows_is_told(database: Path, whole_run: list[Event]) -> None:
    uid = _large_run(database, whole_run)
    _damage(database, b"marker-0200")
    with Store.open(database) as store:
        present = {entry.seq for entry in store.events(uid)}
        missing = store._db.execute("SELECT last_seq FROM run").fetchone()[0] - len(present)
        (notice,) = store.notices
        assert missing > 1
        # One older progress event was replaced, not lost.
        assert f"up to {missing - 1} rows could not be read" in notice


def test_that_rows_still_in_the_write_ahead_log_are_recovered(
    tmp_path: Path, database: Path, whole_run: list[Event]
) -> None:
    uid = _large_run(database, whole_run)
    copy = tmp_path / "copy"
    copy.mkdir()
    with Store.open(database) as store:
        store.rename(uid, "renamed")
        for part in tmp_path.glob("rekindle.sqlite3*"):  # as a power cut would leave them
            shutil.copy(part, copy)
    assert {part.suffix for part in copy.iterdir()} == {
        ".sqlite3",
        ".sqlite3-wal",
        ".sqlite3-shm",
    }
    _damage(copy / database.name, b"marker-0200")
    with Store.open(copy / database.name) as store:
        assert store.run(uid).name == "renamed"
        assert store.notices


def test_that_a_file_that_is_no_database_is_set_aside(database: Path) -> None:
    garbage = b"not a database at all " * 1000
    database.write_bytes(garbage)
    with Store.open(database) as store:
        assert store.runs() == []
        store.queue_run("{}", name="new", seed=1, base="tiny")
        assert "0 runs" in store.notices[0]
    aside = _set_aside(database)
    assert aside.read_bytes() == garbage


def test_that_events_whose_run_is_lost_keep_a_run(database: Path, whole_run: list[Event]) -> None:
    uid = _large_run(database, whole_run)
    _damage(database, b"precious", b"marker-0200")
    with Store.open(database) as store:
        row = store.run(uid)
        assert (row.name, row.status) == (f"Recovered {uid}", "interrupted")
        before = len(store.events(uid))
        assert before > _EVENTS
        store.record(uid, [StageStarted(stage="s")])
        assert len(store.events(uid)) == before + 1
    _damage(database, f"Recovered {uid}".encode(), b"marker-0300")  # and once more
    with Store.open(database) as store:
        row = store.run(uid)
        assert (row.name, row.base) == (f"Recovered {uid}", "unknown (recovered)")


def test_that_a_damaged_older_database_is_recovered_and_upgraded(
    database: Path, whole_run: list[Event]
) -> None:
    def add(db: Database) -> None:
        db.execute("ALTER TABLE run ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")

    uid = _large_run(database, whole_run)
    _damage(database, b"marker-0200")
    with Store.open(database, migrations=(*MIGRATIONS, Migration("c", "9.0.0", add))) as store:
        assert store.schema_version == len(MIGRATIONS) + 1
        assert store.run(uid).name == "precious"
        assert store._db.execute("SELECT colour FROM run").fetchone() == ("blue",)


def test_that_a_reader_of_a_damaged_file_gets_a_sentence_and_leaves_it(
    database: Path, whole_run: list[Event]
) -> None:
    uid = _large_run(database, whole_run)
    _damage(database, b"marker-0200")
    broken = database.read_bytes()
    with (
        Store.open(database, read_only=True) as reader,
        pytest.raises(UserError, match="is damaged"),
    ):
        reader.events(uid)
    assert database.read_bytes() == broken


def test_that_a_check_without_time_lets_the_file_be_used_until_damage_is_met(
    database: Path, whole_run: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "CHECK_SECONDS", -1.0)
    monkeypatch.setattr(integrity, "_STEPS_BETWEEN_LOOKS", 1)
    uid = _large_run(database, whole_run)
    _damage(database, b"marker-0200")
    with Store.open(database) as store:
        assert store.notices == ()
        assert store.run(uid).name == "precious"
        with pytest.raises(UserError, match="start it again"):
            store.events(uid)
    with Store.open(database) as store:
        assert "was damaged" in store.notices[0]
        assert len(_markers(store, uid)) > _EVENTS - 20
    assert list(database.parent.glob("*.check")) == []


def test_that_a_false_alarm_is_checked_once_and_forgotten(
    database: Path, whole_run: list[Event]
) -> None:
    _large_run(database, whole_run)
    integrity.ask_for_check(database)
    with Store.open(database) as store:
        assert store.notices == ()
    assert list(database.parent.iterdir()) == [database]


def test_that_a_full_disk_is_told_and_loses_nothing_recorded(store: Store, uid: str) -> None:
    store.record(uid, [Metrics(stage="s", step=1, values={"loss": 1.0})])
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserError, match="disk is full"):
        store.record(uid, [StageStarted(stage="s", why="x" * 100_000)])
    assert store.series(uid) == [("s", "loss", 1, 1, 1.0)]
    store._db.execute("PRAGMA max_page_count = 100000")
    store.record(uid, [StageStarted(stage="s", why="x" * 100_000)])
    assert [entry.event.kind for entry in store.events(uid)] == ["metrics", "stage_started"]


def test_that_a_path_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        Store.open(tmp_path / "missing" / "rekindle.sqlite3")


def test_that_a_path_with_odd_characters_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "a folder? 100% #1"
    folder.mkdir()
    with Store.open(folder / "rekindle.sqlite3") as store:
        store.queue_run("{}", name="x", seed=1, base="tiny")
    assert (folder / "rekindle.sqlite3").is_file()
