from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.run_thread import Ladder, RunThread
from core.events import (
    CheckpointSaved,
    Event,
    Metrics,
    RunFinished,
    RunStarted,
    StageFinished,
)
from core.store.home import Home
from core.store.rows import LoggedEvent
from core.store.store import Store

SLEEPER = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
QUICK = Ladder(ask=0.3, save=0.3, terminate=0.3)
STARTED = RunStarted(session=1, stages=(), environment={})
DONE = RunFinished(status="done", seconds=1.0)


def metric(step: int, value: float = 1.0) -> Metrics:
    return Metrics(stage="s", step=step, values={"loss": value})


class World:
    """A home with one run, and processes that pretend to be its worker."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.home.create()
        self.store = Store.open(self.home.database)
        self.uid = self.store.queue_run("{}", name="r", seed=1, base="b")
        self.processes: list[subprocess.Popen[bytes]] = []
        self.threads: list[RunThread] = []

    def spawn(self, code: str = SLEEPER, *, claim: bool = True) -> Callable[..., object]:
        """A spawner of a process that runs `code` and is the run's worker from the start."""

        def start(uid: str, home: Home) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
            )
            self.processes.append(process)
            assert process.stdout is not None
            if "print" in code:
                process.stdout.readline()
            if claim:
                self.claim(process.pid)
            return process

        return start

    def claim(self, pid: int | None = None) -> None:
        pid = pid or os.getpid()
        self.store.claim(self.uid, pid, psutil.Process(pid).create_time())

    def thread(self, mode: str = "attach", **more: object) -> RunThread:
        thread = RunThread(self.home, self.uid, mode, **more)  # type: ignore[arg-type]
        thread.got = []  # type: ignore[attr-defined]
        thread.phases = []  # type: ignore[attr-defined]
        thread.events.connect(thread.got.extend)  # type: ignore[attr-defined]
        thread.phase.connect(thread.phases.append)  # type: ignore[attr-defined]
        self.threads.append(thread)
        return thread

    def close(self) -> None:
        for thread in self.threads:
            thread.detach()
            assert thread.wait(5000)
        for process in self.processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "home")
    yield world
    world.close()


def kinds(thread: RunThread) -> list[str]:
    got: list[LoggedEvent] = thread.got  # type: ignore[attr-defined]
    return [logged.event.kind for logged in got]


def test_that_a_finished_run_is_read_to_its_end_and_no_further(world: World, qtbot: QtBot) -> None:
    world.claim()
    world.store.record(world.uid, [STARTED, *map(metric, range(1200)), DONE])
    thread = world.thread()
    caught_up: list[int] = []
    thread.caughtUp.connect(lambda: caught_up.append(len(kinds(thread))))
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        thread.start()
    assert thread.wait(5000)
    assert ended.args == ["done"]
    assert caught_up == [1202]
    assert len(kinds(thread)) == 1202
    assert kinds(thread)[-1] == "run_finished"


def test_that_a_live_run_is_followed_until_its_worker_says_how_it_ended(
    world: World, qtbot: QtBot
) -> None:
    thread = world.thread("spawn", spawn=world.spawn())
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    world.store.record(world.uid, [STARTED, metric(1)])
    qtbot.waitUntil(lambda: kinds(thread) == ["run_started", "metrics"], timeout=5000)
    world.store.record(world.uid, [metric(2), DONE])
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        world.processes[0].terminate()
    assert ended.args == ["done"]
    assert kinds(thread)[-1] == "run_finished"
    assert thread.phases == ["starting", "running", "ended"]  # type: ignore[attr-defined]


def test_that_a_killed_worker_leaves_its_run_interrupted(world: World, qtbot: QtBot) -> None:
    thread = world.thread("spawn", spawn=world.spawn())
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    world.store.record(world.uid, [STARTED, metric(1)])
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        world.processes[0].kill()
    assert ended.args == ["interrupted"]
    row = world.store.run(world.uid)
    assert (row.status, row.failure) == ("interrupted", "lost")
    assert "exit code -9" in row.failure_message


