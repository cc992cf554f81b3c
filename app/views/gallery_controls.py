"""The gallery's buttons, fields and choices, each in every state it can be in."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QRadioButton,
    QSlider,
    QSpinBox,
    QStyle,
    QStyleOptionButton,
    QStyleOptionFrame,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.views import gallery_samples as samples
from app.views.page import SPACING
from app.widgets.combo import Combo
from app.widgets.controls import Button, Picker, Segments, label, restyle
from app.widgets.legend import Legend
from app.widgets.theme import Theme
from app.widgets.title_picker import TitlePicker

BUTTON_KINDS = ("", "primary", "danger", "quiet", "dashed", "segment", "legend", "rail")
STATES = ("normal", "hover", "focus", "disabled", "checked")
HELD = {"hover": QStyle.StateFlag.State_MouseOver, "focus": QStyle.StateFlag.State_HasFocus}
HALF = 50
PROSE_HEIGHT = 60
FIELD_COLUMNS = 3


class _HeldButton(Button):
    """A button held in a state that only the pointer or the keyboard gives to one at a time."""

    state = ""

    def initStyleOption(self, option: QStyleOptionButton) -> None:
        """Add the state."""
        super().initStyleOption(option)
        _hold(option, self.state)


class _HeldLine(QLineEdit):
    """A field held in such a state."""

    state = ""

    def initStyleOption(self, option: QStyleOptionFrame) -> None:
        """Add the state."""
        super().initStyleOption(option)
        _hold(option, self.state)


def buttons(theme: Theme) -> QWidget:
    """Every kind in every state."""
    box, grid = grid_box()
    for column, state in enumerate(STATES):
        grid.addWidget(label(state, "section"), 0, column + 1)
    for row, kind in enumerate(BUTTON_KINDS, start=1):
        grid.addWidget(label(kind or "plain", "caption"), row, 0)
        for column, state in enumerate(STATES):
            made = _HeldButton(theme, "Compare", kind, "git-diff")
            made.state = state
            made.setAccessibleName(f"{kind or 'plain'} button, {state}")
            made.setCheckable(state == "checked")
            made.setChecked(state == "checked")
            made.setEnabled(state != "disabled")
            grid.addWidget(made, row, column + 1)
    grid.setColumnStretch(len(STATES) + 1, 1)
    return box


def fields() -> QWidget:
    """Where text and numbers are written."""
    box, grid = grid_box()
    made: list[tuple[str, QWidget]] = []
    for state in ("normal", "empty", "hover", "focus", "disabled", "wrong", "read only"):
        line = _HeldLine()
        line.state = state
        line.setText("" if state == "empty" else state)
        line.setPlaceholderText("empty: what belongs here")
        line.setEnabled(state != "disabled")
        line.setReadOnly(state == "read only")
        restyle(line, "wrong", state == "wrong")
        made.append((f"line, {state}", line))
    for on in (True, False):
        ability = "normal" if on else "disabled"
        combo = Combo()
        combo.addItems(["first", "second"])
        prose = QPlainTextEdit("several lines\nof text")
        prose.setTabChangesFocus(True)
        prose.setFixedHeight(PROSE_HEIGHT)
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setValue(HALF)
        for kind, widget in (
            ("combo box", combo),
            ("whole number", QSpinBox()),
            ("number", QDoubleSpinBox()),
            ("prose", prose),
            ("slider", slider),
        ):
            widget.setEnabled(on)
            made.append((f"{kind}, {ability}", widget))
    for place, (name, field) in enumerate(made):
        row, column = divmod(place, FIELD_COLUMNS)
        field.setAccessibleName(name)
        grid.addWidget(label(name, "caption"), row, 2 * column)
        grid.addWidget(field, row, 2 * column + 1)
        grid.setColumnStretch(2 * column + 1, 1)
    return box


def choices(theme: Theme) -> QWidget:
    """Where one or several of a few are chosen."""
    box, column = column_box()
    for kind in (QCheckBox, QRadioButton):
        row = QHBoxLayout()
        for checked, on in ((False, True), (True, True), (False, False), (True, False)):
            word = ("checked" if checked else "not checked") + ("" if on else ", disabled")
            made = kind(word)
            made.setAutoExclusive(False)
            made.setChecked(checked)
            made.setEnabled(on)
            row.addWidget(made)
        row.addStretch(1)
        column.addLayout(row)
    row = QHBoxLayout()
    row.addWidget(Segments(theme, "Sample", (("a", "first"), ("b", "second"), ("c", "third"))))
    for picker in (Picker("Sample metric"), TitlePicker("Sample title")):
        picker.set_options((("a", "Divergence to teacher"), ("b", "Entropy")), "a")
        row.addWidget(picker)
    tool = QToolButton()
    tool.setText("Tool")
    tool.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    row.addWidget(tool)
    legend = Legend(theme)
    legend.setParent(box)  # it shows itself when it has entries, and must not be a window then
    legend.set_entries((role, role, role) for role in samples.ROLES)
    row.addWidget(legend, 1)
    column.addLayout(row)
    group = QGroupBox("A group")
    inside = QHBoxLayout(group)
    for share in (0, HALF, 100):
        bar = QProgressBar()
        bar.setAccessibleName(f"Progress, {share} %")
        bar.setValue(share)
        inside.addWidget(bar)
    column.addWidget(group)
    return box


def column_box() -> tuple[QWidget, QVBoxLayout]:
    """A widget with a column."""
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(SPACING)
    return box, column


def grid_box() -> tuple[QWidget, QGridLayout]:
    """A widget with a grid."""
    box = QWidget()
    grid = QGridLayout(box)
    grid.setContentsMargins(0, 0, 0, 0)
    return box, grid


def _hold(option: Any, state: str) -> None:
    # PySide6 types a style option's fields as read-only properties.
    option.state = option.state | HELD.get(state, QStyle.StateFlag.State_None)
