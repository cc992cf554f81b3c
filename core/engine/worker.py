"""Executes one run, from the claim to its last event: in a process of its own, or in the caller's.

`python -m core.engine.worker RUN_ID --home PATH` is what `core.engine.spawn` starts; the command line and
`--in-process` call `execute`. With `--processes N` a launcher has started N of these; the first is the main
one, the others follow it (`core.engine.helper`). The child's output goes to `worker.log` from before its first import, with
faulthandler on, so that a native crash leaves its trace there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import psutil
import torch

from core.data.example import Dataset
from core.engine.control import Control
from core.engine.failures import classify
from core.engine.helper import follow
from core.engine.liveness import is_live, me
from core.engine.parts import Parts
from core.engine.recorder import Recorder
from core.engine.resume import PAST_KINDS, SCORED_KINDS, rewind
from core.engine.runner import Runner
from core.engine.spawn import ASKED, LOG
from core.engine.stages import PARTS
from core.errors import BugError, StopRequested, UserError
from core.events import Event, Heartbeat, RunFinished, RunStarted, RunStatus
from core.lm.checkpoint import ENGINE_VERSION
from core.recipe.plan import plan
from core.recipe.spec import Recipe
from core.recipe.validate import check, check_files, parse
from core.stages.processes import ALONE, join
from core.store.home import Home
from core.store.rows import RunRow
from core.store.store import Store

EXIT_REFUSED = 2
"""Exit status when the run could not be started at all; 1 is a run that failed."""

PACKAGES = ("rekindle", "torch", "transformers", "peft", "bitsandbytes", "numpy")
_LOG = logging.getLogger(__name__)


def execute(
    uid: str,
    home: Home,
    *,
    on_event: Callable[[Event], None] | None = None,
    parts: Parts = PARTS,
    processes: int = 1,
) -> RunStatus:
    """Execute a queued run, or what is left of one that stopped, failed or was interrupted.

    Called in the main thread, it takes SIGINT and SIGTERM for "stop and save" while it runs.

    Args:
        uid: of the run.
        home: where everything lies.
        on_event: told each event at once, in this thread.
        parts: stages and what they need.
        processes: how many the launcher has started; this is the main one.

    Returns:
        how the session ended. A failure of the run is a status, told in its last event.

    Raises:
        UserError: the run cannot be started: it is unknown, finished, or live.
    """
    asked = float(os.environ.get(ASKED, time.time()))
    home.create()
    with Store.open(home.database) as store:
        session = _claim(store, store.run(uid))
        folder = home.run(uid)
        folder.mkdir(parents=True, exist_ok=True)
        control = Control(folder, asked)
        with (
            _log_file(folder / LOG),
            _signals(control),
            Recorder(
                lambda events: store.record(uid, events), _heartbeat, on_event=on_event
            ) as recorder,
        ):
            finished = _session(uid, home, store, session, control, recorder, parts, processes)
            recorder.emit(finished)
        control.clear()
    return finished.status


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the child process; returns its exit status."""
    parser = argparse.ArgumentParser(prog="rekindle-worker", description="Execute one run.")
    parser.add_argument("uid", help="id of the run")
    parser.add_argument(
        "--home", type=Path, required=True, help="folder of database and checkpoints"
    )
    parser.add_argument("--processes", type=int, default=1, help="how many a launcher has started")
    arguments = parser.parse_args(argv)
    home = Home(arguments.home)
    try:
        if arguments.processes > 1 and int(os.environ["RANK"]) > 0:
            help_along(arguments.uid, home)
            return 0
        status = execute(arguments.uid, home, processes=arguments.processes)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_REFUSED
    return 0 if status in ("done", "stopped") else 1


def help_along(uid: str, home: Home, parts: Parts = PARTS) -> None:
    """Train along with the main process of a run until that has no more to do, or has failed."""
    with Store.open(home.database, read_only=True) as store:
        recipe = _recipe(store.run(uid).recipe_json)
    with (
        contextlib.suppress(UserError, StopRequested, BugError),  # the main process has been told
        _signals(Control(home.run(uid), 0.0)),  # and decides what to do about a signal
        join(recipe.device) as processes,
    ):
        compute = parts.compute(processes.device(recipe.device), recipe.base.dtype)

        def dataset(name: str) -> Dataset:
            return parts.dataset(name, recipe.datasets[name], Path.cwd())

        follow(recipe, parts.stages, dataset, compute, processes)


