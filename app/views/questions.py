"""The small windows in which the window asks: one frame for all, with a heading, words, and answers at the right.

Not the words themselves: those are in `app.views.dialogs` and where it is called.
"""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.widgets.controls import label

WIDTH = 440
PADDING = 20
ABOVE_ANSWERS = 12
NOTES_HEIGHT = 140


class Question(QDialog):
    """A heading, what would happen, a place for fields, and the answers.

    `given` is the key of the answer that was pressed, or "" where the person left by Esc.
    """

    def __init__(self, parent: QWidget, title: str, text: str = "") -> None:
        super().__init__(parent)
        self.given = ""
        self.setWindowTitle(title)
        column = QVBoxLayout(self)
        column.setContentsMargins(PADDING, PADDING, PADDING, PADDING)
        column.setSpacing(8)
        self.heading = label(title, "title", wrap=True)
        self.words = label(text, "explanation", wrap=True)
        self.words.setVisible(bool(text))
        self.body = QVBoxLayout()
        self.body.setSpacing(8)
        self._answers = QHBoxLayout()
        self._answers.setContentsMargins(0, ABOVE_ANSWERS, 0, 0)
        self._answers.setSpacing(8)
        self._answers.addStretch(1)
        column.addWidget(self.heading)
        column.addWidget(self.words)
        column.addLayout(self.body, 1)
        column.addLayout(self._answers)

    def add_answer(
        self, words: str, key: str = "", kind: str = "", *, default: bool = False
    ) -> QPushButton:
        """A button, to the right of those before it; without a key it is the way out.

        Args:
            words: on the button.
            key: what `given` becomes.
            kind: its look, as the style sheet names it.
            default: Enter presses it, and it has the focus.
        """
        button = QPushButton(words)
        button.setProperty("kind", kind)
        button.setAutoDefault(default)
        button.setDefault(default)
        button.clicked.connect(lambda: self._give(key))
        self._answers.addWidget(button)
        if default:
            button.setFocus()
        # Wide enough for the answers side by side, whatever they say.
        least = self._answers.sizeHint().width() + 2 * PADDING
        self.setMinimumWidth(max(WIDTH, least))
        return button

    def _give(self, key: str) -> None:
        self.given = key
        if key:
            self.accept()
        else:
            self.reject()


class LineQuestion(Question):
    """Asks for a line of text, which may not be empty."""

    def __init__(self, parent: QWidget, title: str, name: str, text: str) -> None:
        super().__init__(parent, title)
        self.field = QLineEdit(text)
        self.field.setAccessibleName(name)
        caption = label(name, "caption")
        caption.setBuddy(self.field)
        self.body.addWidget(caption)
        self.body.addWidget(self.field)
        self.add_answer("Cancel")
        self._save = self.add_answer("Save", "save", "primary", default=True)
        self.field.textChanged.connect(self._check)
        self._check(text)
        self.field.selectAll()
        self.field.setFocus()

    def _check(self, text: str) -> None:
        self._save.setEnabled(bool(text.strip()))


class NotesQuestion(Question):
    """Asks for several lines, which may be empty; Ctrl+Enter saves them."""

    def __init__(self, parent: QWidget, title: str, name: str, text: str) -> None:
        super().__init__(parent, title)
        self.field = QPlainTextEdit(text)
        self.field.setAccessibleName(name)
        self.field.setMinimumHeight(NOTES_HEIGHT)
        self.field.setTabChangesFocus(True)
        caption = label(name, "caption")
        caption.setBuddy(self.field)
        self.body.addWidget(caption)
        self.body.addWidget(self.field, 1)
        self.add_answer("Cancel")
        self.add_answer("Save", "save", "primary", default=True).setToolTip("Save (Ctrl+Enter)")
        self.field.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter belongs to the text; with Ctrl it saves."""
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if control and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._give("save")
        else:
            super().keyPressEvent(event)