def test_that_a_worker_that_dies_before_it_claims_its_run_fails_it_with_its_last_words(
    world: World, qtbot: QtBot
) -> None:
    log = world.home.run(world.uid) / "worker.log"
    log.parent.mkdir(parents=True)
    log.write_text("ImportError: libfoo is missing\n")
    thread = world.thread("spawn", spawn=world.spawn("raise SystemExit(3)", claim=False))
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        thread.start()
    assert ended.args == ["failed"]
    assert "libfoo" in world.store.run(world.uid).failure_message


def test_that_a_worker_that_cannot_be_started_is_told(world: World, qtbot: QtBot) -> None:
    def broken(uid: str, home: Home) -> subprocess.Popen[bytes]:
        raise OSError("no such interpreter")

    thread = world.thread("spawn", spawn=broken)
    with qtbot.waitSignals([thread.failed, thread.ended], timeout=10000):
        thread.start()


def test_that_detaching_ends_the_thread_and_leaves_the_worker(world: World, qtbot: QtBot) -> None:
    thread = world.thread("spawn", spawn=world.spawn())
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    with qtbot.assertNotEmitted(thread.ended, wait=200):
        thread.detach()
        assert thread.wait(5000)
    assert world.processes[0].poll() is None
    assert world.store.run(world.uid).status == "running"


def test_that_stop_and_save_asks_and_waits_for_a_worker_that_obeys(
    world: World, qtbot: QtBot
) -> None:
    thread = world.thread("spawn", spawn=world.spawn(), ladder=Ladder(ask=30, save=30))
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    thread.stop(keep=True)
    request = world.home.run(world.uid) / "stop"
    qtbot.waitUntil(request.exists, timeout=5000)
    assert request.read_text() == "save"
    saved = CheckpointSaved(
        stage="s",
        identity="i",
        parent=None,
        stage_kind="sdft",
        path="p",
        bytes=1,
        step=3,
        final=False,
    )
    world.store.record(world.uid, [saved, StageFinished(stage="s", status="stopped")])
    qtbot.waitUntil(lambda: "saving" in thread.phases, timeout=5000)  # type: ignore[attr-defined]
    thread.stop(keep=True)  # a window that closes asks once more
    qtbot.wait(300)
    assert thread.phases[-1] == "saving"  # type: ignore[attr-defined]
    world.store.record(world.uid, [RunFinished(status="stopped", seconds=1)])
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        world.processes[0].terminate()
    assert ended.args == ["stopped"]


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_that_a_deaf_worker_meets_every_rung_of_the_ladder(world: World, qtbot: QtBot) -> None:
    thread = world.thread("spawn", spawn=world.spawn(DEAF), ladder=QUICK)
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        thread.stop(keep=False)
    assert ended.args == ["interrupted"]
    assert thread.phases == [  # type: ignore[attr-defined]
        "starting",
        "running",
        "asked",
        "terminating",
        "killing",
        "ended",
    ]
    assert world.processes[0].returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_that_a_worker_stopped_before_it_claimed_its_run_leaves_it_stopped(
    world: World, qtbot: QtBot
) -> None:
    thread = world.thread("spawn", spawn=world.spawn(claim=False), ladder=QUICK)
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        thread.stop(keep=False)
    assert ended.args == ["stopped"]
    assert world.store.run(world.uid).failure == ""


def test_that_a_save_in_progress_is_not_cut_short_by_a_second_click(
    world: World, qtbot: QtBot
) -> None:
    thread = world.thread("spawn", spawn=world.spawn(), ladder=Ladder(ask=30))
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    thread.stop(keep=True)
    qtbot.waitUntil(lambda: "asked" in thread.phases, timeout=5000)  # type: ignore[attr-defined]
    thread.stop(keep=True)
    qtbot.wait(500)
    assert thread.phases[-1] == "asked"  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")
