"""`run --processes 2` as a person types it, beside a configuration made for other programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from core.engine.spawn import LOG
from core.store.home import Home
from core.store.store import Store
from tests.core.engine.test_several import recipe
from tests.helpers.fake_engine import recipe_json

ROOT = Path(__file__).parents[2]
SECONDS = 100.0
ELSEWHERE = """\
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
mixed_precision: bf16
num_machines: 3
num_processes: 7
machine_rank: 2
main_process_ip: 192.0.2.1
main_process_port: 1
"""


def begin(folder: Path, steps: int) -> subprocess.Popen[str]:
    """The command line in a process and session of its own; one JSON object a line on its output."""
    accelerate = folder / "hub" / "accelerate"
    accelerate.mkdir(parents=True)
    (accelerate / "default_config.yaml").write_text(ELSEWHERE, encoding="utf-8")
    wanted = recipe(folder, [{"id": "back", "kind": "sdft", "max_steps": steps}])
    (folder / "recipe.yaml").write_text(recipe_json(wanted), encoding="utf-8")
    environment = {
        **os.environ,
        "REKINDLE_HOME": str(folder / "home"),
        "HF_HOME": str(folder / "hub"),
        "OMP_NUM_THREADS": "1",
    }
    line = [sys.executable, "-m", "app", "run", str(folder / "recipe.yaml"), "--processes", "2"]
    return subprocess.Popen(
        [*line, "--json"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lines_of(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What it says until its end, which a timer brings about when nothing else does."""
    timer = threading.Timer(SECONDS, process.kill)
    timer.start()
    assert process.stdout is not None
    with process.stdout:
        found = [json.loads(line) for line in process.stdout]
    process.wait()
    timer.cancel()
    return found


def test_that_two_processes_are_told_as_one_run(tmp_path: Path) -> None:
    process = begin(tmp_path, 2)

    lines = lines_of(process)

    home = Home(tmp_path / "home")
    log = (home.run(lines[0]["run"]) / LOG).read_text(encoding="utf-8")
    assert process.returncode == 0, log
    assert [line["step"] for line in lines if line["type"] == "metrics"] == [1, 2]
    assert [line["type"] for line in lines].count("run_started") == 1
    assert lines[-1]["status"] == "done"


def test_that_ctrl_c_stops_and_saves(tmp_path: Path) -> None:
    process = begin(tmp_path, 400)
    home = Home(tmp_path / "home")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "metrics":
            break

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that belong to it

    lines = lines_of(process)
    assert process.returncode == 130
    assert lines[-1]["status"] == "stopped"
    with Store.open(home.database, read_only=True) as store:
        saved = store.checkpoints(lines[-1]["run"])[-1]
    assert saved.step
    assert not saved.final
