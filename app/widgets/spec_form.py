"""A form made from fields: label, control, and beside it what it means, or what is wrong with it.

The form knows no spec: it shows fields and says `changed(path, value)`; the view model validates and hands
back the same fields with their problems.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.widgets.controls import Button, label, restyle
from app.widgets.editor import Editor, FieldLike
from app.widgets.editors import make_editor
from app.widgets.theme import Theme

LABEL_WIDTH = 132
CONTROL_WIDTH = 172
EDITOR_SHARE, HELP_SHARE = 10, 12
UNSTATED = "not stated"


class _Row:
    """The widgets of one field."""

    def __init__(self, theme: Theme, field: FieldLike) -> None:
        self.field = field
        self.title = label(field.label, wrap=True)
        self.title.setFixedWidth(LABEL_WIDTH)
        self.editor: Editor = make_editor(theme, field)
        self.editor.setMinimumWidth(CONTROL_WIDTH)
        self.note = label("", "caption", wrap=True)
        self.title.setBuddy(self.editor.control())
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
        if field.problem:
            words = f"{field.problem} {field.problem_hint}".strip()
        elif field.idle:
            words = field.idle
        else:
            words = field.help
            if field.paper and field.paper != UNSTATED:
                words = f"{words} Paper: {field.paper}.".strip()
        self.note.setText(words)
        restyle(self.note, "role", "problem" if field.problem else "caption")
        control = self.editor.control()
        control.setAccessibleName(field.label)
        control.setAccessibleDescription(words)

    def show(self, on: bool) -> None:
        """Show or hide the row."""
        for widget in (self.title, self.editor, self.note):
            widget.setVisible(on)


class SpecForm(QScrollArea):
    """Rows of fields under section headings; advanced ones stay folded unless they hold a problem."""

    changed = Signal(str, object)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._rows: dict[str, _Row] = {}
        self._shape: tuple[tuple[str, str, str, bool], ...] = ()
        self._unfolded = False
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._more = Button(theme, "More settings", "quiet", "caret-right")
        self._more.clicked.connect(self._flip)
        self._inner = QWidget()
        self.setWidget(self._inner)
        self._column = QVBoxLayout(self._inner)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(8)
        self._body = QWidget()
        self._column.addWidget(self._body)
        self._column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
        self._column.addStretch(1)
        self._headings: list[tuple[QLabel, list[str]]] = []

    def show_fields(self, fields: Sequence[FieldLike]) -> None:
        """Show these fields: in place when their paths and controls stay, anew otherwise."""
        shape = tuple((item.path, item.kind, item.section, item.multiple) for item in fields)
        if shape == self._shape:
            for item in fields:
                self._rows[item.path].show_field(item)
        else:
            self._shape = shape
            self._build(fields)
        self._fold()

    def editor(self, path: str) -> Editor:
        """The control of a field."""
        return self._rows[path].editor

    def note(self, path: str) -> str:
        """The words beside a field."""
        return self._rows[path].note.text()

    def focus_on(self, path: str) -> None:
        """Bring a field into view and give it the focus; unknown paths do nothing."""
        row = self._rows.get(path)
        if row is None:
            return
        if row.field.advanced and not self._unfolded:
            self._flip()
        self.ensureWidgetVisible(row.editor)
        row.editor.control().setFocus(Qt.FocusReason.OtherFocusReason)

    def _build(self, fields: Sequence[FieldLike]) -> None:
        fresh = QWidget()
        grid = QGridLayout(fresh)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(9)
        grid.setColumnStretch(1, EDITOR_SHARE)
        grid.setColumnStretch(2, HELP_SHARE)
        self._rows = {}
        self._headings = []
        line = 0
        section = ""
        for item in fields:
            if item.section != section:
                section = item.section
                heading = label(section, "heading")
                heading.setContentsMargins(0, 6 if line else 0, 0, 0)
                grid.addWidget(heading, line, 0, 1, 3)
                self._headings.append((heading, []))
                line += 1
            row = _Row(self._theme, item)
            if self._headings and section:
                self._headings[-1][1].append(item.path)
            row.editor.committed.connect(
                lambda value, path=item.path: self.changed.emit(path, value)
            )
            middle, top = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignTop
            if _is_wide(item):
                grid.addWidget(row.title, line, 0, top)
                grid.addWidget(row.editor, line, 1, 1, 2)
                line += 1
                grid.addWidget(row.note, line, 1, 1, 2, top)
            else:
                grid.addWidget(row.title, line, 0, middle)
                grid.addWidget(row.editor, line, 1, middle)
                grid.addWidget(row.note, line, 2, middle)
            self._rows[item.path] = row
            line += 1
        old = self._body
        self._column.replaceWidget(old, fresh)
        old.hide()
        old.deleteLater()
        self._body = fresh
        self.verticalScrollBar().setValue(0)

    def _flip(self) -> None:
        self._unfolded = not self._unfolded
        self._fold()

    def _fold(self) -> None:
        advanced = [row for row in self._rows.values() if row.field.advanced]
        shown = {
            path
            for path, row in self._rows.items()
            if not row.field.advanced or self._unfolded or row.field.problem
        }
        for path, row in self._rows.items():
            row.show(path in shown)
        for heading, paths in self._headings:
            heading.setVisible(any(path in shown for path in paths))
        self._more.setVisible(bool(advanced))
        count = "1 more setting" if len(advanced) == 1 else f"{len(advanced)} more settings"
        words = "Fewer settings" if self._unfolded else count
        self._more.setText(f" {words}")
        self._more.setAccessibleName(words)
        self._more.set_icon("caret-down" if self._unfolded else "caret-right")


def _is_wide(field: FieldLike) -> bool:
    """Whether the control takes the whole width, its words below: texts, and choices with sentences."""
    return field.kind == "prose" or (field.kind == "stage" and field.multiple)
