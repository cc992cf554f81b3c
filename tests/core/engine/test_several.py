"""A run of two processes, started as a person starts it: the same run as one process makes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from core.engine.control import request_stop
from core.engine.spawn import LOG, start
from core.engine.worker import execute
from core.events import CompletionSampled, Metrics, StageFinished, StageStarted
from core.lm.checkpoint import folder_of
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store
from tests.helpers.fake_engine import recipe_json
from tests.helpers.tiny import build_tiny, write_datasets

# peft asks transformers for a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

SECONDS = 100.0
TIMES = {"step_seconds", "tokens_per_second", "rollout_seconds", "memory"}


def recipe(folder: Path, stages: list[dict[str, Any]]) -> Recipe:
    """On the tiny model: steps of three items, so that the shares of two processes differ."""
    data = write_datasets(folder / "data", 6)
    build_tiny(folder / "model")
    train: dict[str, Any] = {
        "dataset": "tooluse",
        "max_steps": 3,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 3,
        "max_completion_length": 12,
        "learning_rate": 1e-3,
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
            "stages": [{**train, **stage} for stage in stages],
            "measure": {"tasks": ["mmlu"], "every_steps": 2, "live_items": 2},
        }
    )


class Desk:
    """A home with one queued run."""

    def __init__(self, folder: Path, wanted: Recipe) -> None:
        self.home = Home(folder)
        self.home.create()
        with Store.open(self.home.database) as store:
            self.uid = store.queue_run(
                recipe_json(wanted), name="tiny", seed=wanted.seed, base="tiny"
            )

    @property
    def log(self) -> str:
        return (self.home.run(self.uid) / LOG).read_text(encoding="utf-8")

    @property
    def status(self) -> str:
        with Store.open(self.home.database, read_only=True) as store:
            return store.run(self.uid).status

    def of(self, kind: type[Any]) -> list[Any]:
        with Store.open(self.home.database, read_only=True) as store:
            found, after = [], 0
            while page := store.events(self.uid, after):
                found += [logged.event for logged in page if isinstance(logged.event, kind)]
                after = page[-1].seq
            return found

    def weights(self, stage: str) -> dict[str, torch.Tensor]:
        identity = next(it.checkpoint for it in self.of(StageFinished) if it.stage == stage)
        found: dict[str, torch.Tensor] = {}
        for file in folder_of(self.home.checkpoints, identity).glob("*.safetensors"):
            found |= load_file(file)
        return found


def wait(process: Any, desk: Desk) -> int:
    return int(process.wait(SECONDS)) if process.poll() is None else int(process.returncode)


def test_that_two_processes_make_the_run_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    answers = {"max_completion_length": 200}
    stages = [
        {
            "id": "taught",
            "kind": "sft",
            "max_steps": None,
            "gradient_accumulation_steps": 5,
            **answers,
        },
        {"id": "back", "kind": "sdft", "lora_r": 4, "logging_completions": 1},
        {"id": "whole", "kind": "sdft", "from": "base", "method": "full", "teacher": "taught"},
        {"id": "shown", "kind": "sft", "from": "base", "method": "full", **answers},
        {
            "id": "alike",
            "kind": "sdft",
            "from": "base",
            "teacher": "taught",
            "lora_r": 4,
            "num_loss_tokens_to_skip": 0,
            "cka_loss": "attract",
            "cka_ramp_steps": 0,
        },
    ]
    wanted = recipe(tmp_path, stages)
    one, two = Desk(tmp_path / "one", wanted), Desk(tmp_path / "two", wanted)
    assert execute(one.uid, one.home) == "done"

    process = start(two.uid, two.home, 2)
    assert wait(process, two) == 0, two.log

    assert two.status == "done"
    left, right = one.of(Metrics), two.of(Metrics)
    assert [(it.stage, it.step, it.tokens) for it in left] == [
        (it.stage, it.step, it.tokens) for it in right
    ]
    assert [it.step for it in left if it.stage == "taught"] == [1, 2]  # five items, then one
    for first, second in zip(left, right, strict=True):
        assert first.values.keys() == second.values.keys()
        for name in first.values.keys() - TIMES:
            # Entropies and agreements are of the same tokens; norms are sums of millions of squares.
            assert second.values[name] == pytest.approx(
                first.values[name], rel=1e-5 if name == "loss" else 1e-4, abs=1e-6
            ), name
    for kind in (StageStarted, StageFinished):
        assert [it.stage for it in one.of(kind)] == [it.stage for it in two.of(kind)]
    assert [(it.item, it.tokens) for it in one.of(CompletionSampled)] == [
        (it.item, it.tokens) for it in two.of(CompletionSampled)
    ]
    assert (
        "cka_balance" in left[-1].values
    )  # the rows of both processes are pooled, and so are the norms
    for stage in ("taught", "back", "whole", "shown", "alike"):
        expected, found = one.weights(stage), two.weights(stage)
        assert expected.keys() == found.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=2e-5)


def test_that_a_stop_ends_both_processes_and_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    steps = 400
    desk = Desk(
        tmp_path / "home", recipe(tmp_path, [{"id": "back", "kind": "sdft", "max_steps": steps}])
    )
    process = start(desk.uid, desk.home, 2)
    until = time.monotonic() + SECONDS
    while len(desk.of(Metrics)) < 2:
        assert process.poll() is None, desk.log
        assert time.monotonic() < until
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2

    request_stop(desk.home, desk.uid, keep=True)

    assert wait(process, desk) == 0, desk.log
    assert not any(worker.is_running() for worker in workers)
    assert desk.status == "stopped"
    with Store.open(desk.home.database, read_only=True) as store:
        saved = store.checkpoints(desk.uid)[-1]
    assert not saved.final
    done = [it.step for it in desk.of(Metrics)]
    assert saved.step == done[-1] < steps
    stop_soon = [len(done) + 2]

    def on_event(event: object) -> None:
        if isinstance(event, Metrics) and event.step >= stop_soon[0]:
            request_stop(desk.home, desk.uid, keep=True)

    assert execute(desk.uid, desk.home, on_event=on_event) == "stopped"
    again = [it.step for it in desk.of(Metrics)]
    assert again == list(range(1, len(again) + 1))
    assert len(again) >= len(done) + 2


def test_that_a_process_that_dies_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    desk = Desk(
        tmp_path / "home", recipe(tmp_path, [{"id": "back", "kind": "sdft", "max_steps": 400}])
    )
    process = start(desk.uid, desk.home, 2)
    until = time.monotonic() + SECONDS
    while not desk.of(Metrics):
        assert process.poll() is None, desk.log
        assert time.monotonic() < until
        time.sleep(0.1)
    with Store.open(desk.home.database, read_only=True) as store:
        main = store.run(desk.uid).pid
    (other,) = (it for it in psutil.Process(process.pid).children() if it.pid != main)

    other.kill()

    assert wait(process, desk) != 0
    assert desk.status == "failed"
    assert main is not None
    assert not psutil.pid_exists(main)
