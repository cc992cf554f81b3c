"""Schema versions: the framework, tried with steps that do not exist yet."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import BugError, UserError
from core.events import Event
from core.store.migrations import MIGRATIONS, Migration
from core.store.opening import _use_wal
from core.store.sqlite import Database, connect
from core.store.store import Store


def _colour(db: Database) -> None:
    db.execute("ALTER TABLE run ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'")


def _remake_parent(db: Database) -> None:
    db.table("run").transform(rename={"colour": "hue"})


NOW = len(MIGRATIONS)
LATER = (
    *MIGRATIONS,
    Migration("colours", "8.0.0", _colour),
    Migration("hues", "9.1.0", _remake_parent),
)


def _tables(path: Path) -> dict[str, int]:
    db = connect(path, read_only=True)
    counts = {name: db.table(name).count for name in db.table_names()}
    db.close()
    return counts


def _filled(database: Path, events: list[Event]) -> str:
    with Store.open(database) as store:
        uid = store.queue_run("{}", name="old", seed=1, base="tiny")
        store.record(uid, events)
    return uid


def test_that_a_new_database_has_the_newest_schema_and_its_record(store: Store) -> None:
    assert store.schema_version == len(MIGRATIONS)
    assert store.notices == ()
    assert not store.read_only
    rows = store._db.execute("SELECT version, name, release FROM migration").fetchall()
    assert rows == [
        (place, step.name, step.release) for place, step in enumerate(MIGRATIONS, start=1)
    ]


def test_that_every_table_is_strict_and_every_pragma_is_set(store: Store) -> None:
    strict = store._db.execute(
        "SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    assert {name for name, _ in strict} == {
        *("project", "model", "run", "stage", "checkpoint", "series", "metric", "cka"),
        *("eval_run", "eval_item", "completion", "artifact", "event", "migration"),
    }
    assert all(flag for _, flag in strict)
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout")
    values = [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert values == ["wal", 1, 1, 0, 10_000]


def test_that_status_rows_are_flushed_to_the_disk(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    levels: dict[str, list[str]] = {}
    for event in whole_run:
        said: list[str] = []
        store._db.conn.set_trace_callback(said.append)
        store.record(uid, [event])
        store._db.conn.set_trace_callback(None)
        levels[event.kind] = [line for line in said if "synchronous" in line]
    durable = {kind for kind, lines in levels.items() if lines}
    assert durable == {"run_started", "run_finished", "stage_finished", "checkpoint_saved"}
    assert levels["run_started"] == ["PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL"]


def test_that_opening_again_changes_nothing(database: Path, whole_run: list[Event]) -> None:
    _filled(database, whole_run)
    before = database.read_bytes()
    with Store.open(database) as store:
        assert store.notices == ()
    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


def test_that_an_older_database_is_copied_and_upgraded_with_its_rows(
    database: Path, whole_run: list[Event]
) -> None:
    uid = _filled(database, whole_run)
    before = _tables(database)
    with Store.open(database, migrations=LATER) as store:
        assert store.schema_version == NOW + 2
        records = store._db.execute("SELECT version, release FROM migration").fetchall()
        assert records[NOW - 1 :] == [(NOW, "0.1.0"), (NOW + 1, "8.0.0"), (NOW + 2, "9.1.0")]
        assert store._db.execute("SELECT hue FROM run").fetchall() == [("blue",)]
        assert len(store.events(uid)) == len(whole_run) - 1
        assert store._db.execute("PRAGMA foreign_keys").fetchone() == (1,)
        (notice,) = store.notices
    (backup,) = database.parent.glob("*.backup")
    assert str(backup) in notice
    assert f"schema{NOW}" in backup.name
    assert _tables(database) == {**before, "migration": NOW + 2}
    assert _tables(backup) == before
    shutil.copy(backup, database)
    with Store.open(database) as store:
        assert store.schema_version == NOW
        assert store.run(uid).name == "old"


def test_that_an_empty_new_database_is_not_copied(database: Path) -> None:
    with Store.open(database, migrations=LATER) as store:
        assert store.schema_version == NOW + 2
        assert store.notices == ()
    assert list(database.parent.glob("*.backup")) == []


def _failing(db: Database) -> None:
    db.execute("ALTER TABLE run ADD COLUMN colour TEXT")
    raise ZeroDivisionError


def _dangling(db: Database) -> None:
    db.execute("DELETE FROM model")


@pytest.mark.parametrize(("step", "error"), [(_failing, ZeroDivisionError), (_dangling, BugError)])
def test_that_a_failing_step_leaves_the_database_as_it_was(
    database: Path,
    whole_run: list[Event],
    step: Callable[[Database], None],
    error: type[Exception],
) -> None:
    uid = _filled(database, whole_run)
    migrations = (*MIGRATIONS, Migration("fine", "8.0.0", _colour), Migration("not", "9.0.0", step))
    migrations = (*migrations[:NOW], migrations[-1]) if step is _failing else migrations
    before = _tables(database)
    with pytest.raises(error):
        Store.open(database, migrations=migrations)
    assert _tables(database) == before
    with Store.open(database) as store:
        assert store.schema_version == NOW
        assert not store.read_only
        assert "colour" not in store._db.table("run").columns_dict
        assert store.run(uid).name == "old"


@pytest.mark.parametrize("read_only", [False, True])
def test_that_a_newer_database_is_only_read_and_the_version_to_install_is_named(
    database: Path, whole_run: list[Event], read_only: bool
) -> None:
    uid = _filled(database, whole_run)
    Store.open(database, migrations=LATER).close()
    before = database.read_bytes()
    with Store.open(database, read_only=read_only) as store:
        assert store.read_only
        assert store.schema_version == NOW + 2
        (notice,) = store.notices
        assert "Install Rekindle 9.1.0 or later" in notice
        assert store.run(uid).scores == {"r/tooluse": 0.5}
        with pytest.raises(UserError, match=r"Install Rekindle 9\.1\.0"):
            store.rename(uid, "x")
    assert database.read_bytes() == before


def test_that_a_reader_does_not_upgrade(database: Path, whole_run: list[Event]) -> None:
    _filled(database, whole_run)
    with pytest.raises(UserError, match=f"older schema {NOW}"):
        Store.open(database, read_only=True, migrations=LATER)
    with Store.open(database) as store:
        assert store.schema_version == NOW


def test_that_a_reader_does_not_make_a_database(database: Path) -> None:
    with pytest.raises(UserError, match="There is no database"):
        Store.open(database, read_only=True)
    assert not database.exists()


def test_that_a_reader_refuses_to_write(store: Store, uid: str, database: Path) -> None:
    with Store.open(database, read_only=True) as reader:
        assert reader.read_only
        assert reader.notices == ()
        with pytest.raises(UserError, match="reading only"):
            reader.rename(uid, "x")


def test_that_several_may_make_and_upgrade_a_database_at_once(database: Path) -> None:
    outcomes: list[int] = []

    def work(migrations: tuple[Migration, ...]) -> None:
        with Store.open(database, migrations=migrations) as store:
            outcomes.append(store.schema_version)

    for migrations in (MIGRATIONS, LATER):
        threads = [threading.Thread(target=work, args=(migrations,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == [NOW] * 6 + [NOW + 2] * 6
    assert len(list(database.parent.glob("*.backup"))) == 1


def test_that_a_place_that_refuses_wal_silently_keeps_its_mode() -> None:
    db = Database(memory=True)  # like a file system without shared memory
    _use_wal(db)
    assert db.journal_mode == "memory"
