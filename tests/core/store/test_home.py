from __future__ import annotations

import stat
from pathlib import Path

import platformdirs
import pytest

from core.errors import UserError
from core.store.home import Home


def test_that_the_environment_names_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REKINDLE_HOME", str(tmp_path / "here"))
    assert Home.default() == Home(tmp_path / "here")


def test_that_a_relative_home_does_not_move_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REKINDLE_HOME", "here")
    assert Home.default().path == tmp_path / "here"


@pytest.mark.parametrize("value", [None, ""])
def test_that_without_it_the_home_is_the_platforms_user_data_folder(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv("REKINDLE_HOME", raising=False)
    else:
        monkeypatch.setenv("REKINDLE_HOME", value)
    assert Home.default().path == platformdirs.user_data_path("rekindle", appauthor=False)


def test_that_create_makes_the_folders_for_their_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "home")
    home.create()
    home.create()  # a second time changes nothing
    assert home.checkpoints.is_dir()
    assert home.cache.is_dir()
    assert home.run("abc").parent.is_dir()
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert not home.database.exists()


def test_that_everything_lies_under_the_home() -> None:
    home = Home(Path("/h"))
    assert home.database == Path("/h/rekindle.sqlite3")
    assert home.checkpoints == Path("/h/checkpoints")
    assert home.cache == Path("/h/cache")
    assert home.settings == Path("/h/settings.json")
    assert home.run("abc") == Path("/h/runs/abc")


def test_that_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written") as caught:
        Home(tmp_path / "file" / "home").create()
    assert "REKINDLE_HOME" in caught.value.hint
