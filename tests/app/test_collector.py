"""Garbage is collected on the window's thread only: elsewhere it takes Qt objects with it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from app.collector import Collector, collect_what_is_due


@pytest.fixture
def collector(qtbot: QtBot) -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()
    made.deleteLater()


class _Knot(QObject):
    """A Qt object that only a cycle holds."""

    def __init__(self) -> None:
        super().__init__()
        self.me = self


def test_that_other_threads_collect_nothing(collector: Collector) -> None:
    knot = weakref.ref(_Knot())

    def allocate() -> None:
        for _ in range(20):
            kept = [[number] for number in range(5000)]
            kept.append(kept)  # type: ignore[arg-type]

    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()
    assert knot() is not None


def test_that_the_windows_thread_collects_what_is_due(collector: Collector, qtbot: QtBot) -> None:
    knot = weakref.ref(_Knot())
    kept = [[number] for number in range(5000)]
    qtbot.waitUntil(lambda: knot() is None, timeout=5000)
    assert len(kept) == 5000


def test_that_nothing_is_done_before_it_is_due() -> None:
    gc.collect()
    assert collect_what_is_due() == 0


def test_that_stopping_gives_the_work_back(qtbot: QtBot) -> None:
    made = Collector()
    assert not gc.isenabled()
    made.stop()
    assert gc.isenabled()
