"""The whole road: quantize, prune, sft, sdft, evaluate, cka, on a tiny model and the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.engine import liveness, spawn, worker
from core.errors import UserError
from core.events import (
    CheckpointSaved,
    CkaMeasured,
    CompletionSampled,
    Event,
    Metrics,
    RunFinished,
    StageFinished,
    TaskEvaluated,
)
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store
from tests.flow.road import CHECKPOINTS, road, write

WAIT = 240.0


def queue(home: Home, recipe: Recipe) -> str:
    home.create()
    with Store.open(home.database) as store:
        return store.queue_run(
            recipe.model_dump_json(by_alias=True),
            name=recipe.name,
            seed=recipe.seed,
            base=recipe.base.label,
        )


def log(home: Home, uid: str) -> list[Event]:
    with Store.open(home.database, read_only=True) as store:
        return [logged.event for logged in store.events(uid, limit=100_000)]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str, Recipe]:
    """One run of the whole road in this process; the tests below read it."""
    folder = tmp_path_factory.mktemp("road")
    home = Home(folder / "home")
    recipe = road(folder)
    uid = queue(home, recipe)
    assert worker.execute(uid, home) == "done"
    return home, uid, recipe


def test_that_the_road_makes_every_checkpoint_and_scores_each(
    finished: tuple[Home, str, Recipe],
) -> None:
    home, uid, _ = finished
    events = log(home, uid)
    saved = {it.stage for it in events if isinstance(it, CheckpointSaved) and it.final}
    assert saved == set(CHECKPOINTS)
    scored = {
        (it.subject, it.task) for it in events if isinstance(it, TaskEvaluated) and it.step is None
    }
    assert {(subject, "tooluse") for subject in CHECKPOINTS} <= scored
    assert ("nf4_recovered", "mmlu") in scored
    compared = {it.subject for it in events if isinstance(it, CkaMeasured) and it.step is None}
    assert compared == set(CHECKPOINTS) - {"base"}
    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "done"
    assert set(events[-1].recovered_fraction) == {"recovered", "nf4_recovered"}


def test_that_training_is_seen_live(finished: tuple[Home, str, Recipe]) -> None:
    home, uid, _ = finished
    events = log(home, uid)
    for stage in ("recovered", "nf4_recovered"):
        steps = [it.step for it in events if isinstance(it, Metrics) and it.stage == stage]
        assert steps == [1, 2, 3]
        probed = [
            it.step
            for it in events
            if isinstance(it, CkaMeasured) and it.stage == stage and it.step is not None
        ]
        assert probed == [0, 1, 2, 3]
        kept = [it for it in events if isinstance(it, CompletionSampled) and it.stage == stage]
        assert kept
        assert all(len(it.tokens) == len(it.divergence) for it in kept)


def test_that_the_table_of_series_equals_the_log(finished: tuple[Home, str, Recipe]) -> None:
    home, uid, _ = finished
    logged = [
        it.values["loss"]
        for it in log(home, uid)
        if isinstance(it, Metrics) and it.stage == "recovered"
    ]
    with Store.open(home.database, read_only=True) as store:
        points = store.points(uid, "recovered", "loss")
    assert np.array_equal(points.values, np.array(logged))


def test_that_the_same_recipe_again_reuses_every_checkpoint(
    finished: tuple[Home, str, Recipe],
) -> None:
    home, uid, recipe = finished
    again = queue(home, recipe)
    assert worker.execute(again, home) == "done"
    events = log(home, again)
    reused = {it.stage for it in events if isinstance(it, StageFinished) and it.reused}
    assert set(CHECKPOINTS) - {"base"} <= reused

    def finals(of: str) -> dict[tuple[str, str], int]:
        return {
            (it.subject, it.task): it.correct
            for it in log(home, of)
            if isinstance(it, TaskEvaluated) and it.step is None
        }

    assert finals(again) == finals(uid)


def test_that_a_finished_run_is_not_started_again(finished: tuple[Home, str, Recipe]) -> None:
    home, uid, _ = finished
    with pytest.raises(UserError, match="finished"):
        worker.execute(uid, home)


def test_that_a_killed_worker_leaves_its_checkpoint_and_resumes_to_the_same_end(
    finished: tuple[Home, str, Recipe], tmp_path: Path
) -> None:
    reference_home, reference, recipe = finished
    home = Home(tmp_path / "home")
    uid = queue(home, recipe)
    process = spawn.start(uid, home)

    def training() -> bool:
        return any(
            isinstance(it, CheckpointSaved) and it.stage == "recovered" and not it.final
            for it in log(home, uid)
        )

    until(training, "a training state of the recovery")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    with Store.open(home.database) as store:
        assert store.run(uid).status == "running"
        liveness.reconcile(store)
        row = store.run(uid)
        assert row.status == "interrupted"
        assert any(not it.final or it.stage == "recovered" for it in store.checkpoints(uid))

    assert worker.execute(uid, home) == "done"

    def curve(where: Home, of: str) -> list[tuple[int, float]]:
        return [
            (it.step, it.values["loss"])
            for it in log(where, of)
            if isinstance(it, Metrics) and it.stage == "recovered"
        ]

    assert curve(home, uid) == curve(reference_home, reference)


def test_that_the_command_line_runs_the_road_and_ends_with_the_result(tmp_path: Path) -> None:
    recipe = write(road(tmp_path, steps=2), tmp_path)
    environment = {**os.environ, "REKINDLE_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "app", "run", str(recipe), "--json"]
    command += ["--set", "stages.recovered.max_steps=1"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=WAIT, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    result = lines[-1]
    assert result["type"] == "result"
    assert result["status"] == "done"
    assert result["metrics"]["nf4"]["science"]["n"] == 4
    assert set(result["recovered_fractions"]) == {"recovered", "nf4_recovered"}
    assert result["seconds"] > 0
    steps = [it["step"] for it in lines if it["type"] == "metrics" and it["stage"] == "recovered"]
    assert steps == [1]

    listed = subprocess.run(
        [sys.executable, "-m", "app", "--json", "runs"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=True,
    )
    assert result["run"] in listed.stdout
