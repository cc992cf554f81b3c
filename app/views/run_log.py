"""The log of a run: searched, narrowed by level, copied; it follows the end unless one has scrolled up.

Lines are written in slices of a few milliseconds, so that a hundred thousand of them never stop the window.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import (
    QColor,
    QGuiApplication,
    QKeySequence,
    QShortcut,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from app.viewmodels.run import RunViewModel
from app.viewmodels.types import LogLine
from app.widgets.controls import Button, Elided
from app.widgets.theme import Theme
from app.widgets.title_picker import TitlePicker

LOG_BLOCKS = 100_000
SLICE_SECONDS = 0.005
SLICE_LINES = 32
"""Lines written between two looks at the clock."""
NEAR_END = 2
LEVELS = (("all", "all lines"), ("warning", "warnings and errors"), ("error", "errors only"))
SHOWN = {
    "all": frozenset[str](),
    "warning": frozenset({"warning", "error"}),
    "error": frozenset({"error"}),
}
"""Levels by choice; none of them means every level."""


class LogPanel(QWidget):
    """Search, level, copy, and the lines."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._run: RunViewModel | None = None
        self._from: Sequence[
            LogLine
        ] = ()  # the lines that were written; a log read anew is another list
        self._read = 0  # lines of the run that were looked at
        self._written = 0
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._tools())
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setUndoRedoEnabled(False)
        self.text.setMaximumBlockCount(LOG_BLOCKS)
        self.text.setFont(theme.mono())
        self.text.setProperty("flat", True)
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        self.text.setAccessibleName("Log")
        self.text.setTabChangesFocus(True)
        column.addWidget(self.text, 1)
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._slice)
        shortcut = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.activated.connect(self.search.setFocus)
        theme.changed.connect(self.rewrite)

    def _tools(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.search = QLineEdit()
        self.search.setAccessibleName("Search the log")
        self.search.setPlaceholderText("Search (Ctrl+F)")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda _: self.rewrite())
        self.level = TitlePicker("Lines of the log")
        self.level.set_options(LEVELS, "all")
        self.level.chosen.connect(lambda _: self.rewrite())
        self.count = Elided("", "hint")
        self.copy = Button(self._theme, "", "quiet", "copy")
        self.copy.setAccessibleName("Copy the lines that are shown")
        self.copy.setToolTip("Copy the lines that are shown")
        self.copy.clicked.connect(self.copy_all)
        row.addWidget(self.search, 2)
        row.addWidget(self.level)
        row.addWidget(self.count, 1)
        row.addWidget(self.copy)
        return row

    def show_run(self, run: RunViewModel) -> None:
        """Show a run's log."""
        self._run = run
        self.rewrite()

    def refresh(self) -> None:
        """Append the lines that are new."""
        if self._lines() is not self._from or len(self._from) < self._read:
            self.rewrite()
        else:
            self._slice()

    def rewrite(self) -> None:
        """Write all lines that the search and the level leave anew."""
        self._timer.stop()
        self.text.clear()
        self._from = self._lines()
        self._read = max(len(self._from) - LOG_BLOCKS, 0)
        self._written = 0
        self._slice()

    def copy_all(self) -> None:
        """Put the lines that are shown into the clipboard."""
        QGuiApplication.clipboard().setText(self.text.toPlainText())

    def _lines(self) -> Sequence[LogLine]:
        return self._run.log() if self._run is not None else ()

    def _slice(self) -> None:
        """Write for a few milliseconds; the rest follows in the next turns of the event loop."""
        lines = self._lines()
        bar = self.text.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - NEAR_END
        levels, words = SHOWN[self.level.key()], self.search.text().casefold()
        cursor = QTextCursor(self.text.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        end = time.perf_counter() + SLICE_SECONDS
        while self._read < len(lines) and (self._read % SLICE_LINES or time.perf_counter() < end):
            line = lines[self._read]
            if (not levels or line.level in levels) and (
                not words or words in line.text.casefold()
            ):
                self._write(cursor, line)
            self._read += 1
        cursor.endEditBlock()
        if at_end:
            bar.setValue(bar.maximum())
        self.count.set_text(f"{self._written:,} of {len(lines):,}" if levels or words else "")
        if self._read >= len(lines):
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()

    def _write(self, cursor: QTextCursor, line: LogLine) -> None:
        tokens = self._theme.tokens
        style = QTextCharFormat()
        if self._written:
            cursor.insertText("\n")
        style.setForeground(QColor(tokens.third))
        cursor.insertText(f"{line.clock}  ", style)
        hue = {
            "good": tokens.recovered_text,
            "warning": tokens.warning_text,
            "error": tokens.bad_text,
        }.get(line.level, tokens.second)
        style.setForeground(QColor(hue))
        cursor.insertText(line.text, style)
        self._written += 1
