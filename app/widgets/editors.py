"""The controls of a form, one per kind of field. Each has `committed(value)`, `show_field` and `set_wrong`.

Numbers are typed into a line, not a spin box: learning rates want 1e-4 and an empty line means the
default. What cannot be read as a number is handed on as text, so that the recipe's own validation says
what is wrong with it, in one voice.
"""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from app.widgets.combo import FormCombo
from app.widgets.controls import Button, label, restyle, tell_whole
from app.widgets.editor import COMMIT_MS, Editor, FieldLike, Value
from app.widgets.prose_editor import ProseEditor
from app.widgets.theme import Theme

UNIT_PADDING = 10
"""Right of a unit, as wide as the padding left of the text."""


class _Line(QLineEdit):
    """A line with the unit of what is typed at its right end, so that all fields end in one place."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = label(unit, "hint")
        self._unit.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, UNIT_PADDING, 0)
        row.addWidget(self._unit, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._unit.setVisible(bool(unit))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the text from the unit."""
        super().resizeEvent(event)
        if self._unit.text():
            self.setTextMargins(0, 0, self._unit.sizeHint().width() + UNIT_PADDING, 0)


class LineEditor(Editor):
    """Text, numbers, comma-separated lists and mappings; a unit may stand behind."""

    def __init__(self, field: FieldLike) -> None:
        super().__init__()
        self._kind = field.kind
        self._list = field.multiple or field.kind == "list"
        self.line = _Line(field.unit)
        self.row.addWidget(self.line, 1)
        self._sent: Value = field.value
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(COMMIT_MS)
        self._timer.timeout.connect(self._commit)
        self.line.textEdited.connect(lambda _: self._timer.start())
        self.line.editingFinished.connect(self.finish_typing)

    def show_field(self, field: FieldLike) -> None:
        """Show the value; a default stands as a placeholder."""
        text = written(field.value)
        self.line.setPlaceholderText(text if field.is_default and text else _nothing(field))
        if self.line.hasFocus() and self.line.isModified():
            return
        self._sent = None if field.is_default else field.value
        shown = "" if field.is_default else text
        if shown != self.line.text():
            self.line.setText(shown)
            self.line.setCursorPosition(0)

    def set_wrong(self, wrong: bool) -> None:
        """Red border."""
        restyle(self.line, "wrong", wrong)

    def control(self) -> QWidget:
        """The line."""
        return self.line

    def finish_typing(self) -> None:
        """Take what was typed at once."""
        if self._timer.isActive():
            self._timer.stop()
            self._commit()
        self.line.setModified(False)

    def _commit(self) -> None:
        value = read(self.line.text(), self._kind, many=self._list)
        if value != self._sent or type(value) is not type(self._sent):
            self._sent = value
            self.committed.emit(value)


class PathEditor(LineEditor):
    """A file or folder: typed, or picked in the system's dialog."""

    def __init__(self, theme: Theme, field: FieldLike) -> None:
        super().__init__(field)
        browse = Button(theme, "", "", "folder-open")
        browse.setAccessibleName(f"Browse for {field.label}")
        browse.setToolTip("Browse")
        browse.clicked.connect(self.browse)
        self._folder = field.path.endswith("folder")
        self.row.addWidget(browse)

    def browse(self) -> None:
        """Let the person pick it in the system's dialog."""
        if self._folder:
            chosen = QFileDialog.getExistingDirectory(self, "Choose a folder", self.line.text())
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, "Choose a file", self.line.text())
        if chosen:
            self.line.setText(chosen)
            self._commit()


class ChoiceEditor(Editor):
    """One of several values; an optional field begins with an empty choice."""

    def __init__(self, field: FieldLike) -> None:
        super().__init__()
        self.combo = FormCombo()
        tell_whole(self.combo)
        self.combo.setMinimumContentsLength(8)
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.combo.setSizeAdjustPolicy(policy)
        self.row.addWidget(self.combo, 1)
        self._offered: list[tuple[str, str | None]] = []
        self.combo.activated.connect(self._commit)

    def show_field(self, field: FieldLike) -> None:
        """Show the choices and the value; a value that is no choice is shown all the same."""
        named = any(
            choice.value == "" for choice in field.choices
        )  # the empty choice has its own words
        offered: list[tuple[str, str | None]] = []
        if field.optional and not named:
            offered.append(("default", None))
        offered += [(choice.label, choice.value or None) for choice in field.choices]
        value = None if field.value is None else written(field.value)
        if value is not None and all(key != value for _, key in offered):
            offered.append((value, value))
        if value is None and not field.optional:
            offered.insert(0, ("choose…", None))
        if offered != self._offered:
            self._offered = offered
            self.combo.clear()
            self.combo.addItems([text for text, _ in offered])
        place = next((row for row, (_, key) in enumerate(offered) if key == value), -1)
        self.combo.setCurrentIndex(place)

    def set_wrong(self, wrong: bool) -> None:
        """Red border."""
        restyle(self.combo, "wrong", wrong)

    def control(self) -> QWidget:
        """The combo box."""
        return self.combo

    def _commit(self, place: int) -> None:
        self.committed.emit(self._offered[place][1])


