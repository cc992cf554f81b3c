from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.endings import RunEnds, told
from app.viewmodels.run_lister import RunLister
from app.views import notifications
from app.views.notifications import Desk, Notifications
from app.widgets.theme import Theme
from core.store.store import Store
from tests.app.conftest import Sample
from tests.app.shell import Shell, shell_on


class PaperDesk(QObject):
    """A desktop that writes down what it is told."""

    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str, bool]] = []
        self.shares: list[tuple[float | None, int]] = []
        self.active = False
        self.able = True
        self.rested = 0

    def can_tell(self) -> bool:
        return self.able

    def tell(self, title: str, text: str, bad: bool) -> None:
        self.told.append((title, text, bad))

    def rest(self) -> None:
        self.rested += 1

    def is_active(self) -> bool:
        return self.active

    def progress(self, share: float | None, running: int) -> None:
        self.shares.append((share, running))


@pytest.fixture
def desk(qtbot: QtBot) -> PaperDesk:
    return PaperDesk()


@pytest.fixture
def telling(desk: PaperDesk) -> Iterator[Notifications]:
    made = Notifications(Settings(), desk)  # type: ignore[arg-type]
    yield made
    made.close()


@pytest.mark.parametrize(
    ("status", "title", "bad"),
    [
        ("done", "Done: nf4", False),
        ("failed", "Failed: nf4", True),
        ("interrupted", "Needs attention: nf4", True),
        ("stopped", "Stopped: nf4", False),
    ],
)
def test_that_each_end_has_its_words(
    telling: Notifications, desk: PaperDesk, status: str, title: str, bad: bool
) -> None:
    telling.ended("u", "nf4", status)
    assert [(it[0], it[2]) for it in desk.told] == [(title, bad)]
    assert desk.told[0][1] == told("nf4", status)[1]


def test_that_a_state_that_is_no_end_says_nothing(telling: Notifications, desk: PaperDesk) -> None:
    telling.ended("u", "nf4", "running")
    assert desk.told == []


def test_that_only_the_run_that_somebody_looks_at_is_not_told(desk: PaperDesk) -> None:
    telling = Notifications(Settings(), desk, shown=lambda: "u")  # type: ignore[arg-type]
    desk.active = True
    telling.ended("u", "nf4", "done")
    assert desk.told == []
    telling.ended("another", "sft", "done")
    desk.active = False
    telling.ended("u", "nf4", "done")
    assert [it[0] for it in desk.told] == ["Done: sft", "Done: nf4"]
    telling.close()


def test_that_an_end_is_told_once_whoever_sees_it_first(qtbot: QtBot, sample: Sample) -> None:
    with Store.open(sample.home.database) as store:
        uid = store.running()[0].uid
        lister = RunLister()
        before = lister(store)
        store.set_status(uid, "done")
        now = lister(store)
    ends = RunEnds()
    told: list[tuple[str, ...]] = []
    ends.ended.connect(lambda *it: told.append(it))
    ends.listed(before, now, lambda _: True)  # its thread will tell
    assert told == []
    row = now.entries[uid].row
    ends.one(uid, row.session, row.name, "done")
    ends.listed(before, now, lambda _: False)
    assert told == [(uid, row.name, "done")]
    ends.one(uid, row.session + 1, row.name, "done")  # resumed, and ended again
    assert len(told) == 2


def test_that_the_end_of_a_run_that_nobody_opened_is_told(shell: Shell, qtbot: QtBot) -> None:
    uid = shell.runs["running"]
    with (
        qtbot.waitSignal(shell.application.runEnded, timeout=15_000) as ended,
        Store.open(shell.home.database) as store,
    ):
        store.set_status(uid, "done")
    assert ended.args[0] == uid
    assert ended.args[2] == "done"


def test_that_it_can_be_switched_off(desk: PaperDesk) -> None:
    Notifications(Settings(notifications=False), desk).ended("u", "nf4", "done")  # type: ignore[arg-type]
    assert desk.told == []


def test_that_a_desktop_without_messages_is_left_alone(
    telling: Notifications, desk: PaperDesk
) -> None:
    desk.able = False
    untold: list[str] = []
    telling.untold.connect(lambda uid, status, title: untold.append(title))
    telling.ended("u", "nf4", "done")
    assert desk.told == []
    assert untold == ["Done: nf4"]


def test_that_a_click_on_the_message_opens_the_run(
    telling: Notifications, desk: PaperDesk, qtbot: QtBot
) -> None:
    telling.ended("the run", "nf4", "done")
    with qtbot.waitSignal(telling.opened) as opened:
        desk.clicked.emit()
    assert opened.args == ["the run"]


