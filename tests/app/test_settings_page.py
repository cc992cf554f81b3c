from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.storage import measure, moving
from app.views.density import ROW_HEIGHTS
from app.views.pages import is_developer
from app.views.settings_page import SettingsPage
from app.views.settings_words import SETTINGS_ENTRIES
from app.widgets.controls import Segments
from app.widgets.theme import Theme
from core.store.home import Home
from tests.app.conftest import Sample
from tests.app.shell import Shell, shell_on


@pytest.fixture
def shell(sample: Sample, theme: Theme, qtbot: QtBot) -> Iterator[Shell]:
    with shell_on(sample, theme, qtbot) as made:
        made.window.show_page("settings")
        yield made


def page_of(shell: Shell) -> SettingsPage:
    return cast(SettingsPage, shell.window.page_at("settings"))


def press(qtbot: QtBot, segments: Segments, key: str) -> None:
    qtbot.mouseClick(segments._keys[key], Qt.MouseButton.LeftButton)


def test_that_a_theme_holds_at_once_is_kept_and_the_header_says_it(
    shell: Shell, theme: Theme, qtbot: QtBot
) -> None:
    press(qtbot, page_of(shell).theme_choice, "dark")
    assert theme.choice == "dark"
    assert theme.tokens.dark
    assert shell.window.header.theme_button.accessibleName() == "Theme: dark"
    assert Settings.load(shell.home.settings).theme == "dark"


def test_that_the_theme_chosen_in_the_header_is_shown_here(shell: Shell, qtbot: QtBot) -> None:
    qtbot.mouseClick(shell.window.header.theme_button, Qt.MouseButton.LeftButton)
    assert page_of(shell).theme_choice.current() == shell.settings.theme == "dark"


def test_that_density_reaches_the_run_list_at_once_and_the_next_window(
    shell: Shell, theme: Theme, qtbot: QtBot
) -> None:
    rows = shell.window.runs_page.table.verticalHeader()
    press(qtbot, page_of(shell).density, "compact")
    assert rows.defaultSectionSize() == ROW_HEIGHTS["compact"]
    press(qtbot, page_of(shell).density, "roomy")
    assert rows.defaultSectionSize() == ROW_HEIGHTS["roomy"]
    assert Settings.load(shell.home.settings).density == "roomy"


def test_that_segments_are_changed_by_the_keyboard(shell: Shell, qtbot: QtBot) -> None:
    page = page_of(shell)
    page.show_setting("density")
    qtbot.waitUntil(lambda: page.density.isAncestorOf(QApplication.focusWidget()))
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Right)
    assert shell.settings.density == "roomy"


def test_that_the_place_is_shown_with_its_parts_and_what_is_left(
    shell: Shell, qtbot: QtBot
) -> None:
    page = page_of(shell)
    qtbot.waitUntil(lambda: "Database" in page.sizes, timeout=10_000)
    assert page.place.whole() == str(shell.home.path)
    assert {"Database", "Checkpoints", "Cache", "Disk left"} <= set(page.sizes)
    qtbot.mouseClick(page.copy_place, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == str(shell.home.path)


def test_that_the_folder_is_opened(
    shell: Shell, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    qtbot.mouseClick(page_of(shell).open_folder, Qt.MouseButton.LeftButton)
    assert opened == [QUrl.fromLocalFile(str(shell.home.path))]


def test_that_sizes_count_a_file_once_and_follow_no_links(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    (home.checkpoints / "a").write_bytes(bytes(1000))
    (home.checkpoints / "same").hardlink_to(home.checkpoints / "a")
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "big").write_bytes(bytes(50_000))
    (home.cache / "link").symlink_to(tmp_path / "far", target_is_directory=True)
    home.database.write_bytes(bytes(10))
    parts = dict(measure(home).parts)
    assert parts["Checkpoints"] == 1000
    assert parts["Cache"] < 1000
    assert parts["Database"] == 10


def test_that_it_says_how_the_place_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REKINDLE_HOME", raising=False)
    assert "REKINDLE_HOME" in moving(Home(Path("/a")))
    monkeypatch.setenv("REKINDLE_HOME", "/a")
    assert "is set by REKINDLE_HOME now" in moving(Home(Path("/a")))


def test_that_devices_are_listed_as_the_monitor_sees_them(shell: Shell, qtbot: QtBot) -> None:
    page = page_of(shell)
    qtbot.waitUntil(lambda: "CPU:" in page.devices.text(), timeout=10_000)
    assert "Host memory" in page.devices.text()


def test_that_what_happens_at_closing_is_asked_only_when_it_is_not_set(
    shell: Shell, qtbot: QtBot
) -> None:
    qtbot.waitUntil(lambda: bool(shell.application.active()), timeout=10_000)
    page = page_of(shell)
    page.closing.setCurrentIndex(page.closing.findData("keep"))
    page.closing.activated.emit(page.closing.currentIndex())
    assert shell.settings.closing == "keep"
    assert shell.window.close()
    assert shell.answers.asked == []


def test_that_the_developer_switch_offers_developer_pages(
    shell: Shell, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REKINDLE_DEVELOPER", raising=False)
    assert not is_developer(shell.settings)
    qtbot.keyClick(page_of(shell).developer, Qt.Key.Key_Space)
    assert is_developer(shell.settings)
    monkeypatch.setenv("REKINDLE_DEVELOPER", "1")
    assert is_developer(Settings())


def test_that_reset_asks_and_then_takes_the_first_values(
    shell: Shell, theme: Theme, qtbot: QtBot
) -> None:
    page = page_of(shell)
    press(qtbot, page.theme_choice, "dark")
    press(qtbot, page.density, "compact")
    page.notifications.setChecked(False)
    shell.answers.agree = False
    qtbot.mouseClick(page.reset, Qt.MouseButton.LeftButton)
    assert shell.settings.theme == "dark"
    shell.answers.agree = True
    qtbot.mouseClick(page.reset, Qt.MouseButton.LeftButton)
    fresh = Settings.load(shell.home.settings)
    assert (fresh.theme, fresh.density, fresh.notifications) == ("system", "normal", True)
    assert page.notifications.isChecked()
    assert page.density.current() == "normal"
    assert shell.window.runs_page.table.verticalHeader().defaultSectionSize() == 32


def test_that_every_setting_named_in_the_palette_is_reached(shell: Shell, qtbot: QtBot) -> None:
    page = page_of(shell)
    for key, _, _ in SETTINGS_ENTRIES:
        shell.window.stack.setFocus()
        page.show_setting(key)
        if key != "devices":  # a text takes no focus
            qtbot.waitUntil(lambda: page.isAncestorOf(QApplication.focusWidget()))