def _claim(store: Store, row: RunRow) -> int:
    """Make this process the owner of the run, unless it has one or needs none."""
    if is_live(row):
        raise UserError(
            f"The run {row.uid} is being executed by process {row.pid}.", "Open it to watch it."
        )
    if row.status == "done":
        raise UserError(
            f"The run {row.uid} is finished.", "Start a new run with its recipe instead."
        )
    return store.claim(row.uid, *me(), expected_session=row.session)


def _session(
    uid: str,
    home: Home,
    store: Store,
    session: int,
    control: Control,
    recorder: Recorder,
    parts: Parts,
    processes: int,
) -> RunFinished:
    """Run the stages; whatever they fail with becomes the last event."""
    began = time.monotonic()
    log = _StoreLog(store, uid)
    try:
        recipe = _recipe(store.run(uid).recipe_json)
        # Readers of the log start anew at `run_started`: what no longer counts has to be gone by then.
        past = rewind(log, home.checkpoints, parts.saved_step)
        recorder.emit(
            RunStarted(
                session=session,
                stages=tuple(step.planned for step in plan(recipe)),
                environment=environment(),
            )
        )
        runner = Runner(
            recipe=recipe,
            home=home,
            uid=uid,
            parts=parts,
            log=log,
            past=past,
            emit=recorder.emit,
            stop=control.stop,
            save_now=control.save_now,
            root=Path.cwd(),
            processes=join(recipe.device) if processes > 1 else ALONE,
            settle=recorder.flush,
        )
        return runner.run()
    except Exception as error:  # noqa: BLE001 - the top level of the worker
        failure = classify(error, str(home.run(uid) / LOG))
        _LOG.exception("The run %s failed (%s).", uid, failure.failure)
        return RunFinished(status="failed", seconds=time.monotonic() - began, failure=failure)


def _recipe(text: str) -> Recipe:
    """The recipe of the run, checked again: files may have gone since it was queued."""
    recipe, problems = parse(json.loads(text))
    if recipe is not None:
        problems = check(recipe) or check_files(recipe, Path.cwd())
    if recipe is None or problems:
        first, more = problems[0], len(problems) - 1
        raise UserError(
            f"{first.path}: {first.message}" + (f" ({more} more problems)" if more else ""),
            first.hint,
        )
    return recipe


class _StoreLog:
    """The log of one run in the store."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store, self._uid = store, uid

    def past(self) -> Iterable[Event]:
        return self._all(PAST_KINDS)

    def scored(self, stage: str) -> Iterable[Event]:
        return self._all(SCORED_KINDS, stage)

    def _all(self, kinds: Sequence[str], stage: str | None = None) -> Iterator[Event]:
        after = 0
        while page := self._store.events(self._uid, after, kinds=kinds, stage=stage):
            yield from (logged.event for logged in page)
            after = page[-1].seq

    def purge_after(self, stage: str, step: int) -> None:
        self._store.purge_after(self._uid, stage, step)

    def purge_stage(self, stage: str) -> None:
        self._store.purge_stage(self._uid, stage)


def environment() -> dict[str, str]:
    """What a later reader needs to know of the machine; no name of a person, no variable."""
    found = {
        "engine": ENGINE_VERSION,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "memory": str(psutil.virtual_memory().total),
    }
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    for index in range(torch.cuda.device_count()):
        found[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    return found


def _heartbeat() -> Heartbeat:
    cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return Heartbeat(
        rss=psutil.Process().memory_info().rss,
        device_memory=torch.cuda.memory_reserved() if cuda else None,
    )


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Send what the program logs to `path` too."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=False)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def _signals(control: Control) -> Iterator[None]:
    """Take SIGINT and SIGTERM for a request to stop; Python allows that in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, control.on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
