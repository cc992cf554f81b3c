"""How long the items are: a histogram with the limits, exact figures, and how many items are beyond."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels import data_words
from app.viewmodels.data import CHARACTERS, DataViewModel
from app.viewmodels.data_lengths import PARTS
from app.views.splitting import restore, splitter
from app.widgets.charts import LineChart
from app.widgets.controls import Button, Picker, label
from app.widgets.curves import Line, MarkLine
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

REACH = 2.0
"""The axis reaches to limits up to so many times the longest item."""
LONGEST_TIP = "Click to read the longest item"
TEACHING = "Choose whose tokens to count, and press Measure. It may take a minute for many items; the window stays free."


class LengthsView(QWidget):
    """Measures the dataset that is looked at, when asked; `item_wanted` asks to show the longest item."""

    item_wanted = Signal(int)

    def __init__(self, model: DataViewModel, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self._settings = settings
        lengths = model.lengths
        self.unit = Picker("What the lengths are counted in")
        self.unit.setProperty("flat", False)
        self.unit.chosen.connect(self._choose)
        self.measure = Button(theme, "Measure", "", "ruler")
        self.measure.clicked.connect(self.start)
        self.cancel = Button(theme, "Cancel", "quiet", "x")
        self.cancel.clicked.connect(lengths.cancel)
        self.copy = Button(theme, "", "quiet", "copy")
        self.copy.setAccessibleName("Copy the figures")
        self.copy.setToolTip("Copy the figures as TSV")
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(lengths.text()))
        self.state = label("", "hint")
        tools = QHBoxLayout()
        tools.setSpacing(8)
        for widget in (self.unit, self.measure, self.cancel):
            tools.addWidget(widget)
        tools.addWidget(self.state, 1)
        tools.addWidget(self.copy)
        self.chart = LineChart(theme, "Lengths of the items", x_label="length", empty=TEACHING)
        self.figures = Table(theme, "Figures of the lengths")
        self.figures.itemActivated.connect(lambda item: self._go(item.row()))
        self.figures.itemClicked.connect(lambda item: self._go(item.row()))
        self.limits = Table(theme, "Limits and what is beyond them")
        self.no_limits = label("", "hint", wrap=True)
        side = QWidget()
        tables = QVBoxLayout(side)
        tables.setContentsMargins(0, 0, 0, 0)
        tables.setSpacing(8)
        tables.addWidget(self.figures)
        tables.addWidget(self.no_limits)
        tables.addWidget(self.limits)
        tables.addStretch(1)
        self.halves: QSplitter = splitter(settings, "data lengths", Qt.Orientation.Horizontal)
        self.halves.addWidget(self.chart)
        self.halves.addWidget(side)
        restore(self.halves, settings, [430, 640])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(tools)
        column.addWidget(self.halves, 1)
        lengths.progress.connect(self.state.setText)

    def start(self) -> None:
        """Measure."""
        self._model.measure(self.unit.key() or CHARACTERS)

    def refresh(self) -> None:
        """Show what is known now."""
        lengths = self._model.lengths
        options = self._model.models()
        keys = [key for key, _ in options]
        kept = self._settings.views.get("data.unit", "")
        self.unit.set_options(options, kept if kept in keys else keys[0])
        self.measure.setEnabled(bool(self._model.key) and not lengths.measuring)
        self.cancel.setVisible(lengths.measuring)
        self.copy.setEnabled(lengths.known)
        if not lengths.measuring:
            told = f"{lengths.items:,} items · {lengths.model}" if lengths.known else ""
            if lengths.known and lengths.unit == "characters" and lengths.model != CHARACTERS:
                told = f"{lengths.items:,} items · characters: the tokenizer is not on this machine"
            self.state.setText(" ".join(lengths.error).strip() or told)
        self.chart.set_unit(f"items, by length in {lengths.unit}" if lengths.known else "")
        self.chart.set_lines(
            Line(it.part, it.title, it.hue, it.x, it.y) for it in lengths.histograms()
        )
        self.chart.set_source(f"{lengths.place} · {lengths.model}")
        limits = lengths.limits()
        longest = max((float(it.x[-1]) for it in lengths.histograms()), default=0.0)
        near = [it for it in limits if it.value <= REACH * longest]
        self.chart.set_span(max([longest, *(float(it.value) for it in near)]))
        self.chart.set_marks(MarkLine(it.value, f"{it.title}: {it.value:,}") for it in near)
        heads, rows = lengths.table()
        self.figures.show_rows(
            [Column(head, numeric=bool(place)) for place, head in enumerate(heads)] if rows else (),
            [[Cell(text, tip=LONGEST_TIP) for text in row] for row in rows],
        )
        self.figures.setFixedHeight(self.figures.content_height())
        self.figures.setVisible(bool(rows))
        self.limits.show_rows(
            [
                Column("limit", numeric=False, stretch=True),
                Column("of", numeric=False, optional=1),
                Column("tokens"),
                Column("beyond"),
            ]
            if limits
            else (),
            [
                [
                    Cell(
                        it.title,
                        tip=f"{it.title}: items beyond it are {it.what}",
                        dot="warning" if it in near else "",
                    ),
                    Cell(PARTS[it.part][0], "third"),
                    Cell(f"{it.value:,}"),
                    Cell(
                        data_words.share(it.beyond, it.of),
                        "warning_text" if it.beyond else "",
                        tip=f"{it.beyond:,} of {it.of:,} items are {it.what}",
                    ),
                ]
                for it in limits
            ],
        )
        self.limits.setFixedHeight(self.limits.content_height())
        self.limits.setVisible(bool(limits))
        self.no_limits.setText(
            "Limits are in tokens: they can be compared only with a tokenizer at hand."
            if lengths.known and not limits
            else "What is beyond a limit is left out by the stage and counted, never cut."
            if limits
            else ""
        )

    def _go(self, row: int) -> None:
        number = self._model.lengths.longest(row)
        if number is not None:
            self.item_wanted.emit(number)

    def _choose(self, key: str) -> None:
        self._settings.views["data.unit"] = key
