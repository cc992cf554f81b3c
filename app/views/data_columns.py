"""Which column is what: a line for each role with its problem, the rows that do not fit, and the item beside."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QLabel,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.settings import Settings
from app.viewmodels import data_words
from app.viewmodels.data import DataViewModel
from app.viewmodels.data_mapping import FORMATS, OWN
from app.views.data_items import ItemReading
from app.views.splitting import restore, splitter
from app.widgets.combo import FormCombo
from app.widgets.controls import label, restyle
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

ROLE_WIDTH = 190


class ColumnsView(QWidget):
    """The form of a dataset's columns with a live preview; `item_wanted` asks to show a row."""

    item_wanted = Signal(int)

    def __init__(self, model: DataViewModel, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self.format = FormCombo()
        self.format.setAccessibleName("Format of the rows")
        for format in FORMATS:
            words = "recognised by itself" if format == "auto" else data_words.FORMAT[format]
            self.format.addItem(words, format)
        self.format.activated.connect(
            lambda place: model.set_format(str(self.format.itemData(place)))
        )
        self.about = label("", "hint", wrap=True)
        self.grid = QGridLayout()
        self.grid.setContentsMargins(0, 0, 6, 0)
        self.grid.setHorizontalSpacing(8)
        self.grid.setVerticalSpacing(4)
        self.grid.setColumnStretch(1, 1)
        self.grid.addWidget(label("Format", "caption"), 0, 0)
        self.grid.addWidget(self.format, 0, 1)
        self.grid.addWidget(self.about, 1, 0, 1, 2)
        self.boxes: dict[str, QComboBox] = {}
        self.problems: dict[str, QLabel] = {}
        for place, (role, title) in enumerate(data_words.ROLE.items()):
            box = FormCombo()
            box.setAccessibleName(f"Column of: {title}")
            box.setToolTip(data_words.ROLE_HELP[role])
            box.setMinimumWidth(ROLE_WIDTH)
            box.activated.connect(
                lambda index, role=role, box=box: model.set_column(role, str(box.itemData(index)))
            )
            name = label(title, "caption")
            name.setToolTip(data_words.ROLE_HELP[role])
            name.setBuddy(box)
            wrong = label("", "problem", wrap=True)
            self.boxes[role], self.problems[role] = box, wrong
            self.grid.addWidget(name, 2 + 2 * place, 0)
            self.grid.addWidget(box, 2 + 2 * place, 1)
            self.grid.addWidget(wrong, 3 + 2 * place, 1)
        self.faults = Table(theme, "Rows that do not fit")
        self.faults.itemActivated.connect(lambda item: self._go(item.row()))
        self.faults.itemClicked.connect(lambda item: self._go(item.row()))
        self.faults_title = label("", "section")
        form = QWidget()
        column = QVBoxLayout(form)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self.grid)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(form)
        self.reading = ItemReading(model, settings, theme, "data mapped item")
        side = QWidget()
        beside = QVBoxLayout(side)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(6)
        beside.addWidget(self.reading, 1)
        beside.addWidget(self.faults_title)
        beside.addWidget(self.faults)
        self.halves: QSplitter = splitter(settings, "data columns", Qt.Orientation.Horizontal)
        self.halves.addWidget(scroll)
        self.halves.addWidget(side)
        restore(self.halves, settings, [340, 700])
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.halves)

    def refresh(self) -> None:
        """Show the form as it is now."""
        model = self._model
        survey = model.items.survey
        self.format.setEnabled(bool(model.columns))
        self.format.setCurrentIndex(self.format.findData(model.format))
        recognised = survey.format if survey is not None else ""
        if model.format == OWN:
            self.about.setText("Each row is put together from the columns chosen here.")
        elif survey is None:
            self.about.setText("")
        elif not survey.rows:
            self.about.setText(" ".join(survey.trouble))
        elif recognised:
            self.about.setText(
                f"The rows are read as {data_words.FORMAT[recognised]}; choose “own columns” to say otherwise."
            )
        else:
            self.about.setText(
                "The rows fit no known format: choose “own columns” and the column of the prompt."
            )
        views = model.roles()
        if not views:  # nothing is known of this one's columns: those of another do not stay
            for box in self.boxes.values():
                box.clear()
            for wrong in self.problems.values():
                wrong.hide()
        for view in views:
            box, wrong = self.boxes[view.role], self.problems[view.role]
            names = list(dict.fromkeys(["", *model.columns, *filter(None, [view.column])]))
            if [box.itemData(place) for place in range(box.count())] != names:
                box.clear()
                for name in names:
                    box.addItem(name or data_words.NO_COLUMN, name)
            box.setCurrentIndex(names.index(view.column))
            wrong.setText(view.problem)
            wrong.setVisible(bool(view.problem))
            restyle(box, "wrong", bool(view.problem))
        for box in self.boxes.values():
            box.setEnabled(bool(model.columns) and model.format in (OWN, "auto"))
        self._show_faults()
        self.reading.refresh()

    def _show_faults(self) -> None:
        survey = self._model.items.survey
        faults = survey.faults if survey is not None else ()
        trouble = survey.trouble if survey is not None else ("", "")
        rows = [
            [Cell(f"{number + 1:,}"), Cell(message, tip=f"{message}\n{hint}")]
            for number, message, hint in faults
        ]
        if trouble[0]:
            self.faults_title.setText(trouble[0])
        elif survey is not None and survey.faulty:
            shown = f", the first {len(faults):,}" if survey.faulty > len(faults) else ""
            self.faults_title.setText(f"{survey.faulty:,} rows do not fit{shown}")
        else:
            self.faults_title.setText("")
        self.faults_title.setWordWrap(True)
        self.faults_title.setVisible(bool(self.faults_title.text()))
        self.faults.show_rows(
            [Column("row"), Column("what is wrong", numeric=False, stretch=True)], rows
        )
        self.faults.setVisible(bool(rows))
        self.faults.setMaximumHeight(min(self.faults.content_height(), 150))

    def _go(self, row: int) -> None:
        survey = self._model.items.survey
        if survey is not None and row < len(survey.faults):
            self.item_wanted.emit(survey.faults[row][0])
