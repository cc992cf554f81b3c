"""One window on one project at a time; another project is opened without a restart of the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication

from app import sample
from app.run_thread import Runner
from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.fault_report import RecentLog
from app.viewmodels.projects import projects, refusal, remembered, sample_home
from app.views.dialogs import Dialogs
from app.views.main_window import MainWindow
from app.widgets.theme import Theme
from core.errors import UserError
from core.store.home import Home


class Session(QObject):
    """Opens projects.

    Args:
        theme: of the program; it stays when the project changes.
        own: the person's own project, where preferences are kept.
        in_process: runs workers inside their thread instead (for debugging).
        make: makes the view models of a project; tests give one without workers.
    """

    def __init__(
        self,
        theme: Theme,
        settings: Settings,
        own: Home,
        *,
        in_process: Runner | None = None,
        make: Callable[..., Application] = Application,
        dialogs: Dialogs | None = None,
    ) -> None:
        super().__init__()
        self._theme = theme
        self._settings = settings
        self._own = own
        self._in_process = in_process
        self._make = make
        self._dialogs = dialogs
        self.window: MainWindow | None = None
        settings.on_trouble = lambda text, hint: self.tell("warning", text, hint)
        self.log = RecentLog()

    def open(self, home: Home) -> bool:
        """Show a project instead of the one before.

        False when the person does not leave that one, or the other cannot be opened.
        """
        notices: list[str] = []
        try:
            home.create()
        except UserError as error:
            if self.window is not None:
                self.tell("error", error.message, error.hint)
                return False  # the first window opens whatever happens, and says it
        else:
            notices += self._install_sample(home)
        # Between the window that goes and the one that comes there is none.
        QGuiApplication.setQuitOnLastWindowClosed(False)
        try:
            if self.window is not None and not self._leave(self.window):
                return False
            notices += [" ".join(told) for told in self._settings.notices]
            self._settings.notices = ()
            application = self._make(
                home, self._settings, in_process=self._in_process, notices=notices
            )
            self.window = MainWindow(application, self._settings, self._theme, self._dialogs)
            if home not in self._shipped():
                self._settings.projects = remembered(self._settings.projects, home)
            known = projects(home, self._own, self._settings.projects)
            self.window.show_project(known, self.log.text)
            self.window.project_wanted.connect(self._open_later)
            if not self._settings.geometry:
                _fill_small_screen(self.window)
            self.window.show()
        finally:
            QGuiApplication.setQuitOnLastWindowClosed(True)
        return True

    def _install_sample(self, home: Home) -> list[str]:
        """Give a project that begins with the sample runs its database; what went wrong."""
        if home in self._shipped():
            try:
                sample.install(home)
            except UserError as error:
                return [str(error)]
        return []

    def _shipped(self) -> tuple[Home, Home]:
        """The projects that begin with the sample runs."""
        return self._own, sample_home(self._own)

    def tell(self, level: str, text: str, hint: str) -> None:
        """Show a message in the window that is open."""
        if self.window is not None:
            self.window.application.message.emit(level, text, hint)

    def close(self) -> None:
        """End the threads of the project that is open."""
        if self.window is not None:
            self.window.application.close()

    def _open_later(self, path: str) -> None:
        message, hint = refusal(Path(path))
        if message and Home(Path(path)) not in self._shipped():
            self.tell("error", message, hint)
            return
        # The wish comes out of a menu of the window that is about to go.
        QTimer.singleShot(0, self, lambda: self.open(Home(Path(path))))

    def _leave(self, window: MainWindow) -> bool:
        if not window.leave_project():
            return False
        window.deleteLater()
        window.application.deleteLater()
        return True


def _fill_small_screen(window: MainWindow) -> None:
    """A window that its frame would push over the edge of the screen fills it."""
    room = window.screen().availableSize()
    if window.width() >= room.width() or window.height() >= room.height():
        window.setWindowState(Qt.WindowState.WindowMaximized)
