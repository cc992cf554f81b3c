"""A sweep from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.store.rows import RunRow
from core.store.store import Store
from tests.app.test_cli import Shell


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "home"))
    return Shell(tmp_path, capsys)


def _rows(shell: Shell) -> list[RunRow]:
    with Store.open(shell.home.database) as store:
        return list(reversed(store.runs()))


RATES = "stages.back.learning_rate=1e-4..1e-3:log:2"


def test_that_a_sweep_executes_every_combination_tagged_and_named(shell: Shell) -> None:
    code, lines = shell.json("run", str(shell.recipe), "--sweep", RATES, "--sweep", "seed=1,2")
    assert code == 0
    rows = _rows(shell)
    assert [row.name for row in rows] == [
        f"Two stages · lr {rate} · seed {seed}" for rate in ("1e-4", "1e-3") for seed in (1, 2)
    ]
    assert {tag for row in rows for tag in row.tags} == {"sweep:two-stages"}
    assert {row.status for row in rows} == {"done"}
    begun = [line for line in lines if line["type"] == "sweep"]
    assert [(line["number"], line["of"]) for line in begun] == [(n, 4) for n in (1, 2, 3, 4)]
    assert len([line for line in lines if line["type"] == "result"]) == 4


def test_that_values_are_paired_on_request(shell: Shell) -> None:
    code, _ = shell.json("run", str(shell.recipe), "--sweep", RATES, "--sweep", "seed=1,2", "--zip")
    assert code == 0
    assert [row.seed for row in _rows(shell)] == [1, 2]


def test_that_nothing_is_queued_when_one_of_the_runs_has_a_problem(shell: Shell) -> None:
    code, lines = shell.json("run", str(shell.recipe), "--sweep", "stages.back.max_steps=5,0")
    assert code == 2
    assert "at least 1" in lines[-1]["message"]
    assert not shell.home.database.exists() or _rows(shell) == []


@pytest.mark.parametrize("sweep", ["seed", "seed=1..2:cubic:3", "stages.gone.seed=1,2"])
def test_that_a_sweep_that_cannot_be_read_is_bad_input(shell: Shell, sweep: str) -> None:
    code, lines = shell.json("run", str(shell.recipe), "--sweep", sweep)
    assert (code, lines[-1]["type"]) == (2, "error")


def test_that_a_sweep_stays_in_the_foreground(shell: Shell) -> None:
    code, lines = shell.json("run", str(shell.recipe), "--sweep", "seed=1,2", "--detach")
    assert code == 2
    assert "--detach" in lines[-1]["hint"]