def test_that_progress_is_told_once_a_per_cent_and_taken_away_at_the_end(
    telling: Notifications, desk: PaperDesk
) -> None:
    for share in (0.101, 0.104, 0.12):
        telling.progressed(share, 1)
    telling.close()
    assert desk.shares == [(0.1, 1), (0.12, 1), (None, 0)]


def test_that_the_real_desktop_is_asked_without_a_tray_and_without_a_bus(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/at/all")
    parent = QObject()
    desk = Desk(QIcon(), parent)
    assert desk.can_tell() in (True, False)
    notifications._tell_launcher(0.5)
    desk.rest()
    parent.deleteLater()


def test_that_the_number_of_runs_can_be_put_on_the_icon(qapp: QApplication) -> None:
    notifications._badge(2)
    notifications._badge(0)


@pytest.mark.skipif(shutil.which("dbus-run-session") is None, reason="needs a session bus to start")
def test_that_docks_hear_the_progress_on_a_real_bus() -> None:
    """In a process with a bus of its own: what is sent is what Unity's LauncherEntry asks for."""
    code = (
        "import sys\n"
        "from PySide6.QtCore import QCoreApplication, QObject, QTimer, SLOT, Slot\n"
        "from PySide6.QtDBus import QDBusConnection, QDBusMessage\n"
        "from app.views.notifications import LAUNCHER, _tell_launcher\n"
        "program = QCoreApplication([])\n"
        "class Dock(QObject):\n"
        "    @Slot(QDBusMessage)\n"
        "    def hear(self, message):\n"
        "        print(message.signature(), message.arguments()[0])\n"
        "        program.quit()\n"
        "dock = Dock()\n"
        "bus = QDBusConnection.sessionBus()\n"
        "assert bus.isConnected()\n"
        "assert bus.connect('', LAUNCHER[0], LAUNCHER[1], LAUNCHER[2], dock, SLOT('hear(QDBusMessage)'))\n"
        "QTimer.singleShot(0, lambda: _tell_launcher(0.5))\n"
        "QTimer.singleShot(10_000, program.quit)\n"
        "program.exec()\n"
    )
    done = subprocess.run(
        ["dbus-run-session", "--", sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["sa{sv}", "application://rekindle.desktop"]


@pytest.fixture
def shell(sample: Sample, theme: Theme, qtbot: QtBot) -> Iterator[Shell]:
    with shell_on(sample, theme, qtbot) as made:
        yield made


@pytest.mark.qt_log_ignore("does not support raise")
def test_that_the_window_tells_the_desktop_and_a_click_shows_the_run(
    shell: Shell, desk: PaperDesk
) -> None:
    window = shell.window
    window.notifications._desk = desk  # type: ignore[assignment]
    shell.application.runEnded.emit(shell.runs["done"], "nf4", "done")
    assert [it[0] for it in desk.told] == ["Done: nf4"]
    window.notifications._open()
    assert window.page == "run"
    assert window.run_page.run is not None
    assert window.run_page.run.uid == shell.runs["done"]


def test_that_title_and_taskbar_show_the_progress_of_the_first_run(
    shell: Shell, desk: PaperDesk, qtbot: QtBot
) -> None:
    window = shell.window
    window.notifications._desk = desk  # type: ignore[assignment]
    window.open_run(shell.runs["running"])
    run = window.run_page.run
    assert run is not None
    qtbot.waitUntil(lambda: run.loaded, timeout=10_000)
    shell.application.activeChanged.emit()
    assert run.progress is not None
    assert f"{run.progress:.0%}" in window.windowTitle()
    assert desk.shares[-1] == (int(100 * run.progress) / 100, 1)
    assert "step 128 of 200" in window.status.doing.whole()
    assert " · ends " in window.status.doing.whole()
    assert " · worker " in window.status.doing.whole()


def test_that_a_window_on_a_desktop_without_messages_says_it_itself(
    shell: Shell, desk: PaperDesk, qtbot: QtBot
) -> None:
    window = shell.window
    window.notifications._desk = desk  # type: ignore[assignment]
    desk.able = False
    shell.application.runEnded.emit(shell.runs["done"], "nf4", "stopped")
    assert not window.notice.isVisible()
    shell.application.runEnded.emit(shell.runs["done"], "nf4", "done")
    assert window.notice.accessibleName() == "Done: nf4"
    qtbot.mouseClick(window.notice.remedy, Qt.MouseButton.LeftButton)
    assert window.page == "run"
    desk.active, desk.able = True, True
    shell.application.runEnded.emit(shell.runs["done"], "nf4", "done")  # one looks at it
    assert desk.told == []
