"""A database that cannot be opened, or not be written just now."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels.doors import Doors
from core.store import sqlite
from core.store.store import Store
from tests.app.conftest import Sample


@pytest.fixture
def doors(sample: Sample, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> Iterator[Doors]:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.2)
    monkeypatch.setattr("core.store.opening.BUSY_TIMEOUT", 0.2)
    made = Doors(sample.home)
    yield made
    made.close()
    made.deleteLater()


def count(store: Store) -> int:
    return len(store.runs())


def test_that_a_database_whose_writing_is_locked_is_read_and_the_books_wait(
    doors: Doors, sample: Sample, qtbot: QtBot
) -> None:
    with Store.open(
        sample.home.database
    ) as store:  # a dead worker's run: there is something to write
        uid = sample.runs["pruned"]
        store.claim(uid, pid=1, pid_started=0.0)
    holder = sqlite3.connect(sample.home.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with qtbot.waitSignal(doors.opened, timeout=15_000) as opened:
        doors.open()
    assert any("held the database" in notice for notice in opened.args[0].notices)
    doors.read()
    found: list[int] = []
    doors.reader.submit(count, found.append)
    qtbot.waitUntil(lambda: found == [len(sample.runs)])
    holder.close()


def test_that_a_database_locked_for_everybody_is_refused_and_opens_when_asked_again(
    doors: Doors, sample: Sample, qtbot: QtBot
) -> None:
    holder = sqlite3.connect(sample.home.database, isolation_level=None)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    refusals: list[str] = []
    doors.refused.connect(lambda message, hint: refusals.append(message))
    doors.open()
    qtbot.waitUntil(lambda: len(refusals) == 2, timeout=15_000)  # for writing, then for reading
    assert all("Another program has held the database" in it for it in refusals)
    failures: list[str] = []
    doors.failed.connect(lambda message, hint: failures.append(message))
    lost: list[int] = []
    doors.reader.submit(count, lost.append)
    doors.writer.submit(count, lost.append)
    qtbot.waitUntil(lambda: len(failures) == 2)
    qtbot.waitUntil(lambda: not (doors.writer.isRunning() or doors.reader.isRunning()))
    holder.close()
    with qtbot.waitSignal(doors.opened, timeout=15_000):
        doors.open()
    doors.read()
    found: list[int] = []
    doors.reader.submit(count, found.append)
    qtbot.waitUntil(lambda: found == [len(sample.runs)])
    assert lost == []
