"""Questions to a process that looks at data, answered in order; nothing here waits.

The process is started by the first question and ended when nobody has asked for a while, or when what it does
is cancelled; the next question starts it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.viewmodels.data_pace import DataPace
from app.viewmodels.line_process import LineProcess
from core.engine import data_process
from core.errors import UserError
from core.store.home import Home

IDLE_MS = 120_000
"""After the last answer, before the process is ended; starting it takes seconds."""
PATIENCE_MS = 300
"""An answer that nobody wants any more may still take so long, before the process is ended: starting one takes longer."""

Done = Callable[[Any], None]
Failed = Callable[[UserError], None]


@dataclass(frozen=True)
class _Owed:
    line: str
    done: Done
    failed: Failed


class DataDesk(QObject):
    """One process and the questions that it owes an answer to.

    Args:
        kind: which process, see `core.engine.data_process`.
        home: where everything lies.
    """

    progress = Signal(int, str)  # number of a question, and how far its answer is
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
        self._unwanted: set[int] = set()
        self._pace = DataPace()
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(self._begin_anew)

    @property
    def busy(self) -> bool:
        """An answer is owed."""
        return bool(self._owed)

    def ask(self, act: str, what: Mapping[str, Any], done: Done, failed: Failed) -> int:
        """Ask; one of the two is called with the answer, unless it is withdrawn before. The question's number."""
        self._idle.stop()
        self._number += 1
        number = self._number
        line = data_process.question(number, act, what)
        self._owed[number] = _Owed(line, done, failed)
        self._process.ask(line)
        if len(self._owed) == 1:
            self.busyChanged.emit()
        return number

    def withdraw(self, *numbers: int) -> None:
        """Nobody wants these answers any more; what takes long is not waited for."""
        was_busy = self.busy
        gone = [it for it in numbers if self._owed.pop(it, None) is not None]
        if not gone:
            return
        self._unwanted.update(gone)
        if not self._patience.isActive():
            self._patience.start()
        if was_busy and not self.busy:
            self._idle.start()
            self.busyChanged.emit()

    def cancel(self) -> None:
        """Forget what was asked and end the process, whatever it does."""
        was_busy, self._owed = self.busy, {}
        self._unwanted.clear()
        self._patience.stop()
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
                self.progress.emit(said.number, self._pace.told(said))
        elif said is not None and said.number in self._unwanted:
            self._unwanted.remove(said.number)
        elif said is not None and said.number in self._owed:
            owed = self._owed.pop(said.number)
            if said.error is None:
                owed.done(said.record)
            else:
                owed.failed(said.error)
            if not self._owed:
                self._idle.start()
                self.busyChanged.emit()

    def _begin_anew(self) -> None:
        """The process still works at what nobody wants: end it, and ask the rest of another one."""
        if self._unwanted:
            self._unwanted.clear()
            self._process.stop()
            for it in self._owed.values():
                self._process.ask(it.line)

    def _ended(self) -> None:
        """The process ended by itself: with an answer owed, that is a failure."""
        owed, self._owed = self._owed, {}
        self._unwanted.clear()
        if owed:
            self.busyChanged.emit()
        for it in owed.values():
            it.failed(
                UserError(
                    f"{data_process.FAILED}: the process that reads them ended.", "Try again."
                )
            )
