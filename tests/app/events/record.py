"""Records the event files beside it: `python -m tests.app.events.record` at the top of the repository.

Two are runs of the sample project without the answers to single items (which are 90 % of them), three are the
tiny road: one session that was killed while it trained, as a window saw it; the log of the same run after it
was resumed; and a run whose training data were spoilt. The first line of a file is the run, each other an event with its place
and time. Paths and environments are replaced, so that a file says nothing about the machine.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from pathlib import Path

from app import sample
from core.engine import spawn
from core.errors import BugError
from core.events import ItemsEvaluated, Metrics, RunStarted, to_json
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.rows import LoggedEvent
from core.store.store import Store
from tests.flow.road import road

HERE = Path(__file__).parent
FROM_SAMPLE = {
    "quickstart": "Quickstart: pruned by 45 %, recovered, seed 0",
    "nf4": "NF4, nothing lost, seed 0",
}
KILLED_AT = 7
PATIENCE_SECONDS = 120


def whole_log(store: Store, uid: str) -> list[LoggedEvent]:
    """All events of a run."""
    found: list[LoggedEvent] = []
    while page := store.events(uid, after=found[-1].seq if found else 0):
        found += page
    return found


def write(name: str, store: Store, uid: str, log: list[LoggedEvent], hide: Path | None) -> None:
    """One file."""
    row = store.run(uid)
    recipe = Recipe.model_validate_json(row.recipe_json).model_dump_json(by_alias=True)
    head = {"name": row.name, "status": row.status, "recipe": json.loads(recipe)}
    lines = [json.dumps(head)]
    for logged in log:
        event = logged.event
        if isinstance(event, ItemsEvaluated):
            continue
        if isinstance(event, RunStarted):
            event = event.model_copy(update={"environment": {}})
        at = f'{{"seq": {logged.seq}, "t": {round(logged.t - log[0].t, 3)}, "event": '
        lines.append(f"{at}{to_json(event)}}}")
    text = "\n".join(lines) + "\n"
    if hide is not None:
        text = text.replace(f"{hide}/", "")
    (HERE / f"{name}.jsonl").write_text(text, encoding="utf-8")


def tiny(folder: Path) -> Recipe:
    """Pruned and recovered, saved every third step."""
    whole = road(folder, name="tiny · pruned, recovered", steps=12)
    kept = [
        it.model_copy(update={"save_steps": 3}) if it.id == "recovered" else it
        for it in whole.stages
        if it.id in ("pruned", "recovered")
    ]
    return whole.model_copy(update={"stages": kept})


def queue(store: Store, recipe: Recipe) -> str:
    """A run that waits."""
    text = recipe.model_dump_json(by_alias=True)
    return store.queue_run(text, name=recipe.name, seed=recipe.seed, base=recipe.base.label)


def until_step(store: Store, uid: str, step: int) -> None:
    """Wait for the metrics of a step."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        known = [it.event.step for it in whole_log(store, uid) if isinstance(it.event, Metrics)]
        if max(known, default=0) >= step:
            return
        time.sleep(0.02)
    raise BugError(f"step {step} never came")


def main() -> None:
    """Record all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = Home(folder / "sample")
        sample.install(home)
        with Store.open(home.database) as store:
            for file, run in FROM_SAMPLE.items():
                uid = store.find(run).uid
                write(file, store, uid, whole_log(store, uid), None)
        home = Home(folder / "tiny")
        home.create()
        with Store.open(home.database) as store:
            uid = queue(store, tiny(folder))
            worker = spawn.start(uid, home)
            until_step(store, uid, KILLED_AT)
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
            store.set_status(uid, "interrupted", "lost", "The worker is gone.")
            write("killed", store, uid, whole_log(store, uid), folder)
            spawn.start(uid, home).wait()
            write("resumed", store, uid, whole_log(store, uid), folder)
            uid = queue(store, tiny(folder))
            (folder / "data" / "tooluse.jsonl").write_text("spoilt after it was checked", "utf-8")
            spawn.start(uid, home).wait()
            write("failed", store, uid, whole_log(store, uid), folder)


if __name__ == "__main__":
    main()
