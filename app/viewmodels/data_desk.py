"""Questions to a process that looks at data, answered in order; nothing here waits.

The process is started by the first question and ended when nobody has asked for a while, or when what it does
is cancelled; the next question starts it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels.line_process import LineProcess
from core.engine import data_process
from core.errors import UserError
from core.store.home import Home

IDLE_MS = 120_000
"""After the last answer, before the process is ended; starting it takes seconds."""

Done = Callable[[Any], None]
Failed = Callable[[UserError], None]


@dataclass(frozen=True)
class _Owed:
    done: Done
    failed: Failed


class DataDesk(QObject):
    """One process and the questions that it owes an answer to.

    Args:
        kind: which process, see `core.engine.data_process`.
        home: where everything lies.
    """

    progress = Signal(int, int)  # of the oldest question: done, of how many (0: not known)
    busyChanged = Signal()

    def __init__(self, kind: data_process.Kind, home: Home, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process = LineProcess(data_process.command(kind, home), self)
        self._process.said.connect(self._heard)
        self._process.ended.connect(self._ended)
        self._owed: dict[int, _Owed] = {}
        self._number = 0
        self._idle = QTimer(self, singleShot=True, interval=IDLE_MS)
        self._idle.timeout.connect(self.cancel)

    @property
    def busy(self) -> bool:
        """An answer is owed."""
        return bool(self._owed)

    def ask(self, act: str, what: Mapping[str, Any], done: Done, failed: Failed) -> None:
        """Ask; one of the two is called with the answer, unless it is cancelled before."""
        self._idle.stop()
        self._number += 1
        self._owed[self._number] = _Owed(done, failed)
        self._process.ask(data_process.question(self._number, act, what))
        if len(self._owed) == 1:
            self.busyChanged.emit()

    def cancel(self) -> None:
        """Forget what was asked and end the process, whatever it does."""
        was_busy, self._owed = self.busy, {}
        self._process.stop()
        if was_busy:
            self.busyChanged.emit()

    def close(self) -> None:
        """The window closes: end the process and wait until it is gone."""
        self._idle.stop()
        self._process.close()
        self.cancel()

    def _heard(self, line: str) -> None:
        self._take(data_process.read(line))

    def _take(self, said: data_process.Report | data_process.Answer | None) -> None:
        if isinstance(said, data_process.Report):
            if said.number in self._owed:
                self.progress.emit(said.done, said.of)
        elif said is not None and said.number in self._owed:
            owed = self._owed.pop(said.number)
            if said.error is None:
                owed.done(said.record)
            else:
                owed.failed(said.error)
            if not self._owed:
                self._idle.start()
                self.busyChanged.emit()

    def _ended(self) -> None:
        """The process ended by itself: with an answer owed, that is a failure."""
        owed, self._owed = self._owed, {}
        if owed:
            self.busyChanged.emit()
        for it in owed.values():
            it.failed(
                UserError(
                    f"{data_process.FAILED}: the process that reads them ended.", "Try again."
                )
            )
