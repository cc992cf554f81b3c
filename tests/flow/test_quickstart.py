"""The science on the shipped model: pruned, recovered by SDFT and not by SFT, in fewer steps than the recipe has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

QUICKSTART = Path(__file__).parents[2] / "resources" / "recipes" / "quickstart.yaml"
CHANGES = (
    "stages.sdft.max_steps=50",
    "stages.sft.max_steps=50",
    "datasets.tooluse_eval.limit=75",
    "datasets.science_eval.limit=75",
    "measure.every_steps=25",
    "measure.live_items=20",
    "measure.cka.every_steps=25",
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    home = tmp_path_factory.mktemp("quickstart")
    command = [sys.executable, "-m", "app", "run", str(QUICKSTART), "--json"]
    for change in CHANGES:
        command += ["--set", change]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "REKINDLE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _accuracy(lines: list[dict[str, Any]], stage: str) -> dict[str, float]:
    return {task: 100 * it["accuracy"] for task, it in lines[-1]["metrics"][stage].items()}


def test_that_pruning_hurts_everything_but_general(lines: list[dict[str, Any]]) -> None:
    base, pruned = _accuracy(lines, "base"), _accuracy(lines, "pruned")
    for task in ("tooluse", "science", "retention"):
        assert base[task] >= 97
        assert pruned[task] < base[task] - 30
    assert pruned["general"] > base["general"] - 10


def test_that_sdft_brings_it_back_and_sft_does_not(lines: list[dict[str, Any]]) -> None:
    result = lines[-1]
    assert result["recovered_fraction"] > 0.6
    assert result["recovered_fraction_sft"] < result["recovered_fraction"] - 0.3
    pruned, sdft, sft = (_accuracy(lines, it) for it in ("pruned", "sdft", "sft"))
    assert sdft["general"] > pruned["general"] - 3
    assert sdft["retention"] > pruned["retention"] + 30  # never trained on: it came back
    lenient = 100 * result["metrics"]["sft"]["retention"]["values"]["lenient_accuracy"]
    assert sdft["retention"] > lenient + 10
    assert sdft["retention"] > sft["retention"] + 30


def test_that_divergence_falls_and_accuracy_rises_while_it_runs(
    lines: list[dict[str, Any]],
) -> None:
    kl = [
        it["values"]["kl"]
        for it in lines
        if it["type"] == "metrics" and it["stage"] == "sdft" and it["step"]
    ]
    assert len(kl) == 50
    assert sum(kl[-5:]) < 0.7 * sum(kl[:5])
    live = [
        it["correct"] / it["n"]
        for it in lines
        if it["type"] == "task_evaluated" and it["subject"] == "sdft" and it["task"] == "science"
    ]
    assert live[-1] > live[0] + 0.3
