from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.settings import Settings


def test_that_settings_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "home" / "settings.json"
    settings = Settings.load(file)
    settings.theme = "dark"
    settings.splitters["run"] = [300, 200]
    settings.smoothing = 0.25
    settings.save()
    assert Settings.load(file) == settings
    assert json.loads(file.read_text())["version"] == 1


@pytest.mark.parametrize("text", ["{no json", "[1, 2]", "null", "", "[" * 100_000, "\udcff"])
def test_that_a_broken_file_is_set_aside_said_and_the_window_starts_with_defaults(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text, errors="surrogateescape")
    before = file.read_bytes()
    settings = Settings.load(file)
    assert settings == Settings(path=file)
    aside = tmp_path / "settings.json.unreadable"
    assert aside.read_bytes() == before
    assert str(aside) in settings.notices[0][0]
    settings.save()
    assert Settings.load(file).notices == ()


def test_that_a_second_broken_file_does_not_replace_the_first(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    for text in ("first", "second"):
        file.write_text(text)
        Settings.load(file)
    kept = sorted(it.read_text() for it in tmp_path.glob("settings.json.unreadable*"))
    assert kept == ["first", "second"]


def test_that_what_a_newer_rekindle_keeps_is_said_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    newer = {"version": 9, "theme": "sepia", "toolbar": ["a"], "views": {"run.x_axis": "time"}}
    file.write_text(json.dumps(newer))
    settings = Settings.load(file)
    assert "newer" in settings.notices[0][0]
    assert settings.theme == "system"
    settings.views["shell.run"] = "abc"
    settings.save()
    stored = json.loads(file.read_text())
    assert (stored["version"], stored["theme"], stored["toolbar"]) == (9, "sepia", ["a"])
    assert stored["views"] == {"run.x_axis": "time", "shell.run": "abc"}
    settings.theme = "dark"
    settings.save()
    assert json.loads(file.read_text())["theme"] == "dark"


def test_that_two_windows_on_one_home_lose_nothing_of_each_other(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    Settings(path=file, views={"run.tab": "log", "run.gone": "x"}).save()
    one, other = Settings.load(file), Settings.load(file)
    one.theme = "dark"
    one.views["run.x_axis"] = "time"
    del one.views["run.gone"]
    one.save()
    other.density = "roomy"
    other.views["runs.filter"] = "star"
    other.save()
    found = Settings.load(file)
    assert (found.theme, found.density) == ("dark", "roomy")
    assert found.views == {"run.tab": "log", "run.x_axis": "time", "runs.filter": "star"}
    other.reset()
    other.save()
    assert "runs.filter" not in Settings.load(file).views
    assert Settings.load(file).theme == "dark"  # the other window never knew of it


def test_that_values_which_do_not_fit_fall_back_to_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(
        json.dumps({"theme": "pink", "smoothing": 7, "splitters": {"a": "b"}, "page": "compare"})
    )
    settings = Settings.load(file)
    assert (settings.theme, settings.smoothing, settings.splitters) == ("system", 0.6, {})
    assert settings.page == "compare"


def test_that_an_unwritable_place_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(path=tmp_path / "file" / "settings.json")
    settings.save()
    told: list[str] = []
    settings.on_trouble = lambda text, hint: told.append(f"{text} {hint}")
    settings.save()
    settings.save()
    assert len(told) == 1
    assert "cannot be saved" in told[0]


def test_that_a_full_disk_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings.json"
    settings = Settings(path=file, theme="dark")
    settings.save()
    before = file.read_text()

    def full(path: Path, *_: object, **__: object) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    settings.theme = "light"
    settings.save()
    monkeypatch.undo()
    assert file.read_text() == before
    assert [it.name for it in tmp_path.iterdir()] == ["settings.json"]
    settings.save()
    assert Settings.load(file).theme == "light"
