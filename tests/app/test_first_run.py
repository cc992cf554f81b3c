from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QMenu, QWidget
from pytestqt.qtbot import QtBot

from app.session import Session
from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.fault_report import RecentLog, fault_report
from app.viewmodels.projects import OWN, SAMPLE, projects, sample_home
from app.views.first_steps import DISMISSED, VIEW
from app.views.main_window import FIRST_SIZE
from app.widgets.theme import Theme
from core.store.home import Home
from tests.app.conftest import Sample
from tests.app.shell import Shell, shell_on
from tests.app.test_main_window import Answers, no_worker

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def shell(sample: Sample, theme: Theme, qtbot: QtBot) -> Iterator[Shell]:
    with shell_on(sample, theme, qtbot) as made:
        yield made


def test_that_the_sample_is_one_click_away(shell: Shell, qtbot: QtBot) -> None:
    steps = shell.window.first_steps
    assert steps.isVisible()
    qtbot.mouseClick(steps.buttons["sample"], LEFT)
    assert shell.window.page == "run"
    run = shell.window.run_page.run
    assert run is not None
    assert run.uid in (shell.runs["done"], shell.runs["pruned"])


def test_that_the_quickstart_starts_once_and_shows_its_run(shell: Shell, qtbot: QtBot) -> None:
    window = shell.window
    draft = shell.application.new_run.text
    button = window.first_steps.buttons["quickstart"]
    qtbot.mouseClick(button, LEFT)
    assert not button.isEnabled()
    qtbot.mouseClick(button, LEFT)  # a double click starts one run
    qtbot.waitUntil(lambda: window.page == "run", timeout=15_000)
    qtbot.waitUntil(
        lambda: shell.application.runs.rowCount() == len(shell.runs) + 1, timeout=15_000
    )
    assert window.run_page.run is not None
    qtbot.waitUntil(lambda: window.run_page.run.name.startswith("Quickstart"), timeout=15_000)
    assert shell.application.new_run.text == draft  # a draft in New run is left alone


def test_that_the_way_to_ones_own_model_is_the_recipe(shell: Shell, qtbot: QtBot) -> None:
    button = shell.window.first_steps.buttons["own"]
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Return)
    assert shell.window.page == "new"


def test_that_dismissed_steps_stay_away_until_they_are_wanted(shell: Shell, qtbot: QtBot) -> None:
    window = shell.window
    qtbot.mouseClick(window.first_steps.cross, LEFT)
    assert not window.first_steps.isVisible()
    assert Settings.load(shell.home.settings).views[VIEW] == DISMISSED
    window.palette_box.open()
    qtbot.keyClicks(window.palette_box.field, "first steps")
    qtbot.keyClick(window.palette_box.field, Qt.Key.Key_Return)
    assert window.first_steps.isVisible()
    assert VIEW not in Settings.load(shell.home.settings).views


def test_that_dismissed_steps_are_not_shown_by_the_next_window(
    sample: Sample, theme: Theme, qtbot: QtBot
) -> None:
    settings = Settings(views={VIEW: DISMISSED})
    with shell_on(sample, theme, qtbot, settings) as made:
        assert not made.window.first_steps.isVisible()


def test_that_the_page_and_the_run_left_last_come_back(
    sample: Sample, theme: Theme, qtbot: QtBot
) -> None:
    settings = Settings(path=sample.home.settings)
    with shell_on(sample, theme, qtbot, settings) as made:
        made.window.open_run(sample.runs["pruned"])
    with shell_on(sample, theme, qtbot, Settings.load(sample.home.settings)) as again:
        qtbot.waitUntil(lambda: again.window.page == "run", timeout=20_000)
        assert again.window.run_page.run is not None
        assert again.window.run_page.run.uid == sample.runs["pruned"]


def test_that_projects_are_ones_own_the_sample_and_what_else_is_open(tmp_path: Path) -> None:
    own = Home(tmp_path / "own")
    assert [(it.title, it.is_open) for it in projects(own, own)] == [(OWN, True), (SAMPLE, False)]
    third = Home(tmp_path / "paper")
    found = projects(third, own)
    assert [(it.title, it.is_open) for it in found][-1] == ("paper", True)
    assert sum(it.is_open for it in found) == 1


