"""What SFT forgot comes back by SDFT on the shipped model, beside recoveries without a teacher: three seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from core.analysis.statistics import difference

ROOT = Path(__file__).parents[2]
FORGETTING = ROOT / "resources" / "recipes" / "forgetting.yaml"
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    found = []
    for seed in SEEDS:
        command = [sys.executable, "-m", "app", "run", str(FORGETTING), "--json"]
        done = subprocess.run(
            [*command, "--set", f"seed={seed}"],
            cwd=ROOT,
            env={**os.environ, "REKINDLE_HOME": str(tmp_path_factory.mktemp("forgetting"))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("recovery", ["by_base", "by_expert"])
def test_that_sdft_recovers_what_sft_forgot(results: list[dict[str, Any]], recovery: str) -> None:
    fractions = [it["mean_recovered_fractions"][recovery] for it in results]
    assert min(fractions) > 0.5
    for baseline in ("by_sft", "by_replay"):
        beside = [it["mean_recovered_fractions"][baseline] for it in results]
        assert None not in beside
        assert fmean(fractions) > fmean(beside)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("recovery", ["by_base", "by_expert"])
def test_that_general_accuracy_stays_within_its_interval(
    results: list[dict[str, Any]], recovery: str
) -> None:
    for result in results:
        before, after = (result["metrics"][stage]["general"] for stage in ("forgot", recovery))
        low, high = difference(after["correct"], after["n"], before["correct"], before["n"])
        assert low <= 0 <= high or after["correct"] > before["correct"]
