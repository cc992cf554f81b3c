"""The whole road in a worker process on a CUDA device; on the CPU too, as a slow test, to prove the test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.engine import spawn
from core.events import (
    CheckpointSaved,
    CkaMeasured,
    Event,
    Heartbeat,
    Metrics,
    RunFinished,
    RunStarted,
    TaskEvaluated,
)
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store
from tests.flow.road import CHECKPOINTS, road

WAIT = 240.0
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.slow),
    pytest.param("cuda:0", marks=pytest.mark.gpu),
]


def run(home: Home, recipe: Recipe) -> list[Event]:
    """The events of the recipe's run in a worker, which must end well."""
    home.create()
    with Store.open(home.database) as store:
        uid = store.queue_run(
            recipe.model_dump_json(by_alias=True),
            name=recipe.name,
            seed=recipe.seed,
            base=recipe.base.label,
        )
    process = spawn.start(uid, home)
    try:
        status = process.wait(timeout=WAIT)
    finally:
        process.kill()
        process.wait()
    said = (home.run(uid) / spawn.LOG).read_text(encoding="utf-8")
    assert status == 0, said
    with Store.open(home.database, read_only=True) as store:
        return [logged.event for logged in store.events(uid, limit=100_000)]


def finals(events: Sequence[Event]) -> dict[tuple[str, str], TaskEvaluated]:
    return {
        (it.subject, it.task): it
        for it in events
        if isinstance(it, TaskEvaluated) and it.step is None
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", DEVICES)
def test_that_the_road_is_walked_on_the_device(tmp_path: Path, device: str) -> None:
    recipe = road(tmp_path, name="road on a device").model_copy(update={"device": device})
    events = run(Home(tmp_path / "home"), recipe)

    end = events[-1]
    assert isinstance(end, RunFinished)
    assert end.status == "done"
    assert set(end.recovered_fraction) == {"recovered", "nf4_recovered"}
    saved = {it.stage for it in events if isinstance(it, CheckpointSaved) and it.final}
    assert saved == set(CHECKPOINTS)
    assert {(subject, "mmlu") for subject in CHECKPOINTS} <= set(finals(events))
    for stage in ("forgot", "recovered", "nf4_recovered"):
        rows = [it.values for it in events if isinstance(it, Metrics) and it.stage == stage]
        assert len(rows) == 3
        assert all(math.isfinite(row["loss"]) and math.isfinite(row["grad_norm"]) for row in rows)
    compared = {it.subject for it in events if isinstance(it, CkaMeasured) and it.step is None}
    assert compared == set(CHECKPOINTS) - {"base"}

    (started,) = [it for it in events if isinstance(it, RunStarted)]
    beats = [it for it in events if isinstance(it, Heartbeat)]
    assert beats
    if device == "cpu":
        assert all(it.device_memory is None for it in beats)
    else:
        assert started.environment[device]  # the name of the GPU
        assert any(it.device_memory for it in beats)
