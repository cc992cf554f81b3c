"""A run from the command line: executed here, in a worker of its own, or asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from app import cli_several
from app.cli_display import Display, JsonLines, result_table, terminal, write_json
from app.cli_result import result_of
from app.viewmodels import words
from core.engine import control, liveness, spawn
from core.errors import UserError
from core.events import Event, RunStatus
from core.store.home import Home
from core.store.rows import RunRow
from core.store.store import Store

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 130
EXIT: Mapping[RunStatus, int] = {"done": DONE, "stopped": STOPPED}
WAIT_SECONDS = 0.2


class Execute(Protocol):
    """Runs a queued run in this process; `core.engine.worker.execute`."""

    def __call__(self, uid: str, home: Home, on_event: Callable[[Event], None]) -> RunStatus: ...


def opened(home: Home) -> Store:
    """The database of a home, made where there is none."""
    home.create()
    return Store.open(home.database)


def begin_run(
    execute: Execute, home: Home, uid: str, processes: int, *, detach: bool, json: bool
) -> int:
    """Execute the run here, in a worker of its own, or in several."""
    if detach:
        return _detach(home, uid, json, processes)
    if processes > 1:
        execute = cli_several.Watch(processes)
    return execute_here(execute, home, uid, json)


def execute_here(execute: Execute, home: Home, uid: str, json: bool) -> int:
    """Run in this process, show what happens, and give the exit status."""
    display = JsonLines() if json else Display(terminal())
    status: RunStatus = "stopped"
    try:
        with display:
            status = execute(uid, home, display.on_event)
    except KeyboardInterrupt:  # before the engine took over the signal
        with opened(home) as store:
            if store.run(uid).status == "queued":
                store.set_status(uid, "stopped")
    with Store.open(home.database, read_only=True) as store:
        result = result_of(store, uid)
    if json:
        write_json({"type": "result", "run": uid, **result.fields()})
    else:
        console = terminal()
        console.print(result_table(result))
        console.print(f"Run {uid}: {result.status_text}", markup=False)
    return EXIT.get(status, FAILED)


def _detach(home: Home, uid: str, json: bool, processes: int) -> int:
    process = spawn.start(uid, home, processes)
    process.returncode = 0  # ours no longer: the worker goes on by itself, and nobody waits for it
    if json:
        write_json({"type": "detached", "run": uid, "pid": process.pid})
    else:
        terminal().print(
            f"Started in the background (process {process.pid}). Look with: python -m app show {uid}",
            markup=False,
        )
    return DONE


def stop_run(home: Home, store: Store, row: RunRow, *, keep: bool, json: bool) -> None:
    if row.status == "queued":
        store.set_status(row.uid, "stopped")
    elif not liveness.is_live(row):
        liveness.reconcile(store)
        raise UserError(
            f"The run {row.uid} is not running ({words.status(store.run(row.uid).status)}).",
            f"Go on with it by: python -m app resume {row.uid}",
        )
    else:
        control.request_stop(home, row.uid, keep)
        if not json:
            terminal().print("Asked to stop; the step in progress is finished first.")
        while liveness.is_live(row := store.run(row.uid)):
            time.sleep(WAIT_SECONDS)
        liveness.reconcile(store)
    status = store.run(row.uid).status
    if json:
        write_json({"type": "stopped", "run": row.uid, "status": status})
    else:
        terminal().print(f"Run {row.uid}: {words.status(status)}", markup=False)
