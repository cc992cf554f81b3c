"""The child process: command line, environment, output; and the real stages on the tiny model in it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.engine.liveness import is_live, reconcile
from core.engine.spawn import (
    ASKED,
    LAUNCH,
    LOG,
    THREADING,
    command,
    environment,
    launch_config,
    start,
)
from core.engine.worker import execute
from core.events import StageFinished
from core.lm.checkpoint import Checkpoint, folder_of, read_manifest
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store
from tests.helpers.fake_engine import recipe_json
from tests.helpers.tiny import build_tiny, write_datasets

STEPS = 12
LIGHT = """
import sys
import core.engine.control, core.engine.liveness, core.engine.spawn
heavy = {"torch", "transformers", "peft", "bitsandbytes", "datasets"} & set(sys.modules)
assert not heavy, heavy
"""


def test_that_what_the_window_imports_of_the_engine_loads_no_torch() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)


def test_that_the_worker_is_found_from_any_folder_and_keeps_what_the_person_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    env = environment()
    assert env["OMP_WAIT_POLICY"] == "ACTIVE"
    assert env["GOMP_SPINCOUNT"] == os.environ.get("GOMP_SPINCOUNT", THREADING["GOMP_SPINCOUNT"])
    source, elsewhere = env["PYTHONPATH"].split(os.pathsep)
    assert (Path(source) / "core" / "engine" / "worker.py").is_file()
    assert elsewhere == "/elsewhere"
    assert abs(float(env[ASKED]) - time.time()) < 60
    line = command("u", Home(tmp_path))
    assert line[0] == sys.executable
    assert line[-4:] == ["core.engine.worker", "u", "--home", str(tmp_path)]


def test_that_several_processes_get_a_launcher_with_a_configuration_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    line = command("u", home, 3)
    assert line[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert line[3:5] == ["--config_file", str(home.run("u") / LAUNCH)]
    assert line[5:] == [
        *("--module", "core.engine.worker", "u", "--home", str(tmp_path)),
        *("--processes", "3"),
    ]
    assert launch_config(3)["num_processes"] == 3
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert environment(3)["OMP_NUM_THREADS"] == "2"  # they do not fight for the cores
    assert environment(9)["OMP_NUM_THREADS"] == "1"
    assert environment(3)["PYTHONFAULTHANDLER"] == "1"
    assert "OMP_NUM_THREADS" not in environment()
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert environment(3)["OMP_NUM_THREADS"] == "5"


def tiny_recipe(folder: Path) -> Recipe:
    data = write_datasets(folder / "data", 6)
    build_tiny(folder / "model")
    train: dict[str, Any] = {
        "kind": "sdft",
        "dataset": "tooluse",
        "max_steps": STEPS,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 8,
        "lora_r": 4,
        "save_steps": 2,
    }
    return Recipe.model_validate(
        {
            "name": "tiny",
            "base": {"folder": str(folder / "model")},
            "datasets": {
                "tooluse": {"file": str(data.tooluse)},
                "mmlu": {"file": str(data.mmlu)},
            },
            "tasks": {"mmlu": {"scorer": "multiple_choice_v1", "dataset": "mmlu", "limit": 4}},
            "stages": [{"id": "nf4", "kind": "quantize"}, {"id": "back", **train}],
            "measure": {
                "tasks": ["mmlu"],
                "every_steps": 3,
                "live_items": 2,
                "cka": {"probe": "tooluse", "samples": 4, "every_steps": 2},
            },
        }
    )


def queue(home: Home, recipe: Recipe) -> str:
    home.create()
    with Store.open(home.database) as store:
        return store.queue_run(recipe_json(recipe), name="tiny", seed=recipe.seed, base="tiny")


def made(home: Home, uid: str, stage: str) -> Checkpoint:
    with Store.open(home.database, read_only=True) as store:
        ends = [logged.event for logged in store.events(uid)]
    identity = next(e.checkpoint for e in ends if isinstance(e, StageFinished) and e.stage == stage)
    assert identity is not None
    checkpoint = read_manifest(folder_of(home.checkpoints, identity))
    assert checkpoint is not None
    return checkpoint


# peft asks transformers for a name that is on its way out.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_that_a_killed_worker_resumes_to_the_very_weights_of_an_uninterrupted_run(
    tmp_path: Path,
) -> None:
    recipe = tiny_recipe(tmp_path)
    whole, killed = Home(tmp_path / "whole"), Home(tmp_path / "killed")
    uid = queue(whole, recipe)
    assert execute(uid, whole) == "done"

    other = queue(killed, recipe)
    process = start(other, killed)
    with Store.open(killed.database) as store:
        while not any(not it.final for it in store.checkpoints(other)):
            assert process.poll() is None, (killed.run(other) / LOG).read_text(encoding="utf-8")
            time.sleep(0.02)
        assert is_live(store.run(other))
        assert reconcile(store) == []
        assert os.getpgid(process.pid) == process.pid  # a session of its own
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert reconcile(store) == [other]
        assert store.run(other).status == "interrupted"
        assert not store.checkpoints(other)[-1].final  # in mid-training
    assert execute(other, killed) == "done"

    one, two = made(whole, uid, "back"), made(killed, other, "back")
    assert one.identity == two.identity
    weights = "adapter_model.safetensors"
    assert (one.path / weights).read_bytes() == (two.path / weights).read_bytes()
    with Store.open(whole.database) as first, Store.open(killed.database) as second:
        for key in ("loss", "grad_norm", "learning_rate"):
            left, right = first.points(uid, "back", key), second.points(other, "back", key)
            assert left.steps.tolist() == right.steps.tolist() == list(range(1, STEPS + 1))
            assert left.values.tolist() == right.values.tolist()
        assert first.run(uid).scores == second.run(other).scores
        assert [(s.subject, s.task, s.step) for s in first.scores(uid)] == [
            (s.subject, s.task, s.step) for s in second.scores(other)
        ]