class Chosen(Answers):
    """Answers with a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def ask_folder(self, parent: QWidget, title: str, start: str) -> str | None:
        return str(self.folder)

    def new_folder(self, parent: QWidget, title: str, start: str) -> str:
        return str(self.folder)


@pytest.fixture
def session(tmp_path: Path, theme: Theme, qtbot: QtBot) -> Iterator[Session]:
    own = Home(tmp_path / "own")

    def make(home: Home, settings: Settings, *, notices: Sequence[str], **_: object) -> Application:
        return Application(home, settings, spawn=no_worker, notices=notices)

    made = Session(
        theme, Settings.load(own.settings), own, make=make, dialogs=Chosen(tmp_path / "third")
    )
    yield made
    assert made.window is not None
    made.window.close()
    made.window.deleteLater()
    made.window.application.deleteLater()
    made.deleteLater()


def listed(session: Session) -> int:
    assert session.window is not None
    return session.window.application.runs.rowCount()


def choose(session: Session, title: str) -> None:
    """Choose in the menu of the project chip."""
    assert session.window is not None
    session.window.header.project.click()
    menu = next(it for it in session.window.findChildren(QMenu) if it.isVisible())
    next(it for it in menu.actions() if it.text() == title).trigger()
    menu.close()


def test_that_a_first_start_opens_the_sample_runs_and_says_which_project_it_is(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    assert session.open(Home(tmp_path / "own"))
    qtbot.waitUntil(lambda: listed(session) > 0, timeout=15_000)
    assert session.window is not None
    assert session.window.header.project.text() == f"{OWN} ▾"
    assert str(tmp_path / "own") in session.window.header.project.toolTip()


def test_that_a_window_too_large_for_the_screen_fills_it_at_the_first_start(
    session: Session, tmp_path: Path
) -> None:
    session.open(Home(tmp_path / "own"))
    window = session.window
    assert window is not None
    room = window.screen().availableSize()
    assert room.width() <= FIRST_SIZE[0]  # the screen of the tests is small
    assert window.isMaximized()


def said(session: Session) -> str:
    """What stands above the page; "" for nothing."""
    assert session.window is not None
    notice = session.window.notice
    return notice.accessibleName() if notice.isVisible() else ""


@pytest.mark.qt_log_ignore("does not support (raise|grabbing)")
def test_that_other_peoples_files_are_no_project_and_the_window_stays(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    session.open(Home(tmp_path / "own"))
    first = session.window
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "thesis.tex").write_text("")
    choose(session, "Open another folder…")
    assert "holds other files" in said(session)
    assert session.window is first
    assert [it.name for it in (tmp_path / "third").iterdir()] == ["thesis.tex"]


def test_that_a_project_that_cannot_be_written_does_not_take_the_window_away(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    session.open(Home(tmp_path / "own"))
    first = session.window
    (tmp_path / "file").write_text("")
    assert not session.open(Home(tmp_path / "file" / "project"))
    assert session.window is first
    assert first is not None
    assert first.isVisible()
    assert "cannot be written" in said(session)


def test_that_a_home_that_cannot_be_written_still_opens_a_window_that_says_so(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "file").write_text("")
    home = Home(tmp_path / "file" / "project")
    assert session.open(home)
    qtbot.waitUntil(lambda: "cannot be written" in said(session))
    assert session.window is not None
    assert session.window.notice.remedy.text().strip() == "Try again"
    (tmp_path / "file").unlink()
    session.window.notice.remedy.click()
    qtbot.waitUntil(lambda: session.window.application.runs.loaded, timeout=15_000)
    assert said(session) == ""


def test_that_what_was_wrong_with_the_preferences_is_said_once(
    theme: Theme, tmp_path: Path, qtbot: QtBot, session: Session
) -> None:
    session._settings.notices = (("The preferences could not be read.", "Defaults."),)
    session.open(Home(tmp_path / "own"))
    qtbot.waitUntil(lambda: "preferences could not be read" in said(session), timeout=15_000)
    assert session._settings.notices == ()


@pytest.mark.qt_log_ignore("does not support (raise|grabbing)")
def test_that_a_new_project_is_made_and_found_again_in_the_menu(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    own = Home(tmp_path / "own")
    session.open(own)
    first = session.window
    choose(session, "New project…")
    qtbot.waitUntil(lambda: session.window is not first, timeout=15_000)
    second = session.window
    assert second is not None
    assert second.header.project.text() == "third ▾"
    qtbot.waitUntil(lambda: second.application.runs.loaded, timeout=15_000)
    choose(session, OWN)
    qtbot.waitUntil(lambda: session.window is not second, timeout=15_000)
    third = session.window
    choose(session, "third")
    qtbot.waitUntil(lambda: session.window is not third, timeout=15_000)
    assert session.window is not None
    assert session.window.application.home == Home(tmp_path / "third")
    assert Settings.load(own.settings).projects == [str(tmp_path / "third")]


@pytest.mark.qt_log_ignore("does not support (raise|grabbing)")
def test_that_another_project_opens_without_a_restart_and_the_way_back_is_the_same(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    own = Home(tmp_path / "own")
    session.open(own)
    qtbot.waitUntil(lambda: listed(session) > 0, timeout=15_000)
    first = session.window
    choose(session, "Open another folder…")
    qtbot.waitUntil(lambda: session.window is not first, timeout=15_000)
    assert session.window is not None
    assert session.window.header.project.text() == "third ▾"
    assert listed(session) == 0
    second = session.window
    choose(session, SAMPLE)
    qtbot.waitUntil(lambda: session.window is not second, timeout=15_000)
    qtbot.waitUntil(lambda: listed(session) > 0, timeout=15_000)
    assert session.window.application.home == sample_home(own)
    assert QGuiApplication.quitOnLastWindowClosed()
    assert sum(it.isVisible() for it in QApplication.topLevelWidgets()) == 1


def test_that_a_project_with_a_running_run_is_left_only_when_the_person_agrees(
    session: Session, sample: Sample, tmp_path: Path, qtbot: QtBot
) -> None:
    session.open(sample.home)
    window = session.window
    assert window is not None
    qtbot.waitUntil(lambda: bool(window.application.active()), timeout=15_000)
    answers = window._dialogs
    assert isinstance(answers, Answers)
    answers.leaving = "cancel"
    assert not session.open(Home(tmp_path / "own"))
    assert answers.asked == ["leave the project 1"]
    assert session.window is window
    assert window.isVisible()
    window.close()
    assert answers.asked[1:] == ["leave 1"]
    answers.leaving = "keep"


def test_that_an_error_offers_diagnostics_without_what_is_private(
    shell: Shell, qtbot: QtBot
) -> None:
    window = shell.window
    log = RecentLog()
    window.show_project(window._projects, log.text)
    shell.application.message.emit("info", "All is well.", "")
    assert not window.notice.remedy.isVisible()
    secret = f"{Path.home()}/secret hf_abcdefghijklmnop"
    shell.application.message.emit("error", f"Cannot read {secret}", "Try again.")
    assert window.notice.remedy.isVisible()
    qtbot.mouseClick(window.notice.remedy, LEFT)
    text = QGuiApplication.clipboard().text()
    assert "Cannot read ~/secret" in text
    assert "hf_abc" not in text
    assert "PySide6" in text
    assert window.notice.remedy.text().strip() == "Copied"
    shell.application.message.emit("info", "All is well.", "")
    assert not window.notice.remedy.isVisible()


def test_that_the_last_lines_of_the_log_are_in_the_report() -> None:
    import logging

    log = RecentLog(kept=2)
    for text in ("first", "second", "third"):
        log.handle(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))
    report = fault_report("It broke.", "", log.text())
    assert "first" not in report
    assert report.index("second") < report.index("third")
