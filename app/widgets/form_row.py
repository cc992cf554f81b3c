"""One field of a form: its title, its control, and the words beside it, with the ways out of a problem."""

from __future__ import annotations

from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLineEdit, QMenu, QVBoxLayout, QWidget

from app.widgets.controls import Button, label, restyle
from app.widgets.editor import Editor, FieldLike
from app.widgets.editors import ManyEditor, PathEditor, make_editor, written
from app.widgets.theme import Theme

LABEL_WIDTH = 132
CONTROL_WIDTH = 172
UNSTATED = "not stated"


class FormRow(QObject):
    """The widgets of one field, and what its menu asks for."""

    committed = Signal(str, object)  # path, value; None: back to the default
    fix_wanted = Signal(str)
    sweep_wanted = Signal(str)

    def __init__(self, theme: Theme, field: FieldLike) -> None:
        self.editor: Editor = make_editor(theme, field)
        super().__init__(self.editor)
        self.field = field
        self.line = 0  # of the grid it stands in
        self.title = label(field.label, wrap=True)
        self.title.setFixedWidth(LABEL_WIDTH)
        self.editor.setMinimumWidth(CONTROL_WIDTH)
        self.reset = Button(theme, "", "quiet", "arrow-counter-clockwise")
        self.reset.clicked.connect(self._reset)
        self.editor.row.addWidget(self.reset, 0, Qt.AlignmentFlag.AlignTop)
        self.words = QWidget()
        self.note = label("", "caption", wrap=True)
        self.way_out = Button(theme, "Mend", "quiet", "magic-wand")
        self.way_out.clicked.connect(self.mend)
        column = QVBoxLayout(self.words)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.note)
        column.addWidget(self.way_out, 0, Qt.AlignmentFlag.AlignLeft)
        self.editor.committed.connect(lambda value: self.committed.emit(self.field.path, value))
        self.title.setBuddy(self.editor.control())
        for widget in (self.title, self.editor.control()):
            widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            widget.customContextMenuRequested.connect(
                lambda at, widget=widget: self._menu(widget.mapToGlobal(at))
            )
        self._on = True
        self.show_field(field)

    def show_field(self, field: FieldLike) -> None:
        """Show value, help and problem."""
        self.field = field
        self.editor.show_field(field)
        self.editor.set_wrong(bool(field.problem))
        # What was set without effect can still be taken back.
        resting = bool(field.idle) and field.is_default and not field.problem
        restyle(self.title, "resting", resting)
        self.editor.setEnabled(not resting)
        words = _words(field)
        self.note.setText(words)
        restyle(self.note, "role", "problem" if field.problem else "caption")
        self.reset.setVisible(self._on and self._can_reset())
        back = f"Back to the default, {written(field.default)}: {field.label}"
        self.reset.setToolTip(back)
        self.reset.setAccessibleName(back)
        self.way_out.setVisible(self._on and bool(field.fix))
        self.way_out.setText(f" {field.fix}")
        self.way_out.setAccessibleName(f"{field.label}: {field.fix}")
        self.title.setToolTip("\n".join(filter(None, (field.path, field.help, field.facts))))
        control = self.editor.control()
        # Each of several boxes has a name of its own; the field's is that of all of them together.
        (self.editor if isinstance(self.editor, ManyEditor) else control).setAccessibleName(
            field.label
        )
        control.setAccessibleDescription(words)

    def mend(self) -> None:
        """Take the way out of the problem: a file is picked here, all else is asked for."""
        self.editor.finish_typing()  # else it would be kept, or taken after the way out
        if isinstance(self.editor, PathEditor):
            self.editor.browse()
        else:
            self.fix_wanted.emit(self.field.path)

    def show(self, on: bool) -> None:
        """Show or hide the row."""
        self._on = on
        for widget in (self.title, self.editor, self.words):
            widget.setVisible(on)
        self.reset.setVisible(on and self._can_reset())
        self.way_out.setVisible(on and bool(self.field.fix))

    def _reset(self) -> None:
        """Back to the default, whatever was just typed."""
        self.editor.finish_typing()
        self.committed.emit(self.field.path, None)

    def _can_reset(self) -> bool:
        return not self.field.is_default and self.field.default not in (None, "", ())

    def _menu(self, at: QPoint) -> None:
        control = self.editor.control()
        menu = QMenu(self.editor)
        if isinstance(control, QLineEdit):
            # The ordinary entries (undo, copy, paste) stay where they are looked for.
            usual = control.createStandardContextMenu()
            usual.setParent(menu)
            menu.addActions(usual.actions())
            menu.addSeparator()
        default = written(self.field.default)
        back = menu.addAction(f"Back to the default, {default}" if default else "Empty")
        back.setEnabled(not self.field.is_default)
        back.triggered.connect(self._reset)
        sweep = menu.addAction("Sweep…")
        sweep.triggered.connect(lambda: self.sweep_wanted.emit(self.field.path))
        copy = menu.addAction("Copy the path")
        copy.triggered.connect(lambda: QGuiApplication.clipboard().setText(self.field.path))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)


def _words(field: FieldLike) -> str:
    """What stands beside the control: the problem, or why it rests, or help, limits and the paper's value."""
    if field.problem:
        return f"{field.problem} {field.problem_hint}".strip()
    if field.idle:
        return field.idle
    paper = f"Paper: {field.paper}." if field.paper and field.paper != UNSTATED else ""
    facts = f"{field.facts[:1].upper()}{field.facts[1:]}." if field.facts else ""
    return " ".join(part for part in (field.help, facts, paper) if part)
