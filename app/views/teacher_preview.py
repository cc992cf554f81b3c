"""What the teacher is shown, beside the form: the turns as plain text, tinted by where each piece comes from."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QGuiApplication,
    QHideEvent,
    QShowEvent,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QSplitter,
    QStackedWidget,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.preview import PreviewViewModel
from app.viewmodels.prompt_tokens import PromptTokens
from app.viewmodels.teacher_prompt import Turn
from app.widgets.completions import reading_pane
from app.widgets.controls import Button, Segments, label
from app.widgets.messages import Empty
from app.widgets.theme import Theme

WHOSE = (("teacher", "Teacher"), ("student", "Student"), ("both", "Both"))
TURN_GAP = "\n\n"


class TeacherPreview(QWidget):
    """Paints the preview of the selected stage; `edit_wanted` asks for the template's field."""

    edit_wanted = Signal()

    def __init__(self, model: PreviewViewModel, tokens: PromptTokens, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self._tokens = tokens
        self._theme = theme
        self.item = label("", "caption", wrap=True)
        self.edit = Button(theme, "Edit the template", "quiet", "pencil-simple")
        self.edit.clicked.connect(self.edit_wanted)
        self.who = Segments(theme, "Whose prompt", WHOSE)
        self.who.chosen.connect(lambda _: self.refresh())
        self.back = Button(theme, "", "quiet", "caret-left")
        self.forth = Button(theme, "", "quiet", "caret-right")
        head = QHBoxLayout()
        head.setSpacing(4)
        for button, words, delta in (
            (self.back, "Previous item", -1),
            (self.forth, "Next item", 1),
        ):
            button.setAccessibleName(words)
            button.setToolTip(words)
            button.clicked.connect(lambda _=False, delta=delta: model.turn(delta))
            head.addWidget(button)
        head.addWidget(self.who)
        head.addStretch(1)
        head.addWidget(self.edit)
        self.problem = label("", "problem", wrap=True)
        self.turns = reading_pane(theme, "What the teacher is shown")
        self.student = reading_pane(theme, "What the student is shown")
        self.panes = QSplitter(Qt.Orientation.Vertical)
        self.panes.setChildrenCollapsible(False)
        self.panes.addWidget(self.turns)
        self.panes.addWidget(self.student)
        self.answer = label("", "caption", wrap=True)
        self.budget = label("", "caption", wrap=True)
        self.counts = label("", "caption", wrap=True)
        self.warning = label("", "warning", wrap=True)
        for text in (self.counts, self.warning):
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        filled = QWidget()
        column = QVBoxLayout(filled)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self.item)
        texts = (self.answer, self.budget, self.counts, self.warning)
        for widget in (self.problem, self.panes, *texts):
            column.addWidget(widget, 1 if widget is self.panes else 0)
        self.empty = Empty(theme, "chat-text", "", "", small=True)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(filled)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self._stack)
        theme.changed.connect(self.refresh)
        tokens.changed.connect(self._show_tokens)
        self.refresh()

    def refresh(self) -> None:
        """Show the prompt as it is now."""
        prompt = self._model.prompt
        self._stack.setCurrentIndex(1 if prompt.turns else 0)
        self.empty.set(*prompt.why_not)
        self.item.setText(f"{prompt.item}; the demonstration is tinted.")
        self.back.setEnabled(self._model.number > 0)
        self.forth.setEnabled(self._model.can_go_on)
        self.turns.setVisible(self.who.current() != "student")
        self.student.setVisible(self.who.current() != "teacher")
        self.problem.setText(f"The template: {prompt.problem}.")
        self.problem.setVisible(bool(prompt.problem))
        self.answer.setText(prompt.answer)
        self.budget.setText(" ".join(prompt.budget))
        self._show_tokens()
        self._write(self.turns, prompt.turns)
        self._write(self.student, prompt.student)

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody looks: tokens are counted."""
        super().showEvent(event)
        self._tokens.watch(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks."""
        super().hideEvent(event)
        self._tokens.watch(False)

    def _show_tokens(self) -> None:
        self.counts.setText(self._tokens.told)
        self.counts.setVisible(bool(self._tokens.told))
        self.warning.setText("\n".join(self._tokens.warnings))
        self.warning.setVisible(bool(self._tokens.warnings))

    def copy(self) -> None:
        """Put the turns on the clipboard."""
        QGuiApplication.clipboard().setText(self._model.prompt.text)

    def _write(self, pane: QTextEdit, turns: Sequence[Turn]) -> None:
        tokens = self._theme.tokens
        bar = pane.verticalScrollBar()
        at = bar.value()
        pane.clear()
        cursor = QTextCursor(pane.document())
        speaker, plain, shown = QTextCharFormat(), QTextCharFormat(), QTextCharFormat()
        speaker.setForeground(QColor(tokens.third))
        speaker.setFontWeight(QFont.Weight.DemiBold)
        plain.setForeground(QColor(tokens.ink))
        shown.setForeground(QColor(tokens.ink))
        shown.setBackground(QColor(tokens.accent_background))
        cursor.beginEditBlock()
        for place, turn in enumerate(turns):
            cursor.insertText(f"{TURN_GAP if place else ''}{turn.role}\n", speaker)
            for part, text in turn.parts:
                cursor.insertText(text, shown if part == "demonstration" else plain)
        cursor.endEditBlock()
        bar.setValue(at)
