"""Asking for a forecast: from inside a run, and from a process that answers line by line."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from core.engine import spawn
from core.engine.estimate import from_record
from core.engine.estimate_process import command
from core.engine.foresight import answer, foresee, serve
from core.errors import UserError
from core.recipe.spec import Recipe
from core.store.home import Home
from tests.helpers.tiny import CPU32
from tests.helpers.training import weather

STAGE = {"id": "a", "kind": "sft", "dataset": "d", "max_steps": 2}


def recipe(**rest: Any) -> dict[str, Any]:
    demo = {"demo": "science", "config": "known-own", "split": "train", "limit": 20}
    base = {"name": "rekindle-1m"}
    return {"name": "n", "base": base, "datasets": {"d": demo}, "stages": [STAGE], **rest}


def test_that_a_recipe_is_answered_by_its_estimate() -> None:
    found = from_record(answer(json.dumps(recipe())))
    (stage,) = found.stages
    assert stage.memory
    assert stage.seconds
    assert stage.steps == 2
    assert stage.lengths == "data"
    assert found.machine.flops > 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "no recipe"),
        ("{}", "name"),
        (json.dumps(recipe(stages=[{**STAGE, "dataset": "gone"}])), "gone"),
        (json.dumps(recipe(device="cuda:63")), "cuda:63"),
    ],
)
def test_that_what_cannot_be_reckoned_is_answered_by_an_error(line: str, says: str) -> None:
    assert says in str(answer(line)["error"])


def test_that_every_line_gets_one_answer() -> None:
    told = io.StringIO()
    serve(io.StringIO("{\n{}\n"), told)
    assert [set(json.loads(line)) for line in told.getvalue().splitlines()] == [
        {"error", "hint"}
    ] * 2


def test_that_a_data_set_of_the_hub_is_not_downloaded_for_an_estimate() -> None:
    data = {"d": {"hub": "nobody/no-such-data"}}
    found = from_record(answer(json.dumps(recipe(datasets=data))))
    assert found.stages[0].lengths == "limits"


def test_that_a_run_goes_on_without_an_estimate_that_cannot_be_made(tmp_path: Path) -> None:
    raw = recipe(base={"folder": str(tmp_path / "gone")})
    found = foresee(Recipe.model_validate(raw), CPU32, lambda name: weather(4))("a")
    assert found is not None
    assert found.memory is None
    assert found.unknown


def test_that_a_run_is_told_of_its_own_stage() -> None:
    found = foresee(Recipe.model_validate(recipe()), CPU32, lambda name: weather(4))("a")
    assert found is not None
    assert found.memory
    assert found.seconds


def test_that_an_error_with_a_way_out_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise UserError("The device is gone.")

    monkeypatch.setattr("core.engine.forecast.calibrate", refuse)
    assert foresee(Recipe.model_validate(recipe()), CPU32, lambda name: weather(4))("a") is None


def test_that_a_process_answers_until_its_input_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        command(Home(tmp_path)),
        input=json.dumps(recipe()) + "\n" + "{}\n",
        env=spawn.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert from_record(first).memory
    assert second["error"]
