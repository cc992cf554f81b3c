"""The leak guards see what is planted."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest
from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from tests.helpers.leaks import Before, left_behind, nothing_leaks


def test_that_a_test_that_leaves_nothing_is_told_so(qtbot: QtBot) -> None:
    before = Before.now()
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", ""], check=True)
    timer = QTimer(interval=1)
    timer.start()
    timer.stop()
    assert left_behind(before, 0) == []


def test_that_a_thread_left_is_found(qtbot: QtBot) -> None:
    before = Before.now()
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, name="planted")
    thread.start()
    assert left_behind(before, 0) == ["thread planted"]
    gate.set()
    thread.join()
    assert left_behind(before, 0) == []


def test_that_a_visible_window_left_is_found(qtbot: QtBot) -> None:
    before = Before.now()
    widget = QWidget()
    widget.setObjectName("planted")
    widget.show()
    (found,) = left_behind(before, 0)
    assert "planted" in found
    widget.close()
    widget.deleteLater()
    assert left_behind(before, 0) == []


def test_that_a_running_timer_without_an_owner_is_found(qtbot: QtBot) -> None:
    before = Before.now()
    planted = QTimer(interval=12_345)
    planted.start()
    assert left_behind(before, 0) == ["running timer of 12345 ms"]
    planted.stop()
    assert left_behind(before, 0) == []


def test_that_a_timer_held_by_garbage_only_is_none_and_an_owned_one_is_its_owners(
    qtbot: QtBot,
) -> None:
    before = Before.now()
    cycle: list[object] = [timer := QTimer(interval=1000)]
    cycle.append(cycle)
    timer.start()
    del timer, cycle
    owner = QObject()
    owned = QTimer(owner, interval=1000)
    owned.start()
    assert left_behind(before, 0) == []
    owned.stop()
    gc.collect()


def test_that_a_child_process_left_is_found(qtbot: QtBot) -> None:
    before = Before.now()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (found,) = left_behind(before, 0)
    assert found.startswith(f"child process {child.pid}")
    child.kill()
    child.communicate()
    assert left_behind(before, 0) == []


def test_that_every_test_of_the_window_is_guarded(request: pytest.FixtureRequest) -> None:
    assert nothing_leaks.__name__ in request.fixturenames
