"""Requests by file and by signal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.engine.control import Control, request_save, request_stop
from core.store.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def control(home: Home, since: float | None = None) -> Control:
    return Control(home.run("u"), time.time() if since is None else since)


@pytest.mark.parametrize("keep", [True, False])
def test_that_a_request_is_seen_and_stays(home: Home, keep: bool) -> None:
    worker = control(home)
    assert worker.stop() is None
    request_stop(home, "u", keep)
    time.sleep(0.15)
    assert worker.stop() is keep
    request_stop(home, "u", not keep)
    time.sleep(0.15)
    assert worker.stop() is keep


def test_that_a_request_to_an_earlier_session_is_ignored(home: Home) -> None:
    request_stop(home, "u", True)
    request_save(home, "u")
    later = control(home, time.time() + 60)
    assert later.stop() is None
    assert not later.save_now()


def test_that_a_request_made_while_the_worker_starts_is_not_lost(home: Home) -> None:
    asked = time.time()
    request_stop(home, "u", True)
    assert control(home, asked).stop() is True


def test_that_each_request_to_save_is_heeded_once(home: Home) -> None:
    worker = control(home)
    assert not worker.save_now()
    request_save(home, "u")
    assert worker.save_now()
    assert not worker.save_now()


def test_that_the_end_of_a_session_removes_its_requests(home: Home) -> None:
    worker = control(home)
    request_stop(home, "u", True)
    request_save(home, "u")
    worker.clear()
    assert list(home.run("u").iterdir()) == []


def test_that_looking_costs_little(home: Home) -> None:
    worker = control(home)
    began = time.perf_counter()
    for _ in range(10_000):
        worker.stop()
    assert time.perf_counter() - began < 1.0


SIGNALLED = """
import os, signal, sys, time
from pathlib import Path
from core.engine.control import Control

control = Control(Path("."), 0)
signal.signal(signal.SIGTERM, control.on_signal)
os.kill(os.getpid(), signal.SIGTERM)
assert control.stop() is True
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(10)
"""


def test_that_a_second_signal_ends_the_process_at_once() -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SIGNALLED], check=False, env=os.environ)
    assert done.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - began < 9
