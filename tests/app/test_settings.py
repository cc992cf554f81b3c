from __future__ import annotations

import json
from pathlib import Path

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


def test_that_a_broken_file_is_set_aside_and_the_window_starts_with_defaults(
    tmp_path: Path,
) -> None:
    file = tmp_path / "settings.json"
    file.write_text("{no json")
    assert Settings.load(file) == Settings(path=file)
    assert (tmp_path / "settings.json.unreadable").read_text() == "{no json"


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
    Settings(path=tmp_path / "file" / "settings.json").save()