class BoolEditor(Editor):
    """Yes or no."""

    def __init__(self, field: FieldLike) -> None:
        super().__init__()
        self.box = QCheckBox()
        self.row.addWidget(self.box)
        self.row.addStretch(1)
        self.box.clicked.connect(lambda on: self.committed.emit(bool(on)))

    def show_field(self, field: FieldLike) -> None:
        """Tick the box."""
        self.box.setChecked(bool(field.value))
        self.box.setText("yes" if field.value else "no")

    def set_wrong(self, wrong: bool) -> None:
        """A box cannot be wrong in itself; the words beside it say what is."""

    def control(self) -> QWidget:
        """The box."""
        return self.box


class ManyEditor(Editor):
    """Several of the offered values, one tick box each, in the order in which they were ticked.

    The order of stages means something (the first teacher, the second one): several are numbered.
    """

    def __init__(self, field: FieldLike) -> None:
        super().__init__()
        self._column = QVBoxLayout()
        self._column.setSpacing(0)
        self.row.addLayout(self._column, 1)
        self._boxes: dict[str, QCheckBox] = {}
        self._order: tuple[str, ...] = ()
        self._empty = label("nothing to choose from yet", "hint")
        self._column.addWidget(self._empty)

    def show_field(self, field: FieldLike) -> None:
        """Tick the values; one that is not offered is shown all the same, so that it can be taken out."""
        value = field.value
        ticked = value if isinstance(value, tuple) else (() if value is None else (str(value),))
        words = {choice.value: choice.label for choice in field.choices}
        words.update({key: key for key in ticked if key not in words})
        self._order = ticked
        numbered = field.kind == "stage" and len(ticked) > 1
        for key in [key for key in self._boxes if key not in words]:
            self._boxes.pop(key).deleteLater()
        for key, text in words.items():
            if key not in self._boxes:
                box = QCheckBox(text)
                box.setAccessibleName(f"{field.label}: {text}")
                box.clicked.connect(self._commit)
                self._column.addWidget(box)
                self._boxes[key] = box
            place = f"{ticked.index(key) + 1}. " if numbered and key in ticked else ""
            self._boxes[key].setText(f"{place}{text}")
            self._boxes[key].setChecked(key in ticked)
        self._empty.setVisible(not self._boxes)

    def set_wrong(self, wrong: bool) -> None:
        """The words beside it say what is wrong."""

    def control(self) -> QWidget:
        """The first box."""
        return next(iter(self._boxes.values()), self)

    def _commit(self) -> None:
        ticked = [key for key, box in self._boxes.items() if box.isChecked()]
        stay = [key for key in self._order if key in ticked]
        self.committed.emit((*stay, *(key for key in ticked if key not in stay)))


def make_editor(theme: Theme, field: FieldLike) -> Editor:
    """The control for a field."""
    if field.kind == "bool":
        return BoolEditor(field)
    many = field.multiple or field.kind == "list"
    if (
        many
        and field.kind in ("list", "dataset", "stage", "choice")
        and (field.choices or field.kind != "list")
    ):
        return ManyEditor(field)
    if field.kind in ("choice", "stage", "dataset"):
        return ChoiceEditor(field)
    if field.kind == "prose":
        return ProseEditor(theme, field)
    if field.kind == "path":
        return PathEditor(theme, field)
    return LineEditor(field)


def written(value: Value) -> str:
    """A value as it is typed."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def read(text: str, kind: str, *, many: bool = False) -> Value:
    """What was typed as a value of the field's kind; None for nothing, the text itself if it does not fit."""
    text = text.strip()
    if not text:
        return None
    if many:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    plain = text.replace(" ", "").replace("\u202f", "")
    try:
        if kind == "int":
            return int(plain)
        if kind == "float":
            return float(plain)
    except ValueError:
        return text
    return text


def _nothing(field: FieldLike) -> str:
    return "none" if field.optional else ""
