from __future__ import annotations

import lzma
import os
import re
from pathlib import Path

import pytest

from app import sample
from core.errors import UserError
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.store import Store

MOST_BYTES = 5_000_000


def test_that_a_first_start_finds_the_sample_runs_and_a_second_keeps_its_own(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    assert sample.install(home)
    with Store.open(home.database) as store:
        rows = store.runs()
        assert {row.status for row in rows} == {"done"}
        assert {row.tags for row in rows} == {("sample",)}
        assert len({row.seed for row in rows}) >= 3
        store.delete_run(rows[0].uid)
    assert not sample.install(home)
    with Store.open(home.database) as store:
        assert len(store.runs()) == len(rows) - 1
    assert sorted(it.name for it in home.path.iterdir() if it.is_file()) == ["rekindle.sqlite3"]


def test_that_the_sample_is_small_can_be_started_again_and_names_no_machine(tmp_path: Path) -> None:
    assert sample.SHIPPED.stat().st_size < MOST_BYTES
    home = Home(tmp_path / "home")
    sample.install(home)
    with Store.open(home.database, read_only=True) as store:
        names = set()
        for row in store.runs():
            recipe = Recipe.model_validate_json(row.recipe_json)
            assert recipe.base.name == "rekindle-1m"
            names.add(recipe.name.rsplit(",", 1)[0])
            assert store.item_results(row.uid, "base", recipe.measure.tasks[0])
    assert len(names) == 6
    # No text that begins like an absolute path, of Unix or of Windows.
    assert re.search(rb'"(/|[A-Z]:\\)[A-Za-z]+[/\\]', home.database.read_bytes()) is None


def test_that_without_a_sample_nothing_is_made(tmp_path: Path) -> None:
    assert not sample.install(Home(tmp_path / "home"), tmp_path / "absent.xz")
    assert not (tmp_path / "home").exists()


def test_that_an_existing_database_is_never_touched(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.database.write_bytes(b"mine")
    packed = tmp_path / "s.xz"
    packed.write_bytes(lzma.compress(b"theirs"))
    assert not sample.install(home, packed)
    assert home.database.read_bytes() == b"mine"


@pytest.mark.parametrize("content", [b"no archive", lzma.compress(b"x" * 5000)[:60]])
def test_that_a_damaged_sample_is_a_sentence_and_leaves_nothing(
    content: bytes, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    packed = tmp_path / "s.xz"
    packed.write_bytes(content)
    with pytest.raises(UserError, match="could not be unpacked"):
        sample.install(home, packed)
    assert not [it for it in home.path.iterdir() if it.is_file()]


def test_that_a_disk_without_links_gets_the_sample_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    home = Home(tmp_path / "home")
    assert sample.install(home)
    assert [it.name for it in home.path.iterdir() if it.is_file()] == ["rekindle.sqlite3"]
