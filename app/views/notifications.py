"""Messages of the desktop when a run ends while nobody looks, and progress in the taskbar.

Messages go through Qt's tray icon, which speaks to the desktop on all three systems; the icon is shown only
for as long as a message needs it. Progress on Linux is Unity's LauncherEntry over D-Bus (GNOME's dock, KDE,
Unity); Qt 6 has no such call for Windows and macOS, where the number of running runs is shown as a badge.
Nothing here may fail where there is no tray and no D-Bus.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QIcon
from PySide6.QtWidgets import QSystemTrayIcon

from app.settings import Settings
from app.viewmodels.endings import BAD, told

logger = logging.getLogger(__name__)

SHOWN_MS = 10_000
ICON_KEPT_MS = 15_000
"""The tray icon goes some time after its message: without an icon the desktop drops the message."""
DESKTOP_FILE = "rekindle.desktop"
LAUNCHER = ("/com/rekindle/Launcher", "com.canonical.Unity.LauncherEntry", "Update")
PER_CENT = 100


class Desk:
    """The desktop as this module uses it; tests give another."""

    def __init__(self, icon: QIcon, parent: QObject) -> None:
        self._tray = QSystemTrayIcon(icon, parent)
        self.clicked = self._tray.messageClicked

    def can_tell(self) -> bool:
        """Whether there is a tray that shows messages."""
        return QSystemTrayIcon.isSystemTrayAvailable() and QSystemTrayIcon.supportsMessages()

    def tell(self, title: str, text: str, bad: bool) -> None:
        """Show a message."""
        kinds = QSystemTrayIcon.MessageIcon
        self._tray.show()
        self._tray.showMessage(title, text, kinds.Warning if bad else kinds.Information, SHOWN_MS)

    def rest(self) -> None:
        """Take the icon away."""
        self._tray.hide()

    def is_active(self) -> bool:
        """Whether one of our windows has the person's attention."""
        return QGuiApplication.focusWindow() is not None

    def progress(self, share: float | None, running: int) -> None:
        """Progress of the first run in the taskbar; None for none."""
        if sys.platform.startswith("linux"):
            _tell_launcher(share)
        else:
            _badge(running)


class Notifications(QObject):
    """Tells of runs that end, unless switched off or somebody looks at that run.

    Args:
        settings: `notifications` switches them off.
        desk: the desktop.
        shown: the run on the page that is shown, "" for none.
    """

    opened = Signal(str)  # uid: the message was clicked
    untold = Signal(str, str, str)  # uid, status, title: the desktop shows no messages

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        parent: QObject | None = None,
        *,
        shown: Callable[[], str] = str,
    ) -> None:
        super().__init__(parent)
        self._settings = settings
        self._desk = desk
        self._shown_run = shown
        self._uid = ""
        self._shown: tuple[int | None, int] = (None, 0)
        self._rest = QTimer(self, interval=ICON_KEPT_MS)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(desk.rest)
        desk.clicked.connect(self._open)

    def ended(self, uid: str, name: str, status: str) -> None:
        """A run has ended."""
        title, text = told(name, status)
        if not title or not self._settings.notifications:
            return
        if self._desk.is_active() and self._shown_run() == uid:
            return
        if not self._desk.can_tell():
            logger.info("%s (this desktop shows no messages)", title)
            self.untold.emit(uid, status, title)
            return
        self._uid = uid
        self._desk.tell(title, text, status in BAD)
        self._rest.start()

    def progressed(self, share: float | None, running: int) -> None:
        """How far the first running run is; told to the desktop once a per cent."""
        rounded = None if share is None else int(PER_CENT * share)
        if (rounded, running) != self._shown:
            self._shown = rounded, running
            self._desk.progress(None if rounded is None else rounded / PER_CENT, running)

    def close(self) -> None:
        """Take icon and progress away."""
        self._rest.stop()
        self._desk.rest()
        self.progressed(None, 0)

    def _open(self) -> None:
        if self._uid:
            self.opened.emit(self._uid)


def _badge(number: int) -> None:
    """Put a number on the program's icon in the dock or taskbar; 0 takes it away."""
    program = QGuiApplication.instance()
    if isinstance(program, QGuiApplication):
        program.setBadgeNumber(number)


def _tell_launcher(share: float | None) -> None:
    """Send the signal that docks listen to; without a session bus nothing is sent."""
    dbus: Any = importlib.import_module("PySide6.QtDBus")
    bus = dbus.QDBusConnection.sessionBus()
    if not bus.isConnected():
        return
    message = dbus.QDBusMessage.createSignal(*LAUNCHER)
    message.setArguments(
        [
            f"application://{DESKTOP_FILE}",
            {"progress": share or 0.0, "progress-visible": share is not None},
        ]
    )
    bus.send(message)
