"""What a dataset holds in figures: counts, columns, groups and repeats."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.data import DataViewModel
from app.views.splitting import restore, splitter
from app.widgets.controls import Button, label
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme


class FiguresView(QWidget):
    """Shows the survey; `item_wanted` asks to show a repeated item."""

    item_wanted = Signal(int)

    def __init__(self, model: DataViewModel, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self.state = label("", "hint")
        self.copy = Button(theme, "", "quiet", "copy")
        self.copy.setAccessibleName("Copy the figures")
        self.copy.setToolTip("Copy all four tables as TSV")
        self.copy.clicked.connect(self._copy)
        tools = QHBoxLayout()
        tools.addWidget(self.state, 1)
        tools.addWidget(self.copy)
        self.facts = Table(theme, "Figures of the dataset")
        self.fields = Table(theme, "Columns of the rows")
        self.groups = Table(theme, "Groups of the dataset")
        self.repeats = Table(theme, "Repeated items")
        self.repeats.itemActivated.connect(lambda item: self._go(item.row()))
        self.repeats.itemClicked.connect(lambda item: self._go(item.row()))
        self.parts: QSplitter = splitter(settings, "data figures", Qt.Orientation.Horizontal)
        for table in (self.facts, self.fields, self.groups, self.repeats):
            self.parts.addWidget(table)
        restore(self.parts, settings, [300, 330, 220, 200])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(tools)
        column.addWidget(self.parts, 1)

    def refresh(self) -> None:
        """Show what is known now."""
        survey = self._model.items.survey
        self.copy.setEnabled(survey is not None)
        if survey is None:
            items = self._model.items
            stopped = "Reading was stopped: the figures need all rows." if items.stopped else ""
            self.state.setText("reading…" if items.loading else stopped)
        else:
            self.state.setText(survey.headline)
        facts = survey.facts if survey is not None else ()
        self.facts.show_rows(
            [Column("figure", numeric=False, stretch=True), Column("value")],
            [[Cell(name, tip=help), Cell(value, tip=help)] for name, value, help in facts],
        )
        fields = survey.fields if survey is not None else ()
        self.fields.show_rows(
            [
                Column("column", numeric=False),
                Column("kind", numeric=False),
                Column("filled"),
                Column("for example", numeric=False, stretch=True),
            ],
            [
                [Cell(name), Cell(kind, "third"), Cell(f"{filled:,}"), Cell(" ".join(text.split()))]
                for name, kind, filled, text in fields
            ],
        )
        groups = survey.groups if survey is not None else ()
        self.groups.show_rows(
            [Column("group", numeric=False, stretch=True), Column("items")],
            [[Cell(name), Cell(f"{count:,}")] for name, count in groups],
        )
        self.groups.setVisible(bool(groups))
        repeats = survey.repeats if survey is not None else ()
        self.repeats.show_rows(
            [Column("item"), Column("asks again what", stretch=True)],
            [
                [Cell(f"{later + 1:,}"), Cell(f"item {first + 1:,} asks")]
                for later, first in repeats
            ],
        )
        self.repeats.setVisible(bool(repeats))

    def _copy(self) -> None:
        tables = (self.facts, self.fields, self.groups, self.repeats)
        shown = [table.as_text(all_rows=True) for table in tables if table.rowCount()]
        QGuiApplication.clipboard().setText("\n\n".join(shown))

    def _go(self, row: int) -> None:
        survey = self._model.items.survey
        if survey is not None and row < len(survey.repeats):
            self.item_wanted.emit(survey.repeats[row][0])
