"""A window on hand-made runs for tests of the shell: no worker is started, and a person answers nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.main_window import MainWindow
from app.widgets.theme import Theme
from tests.app.conftest import Sample
from tests.app.test_main_window import Answers, no_worker


class Shell:
    """The window and what it was made from."""

    def __init__(self, sample: Sample, theme: Theme, settings: Settings | None = None) -> None:
        self.home = sample.home
        self.runs = sample.runs
        self.theme = theme
        self.answers = Answers()
        self.settings = settings or Settings(path=sample.home.settings)
        self.application = Application(sample.home, self.settings, spawn=no_worker)
        self.window = MainWindow(self.application, self.settings, theme, self.answers)


@contextmanager
def shell_on(
    sample: Sample, theme: Theme, qtbot: QtBot, settings: Settings | None = None
) -> Iterator[Shell]:
    """Show the window with its runs listed, and close it at the end."""
    made = Shell(sample, theme, settings)
    made.window.show()
    qtbot.waitExposed(made.window)
    qtbot.waitUntil(lambda: made.application.runs.rowCount() == len(sample.runs), timeout=10_000)
    try:
        yield made
    finally:
        made.answers.leaving = "keep"
        made.settings.closing = "ask"
        made.window.close()
        made.window.deleteLater()
        made.application.deleteLater()
