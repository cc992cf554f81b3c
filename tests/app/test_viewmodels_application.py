from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels import open_runs
from app.viewmodels.application import Application
from core.errors import UserError
from core.events import Event, RunFinished
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.migrations import MIGRATIONS
from core.store.store import Store
from tests.app.test_viewmodels_run import RECIPE, metric, started, whole_run

GONE = 999_999_999
DONE = RunFinished(status="done", seconds=1.0)


class World:
    """An application over a home of its own; workers are sleeping processes that the test speaks for."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.home.create()
        self.store = Store.open(self.home.database)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.application = self.open()
        self.messages: list[tuple[str, str, str]] = []
        self.application.message.connect(lambda *it: self.messages.append(it))

    def open(self) -> Application:
        return Application(self.home, Settings(), spawn=self.spawn)

    def spawn(self, uid: str, home: Home) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
        )
        # Called in the run's own thread: with a connection of its own, and known only when it is done.
        with Store.open(home.database) as store:
            store.claim(uid, process.pid, psutil.Process(process.pid).create_time())
        self.workers[uid] = process
        return process

    def run(self, *events: Event, pid: int | None = None, recipe: Recipe = RECIPE) -> str:
        text = recipe.model_dump_json(by_alias=True)
        uid = self.store.queue_run(text, name=recipe.name, seed=1, base="b")
        if pid is not None:
            birth = psutil.Process(pid).create_time() if pid != GONE else 1.0
            self.store.claim(uid, pid, birth)
        self.store.record(uid, events)
        return uid

    def finish(self, uid: str, *events: Event) -> None:
        """The worker says its last words and ends."""
        self.store.record(uid, [*events, DONE])
        self.workers[uid].terminate()
        self.workers[uid].wait()

    def close(self) -> None:
        self.application.close()
        for worker in self.workers.values():
            worker.kill()
            worker.wait()
        self.store.close()


@pytest.fixture
def world(tmp_path: Path, qtbot: QtBot) -> Iterator[World]:
    world = World(tmp_path / "home")
    yield world
    world.close()


def begin(world: World, qtbot: QtBot) -> Application:
    with qtbot.waitSignal(world.application.runs.loadedChanged, timeout=10000):
        world.application.begin()
    return world.application


def launch(world: World, qtbot: QtBot, recipe: Recipe = RECIPE) -> str:
    with qtbot.waitSignal(world.application.runAdded, timeout=10000) as added:
        world.application.start(recipe)
    return str(added.args[0])


def until(qtbot: QtBot, what: Callable[[], bool]) -> None:
    qtbot.waitUntil(what, timeout=15000)


def test_that_the_list_fills_and_the_status_line_speaks_of_the_database(
    world: World, qtbot: QtBot
) -> None:
    world.run()
    application = begin(world, qtbot)
    assert application.runs.rowCount() == 1
    assert application.status_line == f"rekindle.sqlite3 · 1 run · schema {len(MIGRATIONS)}"


def test_that_a_first_start_makes_home_and_database(tmp_path: Path, qtbot: QtBot) -> None:
    application = Application(Home(tmp_path / "new" / "home"), Settings())
    with qtbot.waitSignal(application.runs.loadedChanged, timeout=10000):
        application.begin()
    assert application.runs.rowCount() == 0
    application.close()


def test_that_other_processes_commits_are_noticed(world: World, qtbot: QtBot) -> None:
    application = begin(world, qtbot)
    world.run()
    until(qtbot, lambda: application.runs.rowCount() == 1)


def test_that_at_the_start_dead_workers_runs_are_marked_and_living_ones_are_attached(
    world: World, qtbot: QtBot
) -> None:
    dead = world.run(started(), pid=GONE)
    alive = world.run(started(), metric(1), pid=os.getpid())
    application = begin(world, qtbot)
    assert world.store.run(dead).status == "interrupted"
    assert world.store.run(alive).status == "running"
    assert [it.uid for it in application.active()] == [alive]
    model = application.open_run(alive)
    until(qtbot, lambda: model.loaded and bool(model.series("divergence")))
    world.store.record(alive, [metric(2)])
    until(qtbot, lambda: len(model.series("divergence")[0].x) == 2)
    assert (model.status, model.can_stop) == ("running", True)
    assert application.open_run(dead).can_resume


def test_that_a_run_which_outlived_its_window_shows_its_progress_before_it_is_opened(
    world: World, qtbot: QtBot
) -> None:
    uid = world.run(*(it.event for it in whole_run()[:12]), pid=os.getpid())
    application = begin(world, qtbot)
    until(qtbot, lambda: [it.progress is not None for it in application.active()] == [True])
    assert application.active()[0].uid == uid


def test_that_a_started_run_is_watched_to_its_end_and_looks_the_same_when_reopened(
    world: World, qtbot: QtBot
) -> None:
    application = begin(world, qtbot)
    uid = launch(world, qtbot)
    until(qtbot, lambda: uid in world.workers)
    model = application.open_run(uid)
    assert application.open_run(uid) is model
    events = [it.event for it in whole_run()][:-1]
    world.store.record(uid, events[:12])
    until(qtbot, lambda: bool(model.series("divergence")))
    until(qtbot, lambda: [it.status for it in application.active()] == ["running"])
    with qtbot.waitSignal(application.runEnded, timeout=15000) as ended:
        world.finish(uid, *events[12:])
    assert ended.args == [uid, model.name, "done"]
    until(qtbot, lambda: model.status == "done" and not application.active())
    again = world.open()
    with qtbot.waitSignal(again.runs.loadedChanged, timeout=10000):
        again.begin()
    again.runEnded.connect(lambda *_: pytest.fail("reading an old log is no end of a run"))
    reopened = again.open_run(uid)
    until(qtbot, lambda: reopened.loaded)
    until(qtbot, lambda: reopened.score_table() == model.score_table())
    assert reopened.stages() == model.stages()
    assert list(reopened.log()) == list(model.log())
    assert reopened.status_text == model.status_text == "done"
    again.close()


def test_that_a_finished_run_is_no_longer_active_while_its_worker_ends(
    world: World, qtbot: QtBot
) -> None:
    application = begin(world, qtbot)
    uid = launch(world, qtbot)
    until(qtbot, lambda: uid in world.workers)
    model = application.open_run(uid)
    world.store.record(uid, [it.event for it in whole_run()][:-1])
    until(qtbot, lambda: [it.status for it in application.active()] == ["running"])
    world.store.record(uid, [DONE])
    until(qtbot, lambda: model.status == "done")
    assert world.workers[uid].poll() is None
    assert application.active() == ()


def test_that_a_second_run_waits_for_its_device(world: World, qtbot: QtBot) -> None:
    application = begin(world, qtbot)
    first, second = launch(world, qtbot), launch(world, qtbot)
    until(qtbot, lambda: [it.uid for it in application.active()] == [first, second])
    assert [it.status for it in application.active()] == ["running", "queued"]
    assert second not in world.workers
    until(qtbot, lambda: first in world.workers)
    assert application.open_run(second).state == "queued"
    world.finish(first)
    until(qtbot, lambda: second in world.workers)


def test_that_page_and_rail_tell_one_state_of_a_run_from_its_start_on(
    world: World, qtbot: QtBot
) -> None:
    application = begin(world, qtbot)
    uid = launch(world, qtbot)
    model = application.open_run(uid)
    told: list[tuple[str, ...]] = []

    def note() -> None:
        told.append((model.status_text, *(it.status_text for it in application.active())))

    application.activeChanged.connect(note)
    model.headerChanged.connect(note)
    until(qtbot, lambda: model.status_text == "running")
    assert set(told) - {("queued", "queued")} == {
        ("starting", "starting"),
        ("running", "running"),
    }


def test_that_a_stopped_run_that_waits_to_be_resumed_is_queued(world: World, qtbot: QtBot) -> None:
    uid = world.run(started(), RunFinished(status="stopped", seconds=1.0))
    application = begin(world, qtbot)
    model = application.open_run(uid)
    until(qtbot, lambda: model.loaded)
    first = launch(world, qtbot)
    application.resume(uid)
    assert (model.state, model.can_resume) == ("queued", False)
    application.stop(uid, True)
    assert (model.state, model.can_resume) == ("stopped", True)
    until(qtbot, lambda: first in world.workers)


def test_that_a_waiting_run_that_is_stopped_leaves_the_queue(world: World, qtbot: QtBot) -> None:
    application = begin(world, qtbot)
    first, second = launch(world, qtbot), launch(world, qtbot)
    application.stop(second, True)
    until(qtbot, lambda: world.store.run(second).status == "stopped")
    until(qtbot, lambda: [it.uid for it in application.active()] == [first])


def test_that_runs_queued_by_others_are_left_to_them(world: World, qtbot: QtBot) -> None:
    application = begin(world, qtbot)
    uid = world.run()
    until(qtbot, lambda: application.runs.rowCount() == 1)
    qtbot.wait(300)
    assert world.workers == {}
    model = application.open_run(uid)
    assert model.can_resume
    application.resume(uid)
    until(qtbot, lambda: uid in world.workers)


def test_that_a_killed_worker_is_told_and_its_run_can_be_resumed(
    world: World, qtbot: QtBot
) -> None:
    application = begin(world, qtbot)
    uid = launch(world, qtbot)
    until(qtbot, lambda: uid in world.workers)
    world.store.record(uid, [started(), metric(1)])
    model = application.open_run(uid)
    until(qtbot, lambda: bool(model.series("divergence")))
    world.workers[uid].kill()
    until(qtbot, lambda: model.status == "interrupted" and model.can_resume)
    assert any("interrupted" in text for _, text, _ in world.messages)
    killed = world.workers.pop(uid)
    application.resume(uid)
    assert not model.can_resume  # at once: the second click of two finds nothing to do
    application.resume(uid)
    until(qtbot, lambda: uid in world.workers)
    assert killed.wait() == -9
    assert world.store.run(uid).session == 2


def test_that_closing_leaves_workers_alone_and_a_new_window_finds_them(
    world: World, qtbot: QtBot
) -> None:
    begin(world, qtbot)
    uid = launch(world, qtbot)
    until(qtbot, lambda: uid in world.workers)
    world.store.record(uid, [started(), metric(1)])
    world.application.close()
    assert world.workers[uid].poll() is None
    again = world.open()
    with qtbot.waitSignal(again.runs.loadedChanged, timeout=10000):
        again.begin()
    model = again.open_run(uid)
    until(qtbot, lambda: model.loaded and bool(model.series("divergence")))
    world.finish(uid)
    until(qtbot, lambda: model.status == "done")
    again.close()


def test_that_a_run_which_somebody_else_resumes_is_followed_again(
    world: World, qtbot: QtBot
) -> None:
    uid = world.run(started(), metric(1), pid=GONE)
    application = begin(world, qtbot)
    model = application.open_run(uid)
    until(qtbot, lambda: model.loaded and model.status == "interrupted")
    world.spawn(uid, world.home)
    again = started(session=2)
    world.store.record(uid, [again, metric(2)])
    until(qtbot, lambda: model.status == "running" and bool(model.series("divergence")))
    until(qtbot, lambda: len(model.series("divergence")[0].x) == 2)


def test_that_stop_reaches_a_run_that_only_the_list_knows(world: World, qtbot: QtBot) -> None:
    worker = world.run(started())
    world.spawn(worker, world.home)
    application = begin(world, qtbot)
    application.stop(worker, False)
    request = world.home.run(worker) / "stop"
    until(qtbot, request.exists)
    assert request.read_text() == "discard"


def test_that_a_running_run_cannot_be_deleted_and_others_can(world: World, qtbot: QtBot) -> None:
    running = world.run(started(), pid=os.getpid())
    other = world.run(DONE)
    application = begin(world, qtbot)
    application.delete([running])
    assert world.messages[-1][0] == "error"
    application.open_run(other)
    application.delete([other])
    until(qtbot, lambda: application.runs.rowCount() == 1)


def test_that_a_run_which_only_ends_is_deleted_once_its_process_has_left(
    world: World, qtbot: QtBot
) -> None:
    application = begin(world, qtbot)
    uid = world.run()
    until(qtbot, lambda: application.runs.entry(uid) is not None)
    application.resume(uid)
    until(qtbot, lambda: uid in world.workers)
    application.delete([uid])
    assert world.messages[-1][0] == "error"  # it has only begun
    world.store.record(uid, [started(), DONE])

    def over() -> bool:
        entry, model = application.runs.entry(uid), application._open.get(uid)
        assert entry is not None
        assert model is not None
        return entry.row.status == "done" and not model.can_stop

    until(qtbot, over)
    application.delete([uid])
    application.delete([uid])  # an impatient person
    assert world.messages[-1][0] == "info"
    assert application.runs.entry(uid) is not None
    world.workers[uid].kill()
    until(qtbot, lambda: application.runs.entry(uid) is None)
    assert "was deleted" in application.edits.next_undo
    application.edits.undo()
    until(qtbot, lambda: application.runs.entry(uid) is not None)


def test_that_a_resumed_run_is_not_taken_for_one_that_only_ends(world: World, qtbot: QtBot) -> None:
    uid = world.run(started(), RunFinished(status="stopped", seconds=1.0))
    application = begin(world, qtbot)
    application.resume(uid)
    application.delete([uid])  # before its worker has said a word
    assert world.messages[-1][0] == "error"
    assert application.edits.next_undo == ""
    until(qtbot, lambda: uid in world.workers)


def test_that_runs_which_were_only_followed_are_let_go_of_when_they_have_ended(
    world: World, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_runs, "KEPT_OPEN", 1)
    uids = [world.run(started(), pid=os.getpid()) for _ in range(3)]
    application = begin(world, qtbot)
    until(qtbot, lambda: all(application._workers.is_watched(uid) for uid in uids))
    for uid in uids:
        world.store.record(uid, [DONE])
    until(qtbot, lambda: not any(application._workers.is_watched(uid) for uid in uids))
    assert len(list(application._open.items())) == 1


def test_that_a_double_click_on_start_makes_one_run(
    world: World, qtbot: QtBot, tmp_path: Path
) -> None:
    application = begin(world, qtbot)
    (tmp_path / "d.jsonl").write_text("{}\n")
    text = "schema: 1\nname: n\nbase: {name: smollm2-135m-instruct}\nstages: [{id: q, kind: quantize}]\n"
    application.new_run.load_recipe(text, str(tmp_path))
    with qtbot.waitSignal(application.runAdded, timeout=10000):
        application.new_run.start()
        application.new_run.start()
    qtbot.wait(300)
    assert len(world.store.runs()) == 1
    assert application.new_run.can_start


def test_that_a_worker_that_cannot_start_is_a_message_and_frees_the_device(
    world: World, qtbot: QtBot
) -> None:
    application = begin(world, qtbot)

    def broken(uid: str, home: Home) -> subprocess.Popen[bytes]:
        raise UserError("No interpreter.", "Install one.")

    application._workers._spawn = broken
    launch(world, qtbot)
    until(qtbot, lambda: ("error", "No interpreter.", "Install one.") in world.messages)
    until(qtbot, lambda: not application.active())


def test_that_the_settings_of_a_run_can_be_used_again(world: World, qtbot: QtBot) -> None:
    uid = world.run(DONE)
    application = begin(world, qtbot)
    with qtbot.waitSignal(application.new_run.fieldsChanged, timeout=10000):
        application.duplicate(uid)
    assert application.new_run.name == f"{RECIPE.name} (2)"
    assert [card.id for card in application.new_run.cards()] == ["base", "nf4", "back"]


def test_that_in_process_the_runner_works_in_the_runs_thread(tmp_path: Path, qtbot: QtBot) -> None:
    home = Home(tmp_path / "home")
    threads: list[bool] = []

    def runner(uid: str, home: Home, on_event: Callable[[Event], None]) -> str:
        threads.append(QThread.currentThread() is application.thread())
        with Store.open(home.database) as store:
            store.claim(uid, os.getpid(), psutil.Process().create_time())
            store.record(uid, [started(), DONE])
        return "done"

    application = Application(home, Settings(), in_process=runner)
    with qtbot.waitSignal(application.runs.loadedChanged, timeout=10000):
        application.begin()
    with qtbot.waitSignal(application.runAdded, timeout=10000) as added:
        application.start(RECIPE)
    model = application.open_run(str(added.args[0]))
    until(qtbot, lambda: model.status == "done")
    assert threads == [False]
    application.close()


def test_that_a_long_run_is_opened_in_slices(world: World, qtbot: QtBot) -> None:
    uid = world.run(started(), *map(metric, range(20_000)), DONE)
    application = begin(world, qtbot)
    model = application.open_run(uid)
    slices: list[int] = []
    model.consumed.connect(slices.append)
    until(qtbot, lambda: model.loaded)
    assert len(model.series("divergence")[0].x) == 20_000
    assert sum(slices) == 20_002
    assert max(slices) <= 2000
