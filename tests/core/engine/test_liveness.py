"""Who lives: processes and locks."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from core.engine.liveness import alive, me, reconcile
from core.engine.lock import exclusive
from core.errors import UserError
from core.store.store import Store


def test_that_this_process_lives() -> None:
    assert alive(*me())


def test_that_nobody_and_a_reused_id_are_dead() -> None:
    pid, started = me()
    assert not alive(None, None)
    assert not alive(pid, None)
    assert not alive(pid, started - 60)


def test_that_an_ended_process_and_a_zombie_are_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    assert alive(process.pid, started)
    process.kill()
    deadline = time.monotonic() + 10
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
    assert not alive(process.pid, started)
    process.communicate()
    assert not alive(process.pid, started)


def test_that_only_running_runs_of_dead_workers_become_interrupted(tmp_path: Path) -> None:
    pid, started = me()
    with Store.open(tmp_path / "db.sqlite3") as store:
        uids = [
            store.queue_run("{}", name=name, seed=1, base="b")
            for name in ("queued", "live", "dead", "done")
        ]
        store.claim(uids[1], pid, started)
        store.claim(uids[2], pid, started - 1000)
        store.claim(uids[3], pid, started - 1000)
        store.set_status(uids[3], "done")
        assert reconcile(store) == [uids[2]]
        assert [store.run(uid).status for uid in uids] == [
            "queued",
            "running",
            "interrupted",
            "done",
        ]


HOLDER = """
import sys
from pathlib import Path
from core.engine.lock import exclusive

with exclusive(Path(sys.argv[1])) as held:
    print(held, flush=True)
    input()
"""


def test_that_a_lock_is_held_by_one_and_given_back_when_its_holder_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with exclusive(path) as held:
        assert not held
    holder.kill()
    holder.communicate()
    with exclusive(path) as held:
        assert held
        with exclusive(path) as twice:
            assert not twice


def test_that_a_wait_for_a_lock_can_be_left(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"

    def leave() -> None:
        raise UserError("enough")

    with (
        exclusive(path),
        pytest.raises(UserError, match="enough"),
        exclusive(path, waiting=leave),
    ):
        pass
