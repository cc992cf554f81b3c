"""Composition root: the window or the command line (`python -m app`, `python -m app run RECIPE`, …).

Every import that costs is inside the function that needs it: listing runs must not wait for Qt, nor the
window for the command line, nor either for torch.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from core.errors import UserError
from core.store.home import Home

if TYPE_CHECKING:
    from core.events import Event, RunStatus

logger = logging.getLogger(__name__)

ISSUE_HINT = "Rekindle goes on; the program's log has the details. Please report it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run Rekindle; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given and has_display():
        try:
            return gui(in_process=False)
        except UserError as error:
            sys.stderr.write(f"{error.message}\n{error.hint}\n")
            return 2
    from app import cli

    return cli.main(cli.build(execute, gui, has_display), given)


def has_display() -> bool:
    """Whether a window can be opened: Linux needs X11 or Wayland, or a platform named on purpose."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def execute(uid: str, home: Home, on_event: Callable[[Event], None]) -> RunStatus:
    """Run a queued run in this process. The one place from which torch gets in."""
    from core.engine.spawn import THREADING

    for name, value in THREADING.items():
        os.environ.setdefault(name, value)
    from core.engine import worker

    return worker.execute(uid, home, on_event=on_event)


def gui(in_process: bool) -> int:
    """Open the window and return when it is closed."""
    from PySide6.QtWidgets import QApplication

    from app.collector import Collector
    from app.qt_guard import refuse_leaking_qt
    from app.session import Session
    from app.settings import Settings
    from app.widgets.theme import Theme

    refuse_leaking_qt()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    qt = QApplication(sys.argv[:1])
    qt.setApplicationName("rekindle")
    qt.setApplicationDisplayName("Rekindle")
    qt.setDesktopFileName("rekindle")
    home = Home.default()
    settings = Settings.load(home.settings)
    session = Session(
        Theme(qt, settings.theme), settings, home, in_process=execute if in_process else None
    )
    logging.getLogger().addHandler(session.log)
    _report_defects(lambda text: session.tell("error", text, ISSUE_HINT))
    session.open(home)
    collector = Collector()
    try:
        return qt.exec()
    finally:
        session.close()
        collector.stop()


def _report_defects(tell: Callable[[str], None]) -> None:
    """An error nobody expected, in a slot or in a thread: into the log, and to the person."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        logger.critical("unexpected error", exc_info=(kind, error, trace))
        tell(f"Something went wrong inside Rekindle: {kind.__name__}: {error}")

    sys.excepthook = hook
    threading.excepthook = lambda it: hook(
        it.exc_type, it.exc_value or it.exc_type(), it.exc_traceback
    )


if __name__ == "__main__":
    sys.exit(main())
