"""What the recipe being written will need: one line below the cards, and the sum beside the form."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from app.viewmodels.estimates import EstimatesViewModel
from app.widgets.controls import GAP, TOOL_HEIGHT, Button, Dot, Elided, label, restyle
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

HUES = {"too_large": "bad", "tight": "warning", "fits": "recovered", "": "third"}
TEXTS = {"too_large": "bad_text", "tight": "warning_text"}
NOTHING = (
    "Once the recipe has no problems, the memory of every stage stands here with its sum, reckoned from "
    "the model's config alone, and its time on this machine."
)


class EstimateLine(QWidget):
    """The training stages' estimates in one line; a warning in its place when they do not fit."""

    asked = Signal()  # for the sum

    def __init__(self, model: EstimatesViewModel, theme: Theme) -> None:
        super().__init__()
        self._model = model
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        self._dot = Dot(theme)
        self.text = Elided("", "caption")
        self.more = Button(theme, "Show the sum", "quiet")
        self.more.setToolTip("Memory by item, and what the times are reckoned with")
        self.more.clicked.connect(self.asked)
        self.setFixedHeight(TOOL_HEIGHT)  # with or without its button: nothing below it moves
        row.addWidget(self._dot)
        row.addWidget(self.text, 1)
        row.addWidget(self.more)
        self.refresh()

    def refresh(self) -> None:
        """Take the newest estimate; the old one stays while a new one is reckoned."""
        text, verdict = self._model.headline, self._model.verdict
        warning = self._model.warning
        restyle(
            self.text,
            "role",
            {"too_large": "problem", "tight": "warning"}.get(verdict, "caption"),
        )
        self.text.set_text(warning or text)
        self._dot.set_token(HUES[verdict])
        self._dot.setToolTip(text)
        self._dot.setVisible(bool(text))
        self.more.setVisible(bool(self._model.lines()))


class EstimatePanel(QStackedWidget):
    """Every stage with the items of its peak and their sum; `remedy_wanted` asks to turn a knob of a stage."""

    remedy_wanted = Signal(str, str)

    def __init__(self, model: EstimatesViewModel, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._ways: dict[tuple[str, str], Button] = {}
        self._row = QVBoxLayout()
        self._row.setSpacing(4)
        self._model = model
        self._empty = Empty(theme, "hourglass", "No estimate yet", NOTHING, small=True)
        self.table = Table(theme, "Estimated memory")
        self.notes = label("", "hint", wrap=True)
        self.remedies = label("", "problem", wrap=True)
        filled = QWidget()
        column = QVBoxLayout(filled)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.remedies)
        column.addLayout(self._row)
        column.addWidget(self.table, 1)
        column.addWidget(self.notes)
        self.addWidget(self._empty)
        self.addWidget(filled)
        self.refresh()

    def refresh(self) -> None:
        """Take the newest estimate."""
        lines = self._model.lines()
        self.setCurrentIndex(1 if lines else 0)
        if not lines:
            self._empty.set(self._model.headline or "No estimate yet", NOTHING)
            return
        columns = [Column("at the peak", numeric=False, stretch=True), Column("memory")]
        rows = []
        for line in lines:
            hue = TEXTS.get(line.verdict, "")
            total = line.items[-1][1] if line.items else ""
            rows.append(
                [Cell(line.text, hue, bold=True, tip=line.note), Cell(total, hue, bold=True)]
            )
            rows += [[Cell(f"    {name}"), Cell(size)] for name, size in line.items[:-1]]
            if not line.items:
                rows.append([Cell(f"    {line.note}", "third", tip=line.note), Cell("")])
        self.table.show_rows(columns, rows)
        remedies = [line.remedy for line in lines if line.remedy]
        self.remedies.setText("\n".join(remedies))
        self.remedies.setVisible(bool(remedies))
        self._show_ways()
        self.notes.setText("\n".join(filter(None, (self._model.total, self._model.machine))))

    def way(self, stage: str, knob: str) -> Button:
        """The button that turns a knob of a stage."""
        return self._ways[stage, knob]

    def _show_ways(self) -> None:
        """A button for each way to make it fit; those that stay are kept."""
        offered = {(stage, knob): words for stage, knob, words in self._model.ways()}
        for key in [key for key in self._ways if key not in offered]:
            gone = self._ways.pop(key)
            gone.hide()
            gone.deleteLater()
        for key, words in offered.items():
            if key not in self._ways:
                stage, knob = key
                made = Button(self._theme, f"{stage}: {words}", "", "magic-wand")
                made.clicked.connect(
                    lambda _=False, stage=stage, knob=knob: self.remedy_wanted.emit(stage, knob)
                )
                self._row.addWidget(made, 0, Qt.AlignmentFlag.AlignLeft)
                self._ways[key] = made
