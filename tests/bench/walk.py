"""What does a walk: a window on a full home, whose event loop is measured act by act. See `window_walk`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.dialogs import Dialogs
from app.views.main_window import MainWindow
from app.widgets.theme import Theme
from core.store.home import Home
from tests.bench.turns import Act, Turns

LOOK_MS = 25
QUIET_SECONDS = 0.2
LEAST_SECONDS = 0.2
MOST_SECONDS = 1.2
PATIENCE_SECONDS = 90.0


class Answers(Dialogs):
    """Agrees to everything; two new tags."""

    def leave(self, parent: QWidget, running: int) -> str:
        return "keep"

    def ask_tags(self, parent: QWidget, title: str, shares: Any) -> Any:
        return ("walked", "seen"), ()

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        return True


@dataclass(frozen=True)
class Step:
    """One thing a person does; it has had its effects when `ready`, and the loop is quiet."""

    name: str
    do: Callable[[], object]
    ready: Callable[[], bool] = lambda: True


class Walk:
    """Does the steps one after another on the event loop."""

    def __init__(self, home: Home, files: Sequence[Path]) -> None:
        self.qt = QApplication.instance() or QApplication([])
        self.home = home
        self.files = files
        self.settings = Settings.load(home.settings)
        self.theme = Theme(self.qt, "light")  # type: ignore[arg-type]
        self.turns = Turns()
        self.acts: list[Act] = []
        self.failed = False
        self._steps: Iterator[Step] = iter(())
        self._step: Step | None = None
        self._begun = 0.0
        self._timer = QTimer(interval=LOOK_MS)
        self._timer.timeout.connect(self._look)

    def open(self) -> None:
        """Make and show the window."""
        self.application = Application(self.home, self.settings)
        self.window = MainWindow(self.application, self.settings, self.theme, Answers())
        self.window.show()

    def go(self, steps: Iterator[Step]) -> None:
        """Do them all; returns when they are done."""
        self._steps = steps
        QTimer.singleShot(0, self._next)
        self._timer.start()
        self.qt.exec()
        if self.failed:
            raise RuntimeError("a step failed")

    def fail(self, *error: Any) -> None:
        """An error in a step ends the walk."""
        sys.__excepthook__(*error)
        self.failed = True
        self._timer.stop()
        self.qt.exit(1)

    def _next(self) -> None:
        self._step = next(self._steps, None)
        if self._step is None:
            self._timer.stop()
            self.qt.exit(0)  # `quit` would close the window first
            return
        self._begun = time.perf_counter()
        QTimer.singleShot(0, self._do)

    def _do(self) -> None:
        assert self._step is not None
        self.acts.append(self.turns.begin(self._step.name))
        self.turns.quiet_since = time.perf_counter()
        self._step.do()

    def _look(self) -> None:
        now = time.perf_counter()
        gone = now - self._begun
        if self._step is None or gone < LEAST_SECONDS:
            return
        ready = self._step.ready()
        if gone > PATIENCE_SECONDS:
            sys.stderr.write(f"{self._step.name}: not ready after {PATIENCE_SECONDS:g} s\n")
            ready = True
        quiet = now - max(self.turns.quiet_since, self._begun) > QUIET_SECONDS
        if ready and (quiet or gone > MOST_SECONDS):
            self._step = None
            self._next()

    # what a person does

    def key(self, key: Qt.Key, *, ctrl: bool = False) -> None:
        """Press a key where the focus is."""
        to = QApplication.focusWidget() or self.window
        modifier = Qt.KeyboardModifier.ControlModifier if ctrl else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(to, key, modifier)

    def close_popup(self) -> None:
        """Close the menu or list that is open."""
        popup = QApplication.activePopupWidget()
        if popup is not None:
            popup.close()

    def runs(self, status: str) -> list[str]:
        """Ids of runs, newest first."""
        order, entries = self.application.runs.contents()
        return [uid for uid in order if entries[uid].row.status == status]
