"""A process of the engine that is asked and answers in lines; nothing here waits, but for the window's end."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, Signal

from core.engine import spawn

END_MS = 1000
"""Longest wait for the process to be gone when the window closes."""


class LineProcess(QObject):
    """Started by the first question, ended by `stop`; the next question starts it again.

    Args:
        command: program and arguments.
    """

    said = Signal(str)
    """A line of its answer."""
    ended = Signal()
    """It ended by itself, or could not be started."""

    def __init__(self, command: Sequence[str], parent: QObject) -> None:
        super().__init__(parent)
        self._command = tuple(command)
        self._process: QProcess | None = None
        self._rest = b""

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None

    def ask(self, question: str) -> None:
        """Write a question, starting the process where there is none."""
        if self._process is None:
            self._process = self._made()
            program, *arguments = self._command
            self._process.start(program, arguments)
        if self._process is not None:  # where it cannot be started, `ended` has come already
            self._process.write(question.encode())

    def stop(self) -> QProcess | None:
        """End the process, whatever it does, without a word; it, while it is still leaving."""
        process, self._process, self._rest = self._process, None, b""
        if process is not None:
            process.readyReadStandardOutput.disconnect(self._read)
            process.finished.disconnect(self._finished)
            process.errorOccurred.disconnect(self._failed)
            process.finished.connect(process.deleteLater)
            process.kill()
        return process

    def close(self) -> None:
        """The window closes: end the process and wait until it is gone."""
        process = self.stop()
        if process is not None:
            process.waitForFinished(END_MS)

    def _made(self) -> QProcess:
        process = QProcess(self)
        environment = QProcessEnvironment()
        for name, value in spawn.environment().items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.setStandardErrorFile(QProcess.nullDevice())
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._finished)
        process.errorOccurred.connect(self._failed)
        return process

    def _read(self) -> None:
        if self._process is None:
            return
        self._rest += self._process.readAllStandardOutput().data()
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self.said.emit(line.decode("utf-8", "replace"))

    def _finished(self) -> None:
        process, self._process, self._rest = self._process, None, b""
        if process is not None:
            process.deleteLater()
            self.ended.emit()

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # else `finished` comes as well
            self._finished()
