"""Windows over one home folder, opened and closed as a person would."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.main_window import MainWindow
from app.widgets.theme import Theme
from core.store.home import Home
from tests.app.test_main_window import Answers

WAIT_MS = 240_000


class Person(Answers):
    """Answers the window's questions; `path` is what is picked in a dialog for files and folders."""

    def __init__(self) -> None:
        super().__init__()
        self.path = ""

    def choose_file(self, parent: QWidget, title: str, start: str, kinds: str) -> str:
        self.asked.append(title)
        return self.path

    def new_folder(self, parent: QWidget, title: str, start: str) -> str:
        self.asked.append(title)
        return self.path


class Desk:
    """One home folder, and the window over it while there is one."""

    def __init__(self, home: Home, qtbot: QtBot, qapp: QApplication) -> None:
        self.home = home
        self.qtbot = qtbot
        self.theme = Theme(qapp, "light")
        self.answers = Person()
        self._open: MainWindow | None = None

    def open(self) -> MainWindow:
        settings = Settings.load(self.home.settings)
        application = Application(self.home, settings)
        self._open = MainWindow(application, settings, self.theme, self.answers)
        with self.qtbot.waitActive(self._open):
            self._open.show()
            self._open.activateWindow()
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open.application.deleteLater()
            self._open.deleteLater()
            self._open = None

    def until(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=WAIT_MS)
