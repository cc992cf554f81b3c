"""The control for a text of several lines."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from app.widgets.controls import Button, restyle
from app.widgets.editor import COMMIT_MS, Editor, FieldLike
from app.widgets.theme import Theme

PROSE_LINES, PROSE_MARGIN = 9, 12


class _Text(QPlainTextEdit):
    """A text that says when the focus leaves it."""

    left = Signal()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Say so."""
        super().focusOutEvent(event)
        self.left.emit()


class ProseEditor(Editor):
    """Text of several lines; a button takes it back to the default."""

    def __init__(self, theme: Theme, field: FieldLike) -> None:
        super().__init__()
        column = QVBoxLayout()
        column.setSpacing(4)
        self.row.addLayout(column, 1)
        self.text = _Text()
        self.text.setTabChangesFocus(True)
        lines = self.text.fontMetrics().lineSpacing()
        self.text.setFixedHeight(PROSE_LINES * lines + PROSE_MARGIN)
        self.reset = Button(theme, "Back to the default", "quiet", "arrow-counter-clockwise")
        self.reset.setAccessibleName(f"{field.label}: back to the default")
        self.reset.clicked.connect(self._reset)
        column.addWidget(self.text)
        column.addWidget(self.reset, 0, Qt.AlignmentFlag.AlignLeft)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(COMMIT_MS)
        self._timer.timeout.connect(self._commit)
        self.text.textChanged.connect(self._timer.start)
        self.text.left.connect(self.finish_typing)

    def show_field(self, field: FieldLike) -> None:
        """Show the text; what is being typed stays."""
        self.reset.setVisible(not field.is_default)
        shown = str(field.value or "")
        if self._timer.isActive() or shown == self.text.toPlainText():
            return
        self.text.blockSignals(True)
        self.text.setPlainText(shown)
        self.text.blockSignals(False)

    def set_wrong(self, wrong: bool) -> None:
        """Red border."""
        restyle(self.text, "wrong", wrong)

    def control(self) -> QWidget:
        """The text."""
        return self.text

    def finish_typing(self) -> None:
        """Take what was typed at once."""
        if self._timer.isActive():
            self._timer.stop()
            self._commit()

    def _commit(self) -> None:
        self.committed.emit(self.text.toPlainText())

    def _reset(self) -> None:
        self._timer.stop()
        self.committed.emit(None)
