"""What the window says above its pages: messages, an offer to copy diagnostics, and a database that is shut."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QGuiApplication

from app.viewmodels.application import Application
from app.viewmodels.fault_report import fault_report
from app.views import run_notices
from app.widgets.messages import Notice

DIAGNOSE = "Copy diagnostics"
AGAIN = "Try again"
OPEN = "Open the run"


class Telling:
    """Feeds the notice of a window.

    Args:
        notice: where it is said.
        application: says it.
        log: the last lines of the program's log, for diagnostics.
        open_run: shows a run.
    """

    def __init__(
        self,
        notice: Notice,
        application: Application,
        log: Callable[[], str],
        open_run: Callable[[str], None],
    ) -> None:
        self._notice = notice
        self._application = application
        self._log = log
        self._open_run = open_run
        self._fault = ("", "")
        application.message.connect(self.tell)
        application.shut.connect(self.tell_shut)
        run_notices.connect(notice, application)

    def tell(self, level: str, text: str, hint: str) -> None:
        """Say something; of an error diagnostics can be copied."""
        self._notice.tell(level, text, hint)
        if level == "error":
            self._fault = (text, hint)
            self._notice.offer(DIAGNOSE, self._copy_diagnostics)

    def tell_shut(self, text: str, hint: str) -> None:
        """The database cannot be opened: nothing is lost, and it may be a matter of time."""
        self._notice.tell("error", text, hint)
        self._notice.offer(AGAIN, self._open_again)

    def tell_end(self, uid: str, status: str, title: str) -> None:
        """A run is done, and the desktop cannot say it; other ends have messages of their own."""
        if status == "done":
            self._notice.tell("info", title)
            self._notice.offer(OPEN, lambda: self._open_run(uid))

    def _open_again(self) -> None:
        self._notice.hide()
        self._application.open_again()

    def _copy_diagnostics(self) -> None:
        QGuiApplication.clipboard().setText(fault_report(*self._fault, self._log()))
        self._notice.remedy.setText("Copied")
