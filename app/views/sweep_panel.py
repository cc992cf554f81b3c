"""A sweep beside the form: its fields and values, the runs it comes to, and the button that queues them all."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from app.viewmodels.sweep import SHAPES, AxisView, SweepViewModel
from app.views.dialogs import Dialogs
from app.views.field_chooser import FieldChooser
from app.widgets.controls import Button, Elided, Picker, Segments, label
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

TYPING_MS = 250
COUNT_WIDTH, BOUND_WIDTH, TITLE_WIDTH = 44, 74, 132
FINE = "fine"
ROWS_SHOWN = 500
COMBINE = (("product", "Every with every"), ("zip", "In pairs"))
TEACH = (
    "Sweep over any field",
    "Choose a field and give it several values: a list, or a range with even steps or even ratios. Each "
    "combination becomes a run of its own. Seeds are a field like any other.",
)


class AxisRow(QWidget):
    """One swept field: how its values are given, and the values."""

    changed = Signal(str, str, str)  # path, part, text
    removed = Signal(str)

    def __init__(self, theme: Theme, axis: AxisView) -> None:
        super().__init__()
        self.path = axis.path
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self.finish_typing)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.title = Elided(axis.label)
        self.title.setToolTip(axis.path)
        self.title.setMinimumWidth(TITLE_WIDTH)
        self.shape = Picker(f"{axis.label}: how its values are given")
        self.shape.setProperty("flat", False)
        self.shape.set_options(list(SHAPES), axis.shape)
        self.shape.chosen.connect(lambda shape: self.changed.emit(self.path, "shape", shape))
        self.lines: dict[str, QLineEdit] = {}
        row.addWidget(self.title, 1)
        row.addWidget(self.shape)
        for part, words in (
            ("text", "values, with commas"),
            ("start", "from"),
            ("stop", "to"),
            ("count", "how many"),
        ):
            line = QLineEdit()
            line.setPlaceholderText(words)
            line.setAccessibleName(f"{axis.label}: {words}")
            line.textEdited.connect(lambda _: self._typing.start())
            line.editingFinished.connect(self.finish_typing)
            self.lines[part] = line
            row.addWidget(line, 2 if part == "text" else 1)
        for part, width in (("start", BOUND_WIDTH), ("stop", BOUND_WIDTH), ("count", COUNT_WIDTH)):
            self.lines[part].setMaximumWidth(width)
        self.cross = cross = Button(theme, "", "quiet", "x")
        cross.setAccessibleName(f"Do not sweep over {axis.label}")
        cross.setToolTip("Do not sweep over this field")
        cross.clicked.connect(lambda: self.removed.emit(self.path))
        row.addWidget(cross)
        self.problem = label("", "problem", wrap=True)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(2)
        whole.addLayout(row)
        whole.addWidget(self.problem)
        self._axis = axis
        self.show_axis(axis)

    def show_axis(self, axis: AxisView) -> None:
        """Show values; what is being typed stays."""
        self._axis = axis
        self.shape.set_options(list(SHAPES), axis.shape)
        for part, line in self.lines.items():
            line.setVisible((part == "text") == (axis.shape == "list"))
            if not line.hasFocus() and line.text() != getattr(axis, part):
                line.setText(getattr(axis, part))
                line.setCursorPosition(0)
        self.problem.setText(axis.problem)
        self.problem.setVisible(bool(axis.problem))

    def finish_typing(self) -> None:
        """Take what was typed at once."""
        self._typing.stop()
        for part, line in self.lines.items():
            if line.text() != getattr(self._axis, part):
                self.changed.emit(self.path, part, line.text())


class SweepPanel(QWidget):
    """Edits one sweep through its view model, and starts it."""

    starting = Signal()  # what is being typed elsewhere should count

    def __init__(self, model: SweepViewModel, theme: Theme, dialogs: Dialogs) -> None:
        super().__init__()
        self._model = model
        self._theme = theme
        self._dialogs = dialogs
        self.add = Button(theme, "Add a field", "", "plus")
        self.add.clicked.connect(self._choose_field)
        self.combine = Segments(theme, "How values are combined", COMBINE)
        self.combine.chosen.connect(model.set_combine)
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the sweep; its runs are tagged with it")
        self.name.setToolTip("The runs are tagged sweep:<name>")
        self.name.editingFinished.connect(lambda: model.set_name(self.name.text()))
        head = QHBoxLayout()
        head.addWidget(self.add)
        head.addWidget(self.name, 1)
        head.addWidget(self.combine)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(6)
        self._axes: dict[str, AxisRow] = {}
        self.empty = Empty(theme, "grid-four", *TEACH, small=True)
        self.table = Table(theme, "Runs of the sweep")
        self.summary = label("", "caption", wrap=True)
        self.start = Button(theme, "Queue the runs", "primary", "play")
        self.start.clicked.connect(self._start)
        foot = QHBoxLayout()
        foot.addWidget(self.summary, 1)
        foot.addWidget(self.start)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addLayout(head)
        column.addLayout(self._rows)
        column.addWidget(self.empty, 1)
        column.addWidget(self.table, 1)
        column.addLayout(foot)
        self.refresh()

    def axis(self, path: str) -> AxisRow:
        """The row of a swept field."""
        return self._axes[path]

    def finish_typing(self) -> None:
        """Take what was typed at once; a click on a button does not leave the field that is being typed in."""
        if self.name.text() != self._model.name:
            self._model.set_name(self.name.text())
        for row in tuple(self._axes.values()):
            row.finish_typing()

    def refresh(self) -> None:
        """Show the sweep as it is now."""
        model = self._model
        axes = model.axes()
        for path in [path for path in self._axes if path not in {it.path for it in axes}]:
            gone = self._axes.pop(path)
            self._rows.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        for axis in axes:
            if axis.path in self._axes:
                self._axes[axis.path].show_axis(axis)
            else:
                before: QWidget = [self.name, *(it.cross for it in self._axes.values())][-1]
                self._axes[axis.path] = made = AxisRow(self._theme, axis)
                made.changed.connect(self._change)
                made.removed.connect(model.remove)
                self._rows.addWidget(made)
                for control in (made.shape, *made.lines.values(), made.cross):
                    QWidget.setTabOrder(before, control)
                    before = control
        self.combine.setVisible(len(axes) > 1)
        self.combine.choose(model.combine)
        self.name.setVisible(bool(axes))
        if not self.name.hasFocus() and self.name.text() != model.name:
            self.name.setText(model.name)
            self.name.setCursorPosition(0)
        self.empty.setVisible(not axes)
        self.table.setVisible(bool(axes))
        self.summary.setText(model.summary if axes else "")
        self.start.setVisible(bool(axes))
        self.start.setEnabled(model.can_start)
        count = len(model.variants())
        self.start.setText(f" Queue {count:,} {'run' if count == 1 else 'runs'}")
        self.start.setAccessibleName(self.start.text().strip())
        self._show_table()

    def _show_table(self) -> None:
        variants = self._model.variants()
        columns = [
            Column("run", tip="In the order in which they are queued"),
            *(Column(name) for name in self._model.columns),
            Column("checked", numeric=False, stretch=True),
        ]
        rows = []
        for number, it in enumerate(variants[:ROWS_SHOWN], start=1):
            wrong = "bad_text" if it.problem else "third"
            last = Cell(it.problem or FINE, wrong, tip=it.problem or it.name)
            rows.append([Cell(str(number)), *(Cell(value) for value in it.values), last])
        if all(len(row) == len(columns) for row in rows):  # values of a sweep changed meanwhile
            self.table.show_rows(columns, rows)

    def _change(self, path: str, part: str, text: str) -> None:
        self._model.change(path, **{part: text})

    def _choose_field(self) -> None:
        chooser = FieldChooser(self, self._model.choices())
        chooser.chosen.connect(self._add)
        chooser.open_below(self.add)

    def _add(self, path: str) -> None:
        """One more field; its values are typed next."""
        self._model.add(path)
        self.refresh()
        row = self._axes[path]
        row.show()
        line = next(it for it in row.lines.values() if it.isVisible())
        line.setFocus(Qt.FocusReason.OtherFocusReason)
        line.selectAll()

    def _start(self) -> None:
        self.starting.emit()
        self.finish_typing()
        count = len(self._model.variants())
        many = self._model.is_large and not self._model.busy
        if many and not self._dialogs.confirm(
            self,
            "Queue many runs",
            f"This sweep queues {count:,} runs. They wait for their device one after another; each can be "
            "taken out of the queue again.",
            f"Queue {count:,} runs",
        ):
            return
        self._model.start()
        self.start.setEnabled(False)
