"""Several processes on one file, and processes that die."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from core.events import Metrics
from core.store.store import Store

_ROOT = Path(__file__).parents[3]
_BATCH = 10

_WRITER = """
import sys
import time
from pathlib import Path
from core.events import Metrics
from core.store.store import Store

path, uid, seconds, size = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
with Store.open(path) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    end, batch = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        store.record(uid, [
            Metrics(stage="s", step=batch * size + i, values={"loss": 1.0, "x": 2.0})
            for i in range(size)
        ])
        print(batch, flush=True)
        batch += 1
"""


def _writer(database: Path, uid: str, seconds: float) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(database), uid, str(seconds), str(_BATCH)],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def _start(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("go\n")
    writer.stdin.flush()


def test_that_two_writers_and_a_reader_do_not_disturb_each_other(database: Path) -> None:
    with Store.open(database) as store:
        ids = [store.queue_run("{}", name=n, seed=1, base="tiny") for n in ("a", "b")]
    writers = [_writer(database, uid, seconds=1.0) for uid in ids]
    for writer in writers:
        _start(writer)
    cursors = dict.fromkeys(ids, 0)
    seen: dict[str, list[int]] = {uid: [] for uid in ids}
    with Store.open(database, read_only=True) as reader:
        while True:
            running = [writer.poll() is None for writer in writers]
            for uid in ids:
                while entries := reader.events(uid, after=cursors[uid]):
                    assert len(entries) % _BATCH == 0  # a transaction is seen whole or not at all
                    seen[uid] += [e.event.step for e in entries if isinstance(e.event, Metrics)]
                    cursors[uid] = entries[-1].seq
            assert len(reader.runs()) == 2
            if not any(running):
                break
            time.sleep(0.01)
    for uid, writer in zip(ids, writers, strict=True):
        batches = writer.communicate()[0].split()
        assert writer.returncode == 0
        assert len(batches) > 1
        assert seen[uid] == list(range(len(batches) * _BATCH))


def test_that_a_writer_killed_in_mid_write_leaves_an_intact_database(database: Path) -> None:
    with Store.open(database) as store:
        uid = store.queue_run("{}", name="killed", seed=1, base="tiny")
        watched = 0
        for delay in (0.0, 0.013, 0.037):
            writer = _writer(database, uid, seconds=60.0)
            _start(writer)
            assert writer.stdout is not None
            reported = int(writer.stdout.readline())
            time.sleep(delay)
            writer.kill()
            reported = max([reported, *map(int, writer.communicate()[0].split())])
            assert writer.returncode == -9
            events = store.events(uid, limit=10**6)
            assert len(events) % _BATCH == 0
            assert (
                len(events) >= watched + (reported + 1) * _BATCH
            )  # what was acknowledged is there
            watched = len(events)
            assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            steps = {entry.event.step for entry in events if isinstance(entry.event, Metrics)}
            assert set(store.points(uid, "s", "x").steps.tolist()) == steps
    with Store.open(database) as store:
        assert store.notices == ()


def test_that_importing_the_store_loads_neither_torch_nor_pandas_and_hides_nothing() -> None:
    script = (
        "import sys, core.store.store, core.store.home\n"
        "heavy = {'torch', 'transformers', 'pandas', 'datasets', 'PySide6'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"  # nor a None that would hide one of them from others
    )
    subprocess.run([sys.executable, "-c", script], cwd=_ROOT, check=True)
