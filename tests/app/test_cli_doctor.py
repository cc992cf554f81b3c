"""The command `doctor`: what a person reads, what a program reads, and the exit status."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from app import cli, cli_doctor
from core.engine.examination import PARTS, Verdict
from core.errors import UserError
from core.store.home import Home

WELL = [
    ("window", Verdict(True, "Fine.")),
    ("cuda", Verdict(None, "There is no GPU [here].", "Buy one.")),
]
ILL = [*WELL, ("nf4", Verdict(False, "RuntimeError: no.", "Try again.", "Traceback\n  line"))]


def command(*arguments: str) -> int:
    """The exit status of `doctor`; the engine and the window must not be asked."""

    def never(*_: object) -> Any:
        raise AssertionError

    return cli.main(cli.build(never, never, never), arguments)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Verdict]]:
    """The verdicts that the child processes give; the test fills the list."""
    found: list[tuple[str, Verdict]] = []

    def examine(home: Home, **_: object) -> Iterator[tuple[str, Verdict]]:
        assert home == Home.default()
        yield from found

    monkeypatch.setattr(cli_doctor, "examine", examine)
    return found


def shown(found: list[tuple[str, Verdict]]) -> str:
    stream = io.StringIO()
    cli_doctor.report(found, Console(file=stream, width=100))
    return stream.getvalue()


def test_that_no_gpu_is_no_failure(planted: list[tuple[str, Verdict]]) -> None:
    planted.extend(WELL)
    assert command("doctor") == 0


def test_that_one_failed_check_is_told_by_the_exit_status(
    planted: list[tuple[str, Verdict]],
) -> None:
    planted.extend(ILL)
    assert command("doctor") == 1


@pytest.mark.parametrize("arguments", [("doctor", "--json"), ("--json", "doctor")])
def test_that_programs_get_a_line_for_each_check_and_a_result(
    planted: list[tuple[str, Verdict]],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    planted.extend(ILL[1:])
    assert command(*arguments) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["name"] for line in lines[:-1]] == ["window", "cuda", "nf4"]
    assert lines[1] == {
        "type": "check",
        "name": "cuda",
        "ok": None,
        "detail": "There is no GPU [here].",
        "hint": "Buy one.",
    }
    assert lines[2]["trace"] == "Traceback\n  line"
    assert lines[-1] == {"type": "result", "ok": False, "checks": 3, "failed": ["nf4"]}


def test_that_a_person_reads_titles_details_hints_and_the_trace() -> None:
    text = shown(ILL)
    assert "There is no GPU [here]." in text  # not taken for markup
    assert "Buy one." in text
    assert "Traceback" in text
    assert "1 of 3 checks failed: NF4." in text
    assert "ready" in shown(WELL)


def test_that_every_check_has_a_title() -> None:
    assert set(cli_doctor.TITLES) == {"window", *(name for part in PARTS for name in part.checks)}


def test_that_a_leaking_pair_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise UserError("PySide6 loses references.", "Install another.")

    monkeypatch.setattr(cli_doctor, "refuse_leaking_qt", refuse)
    assert cli_doctor.window() == Verdict(False, "PySide6 loses references.", "Install another.")


def test_that_a_terminal_shows_which_check_is_in_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def examine(home: Home, **how: Any) -> Iterator[tuple[str, Verdict]]:
        how["on_check"]("sdft")
        time.sleep(0.3)  # a few frames
        yield "sdft", Verdict(True, "Fine.")

    monkeypatch.setattr(cli_doctor, "examine", examine)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    before = set(threading.enumerate())
    assert cli_doctor.report(cli_doctor.findings(Home.default(), console), console)
    assert "Looking at: SDFT" in stream.getvalue()
    assert "This machine is ready." in stream.getvalue()
    for thread in set(threading.enumerate()) - before:  # rich ends its own without waiting for it
        thread.join(10)


def test_that_the_real_command_examines_this_machine(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "REKINDLE_HOME": str(tmp_path / "home")},
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {line["name"]: line for line in lines[:-1]}
    assert list(found) == list(cli_doctor.TITLES)
    # Free disk and memory are those of the machine that tests; everything else must be in order.
    failed = {name: it for name, it in found.items() if it["ok"] is False}
    assert not set(failed) - {"disk", "memory"}, failed
    assert found["sdft"]["ok"] is True
    assert done.returncode == (1 if failed else 0)
    assert not done.stderr
