"""What the teacher is shown, beside the form: the turns as plain text, tinted by where each piece comes from."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.viewmodels.preview import PreviewViewModel
from app.widgets.completions import reading_pane
from app.widgets.controls import Button, label
from app.widgets.messages import Empty
from app.widgets.theme import Theme

TURN_GAP = "\n\n"


class TeacherPreview(QWidget):
    """Paints the preview of the selected stage; `edit_wanted` asks for the template's field."""

    edit_wanted = Signal()

    def __init__(self, model: PreviewViewModel, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self._theme = theme
        self.item = label("", "caption", wrap=True)
        self.edit = Button(theme, "Edit the template", "quiet", "pencil-simple")
        self.edit.clicked.connect(self.edit_wanted)
        head = QHBoxLayout()
        head.addWidget(self.item, 1)
        head.addWidget(self.edit, 0, Qt.AlignmentFlag.AlignTop)
        self.problem = label("", "problem", wrap=True)
        self.turns = reading_pane(theme, "What the teacher is shown")
        self.answer = label("", "caption", wrap=True)
        self.budget = label("", "caption", wrap=True)
        filled = QWidget()
        column = QVBoxLayout(filled)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(head)
        for widget in (self.problem, self.turns, self.answer, self.budget):
            column.addWidget(widget, 1 if widget is self.turns else 0)
        self.empty = Empty(theme, "chat-text", "", "", small=True)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(filled)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._stack)
        theme.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the prompt as it is now."""
        prompt = self._model.prompt
        self._stack.setCurrentIndex(1 if prompt.turns else 0)
        self.empty.set(*prompt.why_not)
        self.item.setText(f"{prompt.item}; the demonstration is tinted.")
        self.problem.setText(f"The template: {prompt.problem}.")
        self.problem.setVisible(bool(prompt.problem))
        self.answer.setText(prompt.answer)
        self.budget.setText(" ".join(prompt.budget))
        self._write()

    def copy(self) -> None:
        """Put the turns on the clipboard."""
        QGuiApplication.clipboard().setText(self._model.prompt.text)

    def _write(self) -> None:
        tokens = self._theme.tokens
        bar = self.turns.verticalScrollBar()
        at = bar.value()
        self.turns.clear()
        cursor = QTextCursor(self.turns.document())
        speaker, plain, shown = QTextCharFormat(), QTextCharFormat(), QTextCharFormat()
        speaker.setForeground(QColor(tokens.third))
        speaker.setFontWeight(QFont.Weight.DemiBold)
        plain.setForeground(QColor(tokens.ink))
        shown.setForeground(QColor(tokens.ink))
        shown.setBackground(QColor(tokens.accent_background))
        cursor.beginEditBlock()
        for place, turn in enumerate(self._model.prompt.turns):
            cursor.insertText(f"{TURN_GAP if place else ''}{turn.role}\n", speaker)
            for part, text in turn.parts:
                cursor.insertText(text, shown if part == "demonstration" else plain)
        cursor.endEditBlock()
        bar.setValue(at)
