"""The command `data inspect`: what a person reads, what a program reads, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app import cli
from app.cli_data import source_of
from core.errors import UserError


def command(*arguments: str) -> int:
    """The exit status; the engine and the window must not be asked."""

    def never(*_: object) -> Any:
        raise AssertionError

    return cli.main(cli.build(never, never, never), ["data", "inspect", *arguments])


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "home"))
    path = tmp_path / "mine.jsonl"
    rows = [{"ask": f"What is {n}?", "reply": str(n), "kind": "number"} for n in range(3)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def test_that_a_mapped_file_is_told_in_full(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(file), "--map", "prompt=ask,answer=reply,subject=kind") == 0
    told = capsys.readouterr().out
    assert "own columns · 3 items" in told
    assert "number" in told


def test_that_a_broken_line_is_named_and_the_status_says_so(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with file.open("a") as stream:
        stream.write("no JSON\n")
    assert command(str(file), "--map", "prompt=ask", "--json") == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["type"], record["ok"], record["items"], record["faulty"]) == (
        "data",
        False,
        3,
        1,
    )
    assert "line 4 is not JSON" in record["faults"][0]["message"]
    assert record["source"]["columns"] == {"prompt": "ask"}


def test_that_a_file_of_no_known_format_says_what_to_do(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(str(file)) == 1
    assert "fits no known format" in capsys.readouterr().out


def test_that_a_mapping_is_checked_before_anything_is_read() -> None:
    with pytest.raises(UserError, match="question=x maps no column"):
        source_of(Path("a.jsonl"), ["question=x"])
    assert source_of(Path("/a.csv"), ["prompt=q, answer=a"])["columns"] == {
        "prompt": "q",
        "answer": "a",
    }
