"""The commands on models: listed with lineage and scores, exported by a real process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import cli
from core.store.home import Home
from core.store.store import Store
from tests.helpers.shelf import ids, lay_out, shipped_base


def command(*arguments: str) -> int:
    return cli.main(
        cli.build(lambda *_: "done", lambda in_process: 0, lambda: False), list(arguments)
    )


@pytest.fixture
def own(tmp_path: Path) -> Home:
    """The home that the commands find, see tests/conftest.py."""
    home = Home.default()
    home.create()
    with Store.open(home.database) as store:
        lay_out(home, store)
    return home


def test_that_checkpoints_are_listed_with_what_they_were_made_from(
    own: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("checkpoints") == 0
    out = capsys.readouterr().out
    assert ids("lora")[:12] in out
    assert "5 checkpoints" in out
    line = next(line for line in out.splitlines() if ids("nf4")[:12] in line)
    assert "quantize" in line
    assert "40.0 %" in line


def test_that_programs_get_every_checkpoint_as_a_line(
    own: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("checkpoints", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {row["identity"]: row for row in rows}
    assert found[ids("lora")]["parent"] == ids("nf4")
    assert found[ids("lora")]["scores"][0]["correct"] == 14
    assert found[ids("copy")]["runs"] == []


def test_that_a_checkpoint_is_exported_and_progress_is_said(
    own: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("export", shipped_base(own)[:10], str(tmp_path / "out"), "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[-1]["type"] == "exported"
    assert {row["type"] for row in rows[:-1]} == {"progress"}
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("abc", "No checkpoint fits"),
        ("first:nothing", "No checkpoint fits"),
        ("ffffffffffff", "No checkpoint fits"),
    ],
)
def test_that_a_name_that_fits_nothing_is_answered_with_what_there_is(
    own: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: str, sentence: str
) -> None:
    assert command("export", named, str(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert ids("lora")[:12] in said


def test_that_an_adapter_over_an_adapter_is_refused_with_the_reason(
    own: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("export", "first:lora2", str(tmp_path / "out"), "--adapter") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "lora2 exports merged only: it lies over the adapter lora" in said
    assert "Leave --adapter out" in said


def test_that_two_forms_at_once_are_refused(
    own: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("export", "first:lora", str(tmp_path / "out"), "--merged", "--adapter") == 2
    assert "one of --merged" in capsys.readouterr().err
