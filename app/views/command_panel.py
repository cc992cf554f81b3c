"""The same run from the command line, and the way to a file where the command needs one."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from app.widgets.controls import Button, label
from app.widgets.theme import Theme

UNSAVED = (
    "The recipe as it stands is in no file, or differs from its file by more than single settings. "
    "Save it, and this is the command that runs it."
)
EXACT = "This command runs the recipe exactly as it stands here."


class CommandPanel(QWidget):
    """A command that can be copied. `save_wanted` asks for the file dialog."""

    save_wanted = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setFont(theme.mono())
        self.text.setAccessibleName("The same run from the command line")
        self.text.setProperty("flat", True)
        self.text.setFrameShape(QFrame.Shape.NoFrame)
        self.text.setTabChangesFocus(True)
        self.said = label("", "caption", wrap=True)
        self.save = Button(theme, "Save recipe…", "", "floppy-disk")
        self.save.setToolTip("Save the recipe in a file (Ctrl+S)")
        self.save.clicked.connect(self.save_wanted)
        foot = QHBoxLayout()
        foot.addWidget(self.said, 1)
        foot.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.text, 1)
        column.addLayout(foot)

    def show_command(self, command: str, *, exact: bool) -> None:
        """Show the command, and whether it needs the recipe saved first."""
        if self.text.toPlainText() != command:
            self.text.setPlainText(command)
        self.said.setText(EXACT if exact else UNSAVED)
