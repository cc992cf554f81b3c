"""Each import contract of pyproject.toml is kept, and breaks when a violation is planted.

A guard that names the wrong package passes for ever, so every contract is shown to fire.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PLANTED = {
    "core never imports Qt or the app": ("core/analysis/planted.py", "import PySide6.QtCore"),
    "the window never loads torch": ("app/settings.py", "import torch"),
    "core flows one way": ("core/lm/planted.py", "import core.stages.context"),
    "stages report by events, never by the store": (
        "core/stages/planted.py",
        "import core.store.rows",
    ),
    "app flows one way": ("app/viewmodels/planted.py", "import app.views"),
    "views know view models only": ("app/views/planted.py", "import core.events"),
    "one door to SQLite": ("core/engine/planted.py", "import sqlite3"),
}


def _copy(tmp_path: Path) -> Path:
    for name in ("app", "core"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_that_every_contract_is_kept(tmp_path: Path) -> None:
    result = _lint(_copy(tmp_path))
    assert result.returncode == 0, result.stdout


def test_that_every_contract_has_a_planted_violation() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract["name"] for contract in settings["contracts"]} == set(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_that_a_planted_violation_breaks_its_contract(contract: str, tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    file, line = PLANTED[contract]
    with (folder / file).open("a") as target:
        target.write(f"\n{line}\n")
    result = _lint(folder)
    assert f"{contract} BROKEN" in result.stdout, result.stdout