def test_that_force_after_stop_and_save_waits_no_longer(world: World, qtbot: QtBot) -> None:
    patient = Ladder(ask=60, save=60, terminate=60)
    thread = world.thread("spawn", spawn=world.spawn(DEAF), ladder=patient)
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    thread.stop(keep=True)
    qtbot.waitUntil(lambda: "asked" in thread.phases, timeout=5000)  # type: ignore[attr-defined]
    thread.stop(keep=False)
    qtbot.waitUntil(lambda: "terminating" in thread.phases, timeout=5000)  # type: ignore[attr-defined]
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        thread.stop(keep=False)
    assert ended.args == ["interrupted"]
    assert world.processes[0].returncode == -signal.SIGKILL


def test_that_a_resumed_run_is_read_anew_once_its_log_has_been_rewound(
    world: World, qtbot: QtBot
) -> None:
    thread = world.thread("spawn", spawn=world.spawn())
    restarted: list[int] = []
    thread.restarted.connect(lambda: restarted.append(len(kinds(thread))))
    world.claim()
    world.store.record(world.uid, [STARTED, metric(1), metric(2), metric(3)])
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    world.store.purge_after(world.uid, "s", 1)
    again = RunStarted(session=2, stages=(), environment={})
    with qtbot.waitSignal(thread.restarted, timeout=10000):
        world.store.record(world.uid, [again, metric(2, 5.0)])
    qtbot.waitUntil(lambda: len(kinds(thread)) > restarted[0] + 3, timeout=5000)
    got = thread.got[restarted[0] :]  # type: ignore[attr-defined]
    assert [getattr(it.event, "step", None) for it in got] == [None, 1, None, 2]
    assert len(restarted) == 1


def test_that_reading_waits_for_a_window_that_lags_behind(world: World, qtbot: QtBot) -> None:
    world.claim()
    world.store.record(world.uid, [STARTED, *map(metric, range(2600)), DONE])
    thread = world.thread(backlog=1000)
    thread.start()
    qtbot.waitUntil(lambda: len(kinds(thread)) >= 1000, timeout=10000)
    qtbot.wait(300)
    assert len(kinds(thread)) == 1000
    thread.events.connect(lambda events: thread.consumed(len(events)))
    with qtbot.waitSignal(thread.ended, timeout=10000):
        thread.consumed(1000)
    assert len(kinds(thread)) == 2602


def test_that_in_process_the_runner_works_inside_the_thread(world: World, qtbot: QtBot) -> None:
    where: list[threading.Thread] = []

    def runner(uid: str, home: Home, on_event: Callable[[Event], None]) -> str:
        where.append(threading.current_thread())
        with Store.open(home.database) as store:
            store.claim(uid, os.getpid(), psutil.Process().create_time())
            for event in (STARTED, metric(1), DONE):
                store.record(uid, [event])
                on_event(event)
                time.sleep(0.15)
        return "done"

    thread = world.thread("in_process", runner=runner)
    with qtbot.waitSignal(thread.ended, timeout=10000) as ended:
        thread.start()
    assert ended.args == ["done"]
    assert kinds(thread) == ["run_started", "metrics", "run_finished"]
    assert where != [threading.main_thread()]


def test_that_a_worker_refused_because_another_one_lives_is_no_interruption(
    world: World, qtbot: QtBot
) -> None:
    world.claim()  # this test process is the living worker
    thread = world.thread("spawn", spawn=world.spawn("raise SystemExit(2)", claim=False))
    with qtbot.waitSignal(thread.caughtUp, timeout=10000):
        thread.start()
    qtbot.waitUntil(lambda: world.processes[0].poll() is not None, timeout=5000)
    qtbot.wait(400)
    assert world.store.run(world.uid).status == "running"
    world.store.record(world.uid, [STARTED])
    qtbot.waitUntil(lambda: kinds(thread) == ["run_started"], timeout=5000)
