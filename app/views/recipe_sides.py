"""What stands beside the form: the YAML, problems, prompts, needs, the sweep, the check, and the command."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QStackedWidget, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.check_panel import CheckPanel
from app.views.command_panel import CommandPanel
from app.views.dialogs import Dialogs
from app.views.estimate_panel import EstimatePanel
from app.views.problems_panel import ProblemsPanel
from app.views.sweep_panel import SweepPanel
from app.views.teacher_preview import TeacherPreview
from app.widgets.controls import Button, Card, Picker, Segments
from app.widgets.theme import Theme

TYPING_MS = 400
SIDES = (
    ("yaml", "YAML"),
    ("problems", "Problems"),
    ("teacher", "Prompts"),
    ("estimate", "Needs"),
    ("sweep", "Sweep"),
    ("check", "Check"),
    ("command", "Command"),
)
VIEW = "new.side"
ROOM_BESIDE = 64
"""Pixels that the card's margins and the button that copies take beside the segments."""
COPIED = ("yaml", "teacher", "command")


class RecipeSides(Card):
    """The panels beside the form; one is shown."""

    save_wanted = Signal()

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__("")
        self._model = model = application.new_run
        self._settings = settings
        self._sweep = application.sweep
        self.heading.hide()
        self.caption.hide()  # the segments need the room
        self.side = Segments(theme, "Beside the form", SIDES)
        self.side.chosen.connect(self._choose)
        self.picker = Picker(
            "Beside the form"
        )  # in the place of the segments, where they do not fit
        self.picker.chosen.connect(self.choose)
        self.picker.hide()
        self._copy = Button(theme, "", "quiet", "copy")
        self._copy.setAccessibleName("Copy")
        self._copy.setToolTip("Copy")
        self._copy.clicked.connect(self.copy)
        room = self._copy.sizePolicy()
        room.setRetainSizeWhenHidden(True)  # the other buttons stay where they are
        self._copy.setSizePolicy(room)
        self.add_tool(self.side)
        self.add_tool(self.picker)
        self._head.addStretch(1)
        self.add_tool(self._copy)
        self.yaml = QPlainTextEdit()
        self.yaml.setFont(theme.mono())
        self.yaml.setAccessibleName("Recipe as YAML")
        self.yaml.setProperty("flat", True)
        self.yaml.setFrameShape(QFrame.Shape.NoFrame)
        self.yaml.setTabChangesFocus(True)
        self.yaml.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self._typed)
        self.yaml.textChanged.connect(lambda: self._typing.start())
        self.problems = ProblemsPanel(theme)
        self.teacher = TeacherPreview(model.preview, application.prompt_tokens, theme)
        self.needs = EstimatePanel(application.estimates, theme)
        self.sweep = SweepPanel(application.sweep, theme, dialogs)
        self.check = CheckPanel(application.check, theme)
        self.command = CommandPanel(theme)
        self.command.save_wanted.connect(self.save_wanted)
        self._panels: dict[str, QWidget] = {
            "yaml": self.yaml,
            "problems": self.problems,
            "teacher": self.teacher,
            "estimate": self.needs,
            "sweep": self.sweep,
            "check": self.check,
            "command": self.command,
        }
        self.stack = QStackedWidget()
        for panel in self._panels.values():
            self.stack.addWidget(panel)
        self.body.addWidget(self.stack)
        kept = settings.views.get(VIEW, "yaml")
        self.side.choose(kept if kept in self._panels else "yaml")
        self._choose(self.side.current())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """One picker stands for the segments where they do not fit."""
        super().resizeEvent(event)
        narrow = self.width() < self.side.sizeHint().width() + ROOM_BESIDE
        self.side.setVisible(not narrow)
        self.picker.setVisible(narrow)

    def show_text(self) -> None:
        """Show the YAML as it is, unless somebody is typing, and the command."""
        text = self._model.text
        if not self._typing.isActive() and self.yaml.toPlainText() != text:
            self._replace(text)
        self._show_command()

    def finish_typing(self) -> None:
        """Take what was typed at once."""
        if self._typing.isActive():
            self._typing.stop()
            self._typed()

    def choose(self, side: str) -> None:
        """Show a panel by its key."""
        self.side.choose(side)

    def go_to(self, side: str) -> None:
        """Show a panel and give the focus to the first thing in it."""
        self.choose(side)
        inside = self._panels[side].findChildren(QWidget)
        reached = (it for it in inside if it.focusPolicy() & Qt.FocusPolicy.TabFocus)
        first = next((it for it in reached if it.isVisible() and it.isEnabled()), None)
        if first is not None:
            first.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def copy(self) -> None:
        """Put what is shown on the clipboard."""
        if self.side.current() == "teacher":
            self.teacher.copy()
            return
        source = self.command.text if self.side.current() == "command" else self.yaml
        QGuiApplication.clipboard().setText(source.toPlainText())

    def _choose(self, side: str) -> None:
        self._settings.views[VIEW] = side
        self.picker.set_options(list(SIDES), side)
        self._copy.setVisible(side in COPIED)
        self._show_command()
        self.stack.setCurrentWidget(self._panels[side])

    def _show_command(self) -> None:
        if self.side.current() == "command":
            command = " ".join((self._model.command(), *self._sweep.quoted()))
            self.command.show_command(command, exact=self._model.command_is_exact)

    def _replace(self, text: str) -> None:
        bar = self.yaml.verticalScrollBar()
        at, place = bar.value(), self.yaml.textCursor().position()
        self.yaml.blockSignals(True)
        self.yaml.setPlainText(text)
        self.yaml.blockSignals(False)
        cursor = self.yaml.textCursor()
        cursor.setPosition(min(place, len(text)))
        self.yaml.setTextCursor(cursor)
        bar.setValue(at)

    def _typed(self) -> None:
        self._model.set_text(self.yaml.toPlainText())
