"""A form made from fields: label, control, and beside it what it means, or what is wrong with it.

The form knows no spec: it shows fields and says `changed(path, value)`; the view model validates and hands
back the same fields with their problems.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.widgets.controls import Button, label
from app.widgets.editor import Editor, FieldLike
from app.widgets.form_row import FormRow
from app.widgets.theme import Theme

EDITOR_SHARE, HELP_SHARE = 10, 12
LINES_OF_ROW = 2
STACKED_BELOW = 450
"""Pixels of width below which words go under their controls."""


class SpecForm(QScrollArea):
    """Rows of fields under section headings; advanced ones stay folded unless they hold a problem."""

    changed = Signal(str, object)
    fix_wanted = Signal(str)
    sweep_wanted = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._rows: dict[str, FormRow] = {}
        self._shape: tuple[tuple[str, str, str, bool], ...] = ()
        self._unfolded = False
        self._filter = ""
        self._stacked = False  # words below their controls: there is no room beside them
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._more = Button(theme, "More settings", "quiet", "caret-right")
        self._more.clicked.connect(self._flip)
        self.nothing = label(
            "No setting of this card is called that. Enter looks for it on the other cards.",
            "hint",
            wrap=True,
        )
        self._inner = QWidget()
        self.setWidget(self._inner)
        self._column = QVBoxLayout(self._inner)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(8)
        self._body = QWidget()
        self._column.addWidget(self._body)
        self._column.addWidget(self._more, 0, Qt.AlignmentFlag.AlignLeft)
        self._column.addWidget(self.nothing)
        self._column.addStretch(1)
        self._headings: list[tuple[QLabel, list[str]]] = []
        self._grid: QGridLayout | None = None

    def show_fields(self, fields: Sequence[FieldLike]) -> None:
        """Show these fields: in place when their paths and controls stay, anew otherwise."""
        shape = tuple((item.path, item.kind, item.section, item.multiple) for item in fields)
        if shape == self._shape:
            for item in fields:
                self._rows[item.path].show_field(item)
            self._fold()
        else:
            self._shape = shape
            held = self._held()
            self._build(fields)
            self._fold()
            self._hold(held)

    def editor(self, path: str) -> Editor:
        """The control of a field."""
        return self._rows[path].editor

    def note(self, path: str) -> str:
        """The words beside a field."""
        return self._rows[path].note.text()

    def has(self, path: str) -> bool:
        """Whether a field is on this form."""
        return path in self._rows

    def row(self, path: str) -> FormRow:
        """The title, control and words of a field."""
        return self._rows[path]

    def set_filter(self, text: str) -> None:
        """Show only fields whose name, path or words hold `text`, advanced ones among them; "" shows as before."""
        self._filter = text.strip().casefold()
        self._fold()

    def finish_typing(self) -> None:
        """Take what was typed at once, before something else is done with what the form is about."""
        for row in tuple(self._rows.values()):
            row.editor.finish_typing()

    def focus_on(self, path: str) -> None:
        """Bring a field into view and give it the focus; unknown paths do nothing."""
        row = self._rows.get(path)
        if row is None:
            return
        if row.field.advanced and not self._unfolded:
            self._flip()
        if not self._is_shown(row):
            self.set_filter("")
        self.ensureWidgetVisible(row.editor)
        control = row.editor.control()
        control.setFocus(Qt.FocusReason.OtherFocusReason)
        if isinstance(control, QLineEdit):
            control.selectAll()  # what is typed now takes the place of what stands there

    def focus_first(self) -> bool:
        """Give the focus to the field that the search means most likely, without one to the first; whether there is one."""
        shown = [row for row in self._rows.values() if self._is_shown(row)]
        # One that rests takes no focus: it has no effect with the other settings.
        chosen = min(
            (row for row in shown if row.editor.isEnabled()), key=self._distance, default=None
        )
        if chosen is not None:
            self.focus_on(chosen.field.path)
        return chosen is not None

    def _distance(self, row: FormRow) -> int:
        """How far a field's names are from the search: the same, begin so, hold it; its help alone."""
        names = [text.casefold() for text in (row.field.label, row.field.path.rsplit(".", 1)[-1])]
        begins = [name.startswith(self._filter) for name in names]
        holds = [self._filter in name for name in names]
        return (self._filter in names, any(begins), any(holds), True).index(True)

    def _held(self) -> str | None:
        """Name of the field that has the focus, without the card it belongs to; None for none."""
        rows = self._rows.items()
        found = (path for path, row in rows if row.editor.control().hasFocus())
        return next((path.rpartition(".")[2] for path in found), None)

    def _hold(self, name: str | None) -> None:
        """Keep the focus in the form when its controls are new: the field of that name, else the first one."""
        if name is None:
            return
        self._body.show()
        self.focus_first()
        shown = (path for path, row in self._rows.items() if self._is_shown(row))
        self.focus_on(next((path for path in shown if path.rpartition(".")[2] == name), ""))

    def _build(self, fields: Sequence[FieldLike]) -> None:
        fresh = QWidget()
        grid = QGridLayout(fresh)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(9)
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
            row = FormRow(self._theme, item)
            if self._headings and section:
                self._headings[-1][1].append(item.path)
            row.committed.connect(self.changed)
            row.fix_wanted.connect(self.fix_wanted)
            row.sweep_wanted.connect(self.sweep_wanted)
            row.line = line
            self._rows[item.path] = row
            line += LINES_OF_ROW
        self._grid = grid
        self._arrange()
        old = self._body
        self._column.replaceWidget(old, fresh)
        old.hide()
        old.deleteLater()
        self._body = fresh
        before: QWidget = self._more  # controls made now would come last of the whole window by Tab
        for control in fresh.findChildren(QWidget):
            here = control.window() is self.window()  # the list of a choice is a window of its own
            if here and control.focusPolicy() & Qt.FocusPolicy.TabFocus:
                QWidget.setTabOrder(before, control)
                before = control
        if before is not self._more:
            QWidget.setTabOrder(before, self._more)
        self.verticalScrollBar().setValue(0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Words go below their controls where there is no room beside them."""
        super().resizeEvent(event)
        stacked = self.viewport().width() < STACKED_BELOW
        if stacked != self._stacked:
            self._stacked = stacked
            self._arrange()

    def _arrange(self) -> None:
        """Put titles, controls and words where they belong at this width."""
        if self._grid is None:
            return
        grid = self._grid
        grid.setColumnStretch(1, EDITOR_SHARE)
        grid.setColumnStretch(2, 0 if self._stacked else HELP_SHARE)
        middle, top = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignTop
        for row in self._rows.values():
            below = self._stacked or _is_wide(row.field)
            beside = top if _is_wide(row.field) else middle
            grid.addWidget(row.title, row.line, 0, beside)
            if below:
                grid.addWidget(row.editor, row.line, 1, 1, 2)
                grid.addWidget(row.words, row.line + 1, 1, 1, 2, top)
            else:
                grid.addWidget(row.editor, row.line, 1, middle)
                grid.addWidget(row.words, row.line, 2, middle)

    def _flip(self) -> None:
        self._unfolded = not self._unfolded
        self._fold()

    def _fold(self) -> None:
        advanced = [row for row in self._rows.values() if row.field.advanced]
        shown = {path for path, row in self._rows.items() if self._is_shown(row)}
        for path, row in self._rows.items():
            row.show(path in shown)
        for heading, paths in self._headings:
            heading.setVisible(any(path in shown for path in paths))
        self._more.setVisible(bool(advanced) and not self._filter)
        self.nothing.setVisible(bool(self._filter) and not shown)
        count = "1 more setting" if len(advanced) == 1 else f"{len(advanced)} more settings"
        words = "Fewer settings" if self._unfolded else count
        self._more.setText(f" {words}")
        self._more.setAccessibleName(words)
        self._more.set_icon("caret-down" if self._unfolded else "caret-right")

    def _is_shown(self, row: FormRow) -> bool:
        field = row.field
        if self._filter:
            return is_called(field, self._filter)
        return not field.advanced or self._unfolded or bool(field.problem)


def is_called(field: FieldLike, text: str) -> bool:
    """Whether a field's name, path, help or heading holds a text, which is casefolded."""
    texts = (field.label, field.path.rsplit(".", 1)[-1], field.help, field.section)
    return any(text in it.casefold() for it in texts)


def _is_wide(field: FieldLike) -> bool:
    """Whether the control takes the whole width, its words below: texts, and choices with sentences."""
    return field.kind == "prose" or (field.kind == "stage" and field.multiple)
