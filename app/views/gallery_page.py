"""The gallery: every widget of the window in every state, the colours with their contrasts, type and icons.

For whoever builds the window; opened from the developer's menu. Charts are made on request, because
loading what draws them takes a second and a half.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict
from typing import Any

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListWidget,
    QScrollArea,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.glossary import WORDS
from app.views import gallery_samples as samples
from app.views.gallery_controls import buttons, choices, column_box, fields, grid_box
from app.views.page import SPACING, Page, page_title
from app.widgets.completions import CompletionView
from app.widgets.controls import (
    STATUS_TOKENS,
    Button,
    Card,
    Chip,
    Dot,
    Elided,
    label,
)
from app.widgets.explained import Explained
from app.widgets.lineage import LineageGraph
from app.widgets.messages import Empty, Notice
from app.widgets.recipe_strip import RecipeStrip
from app.widgets.scale import CARD_RADIUS, TYPE_SCALE
from app.widgets.spec_form import SpecForm
from app.widgets.stage_strip import StageStrip
from app.widgets.tables import Table
from app.widgets.theme import Theme
from app.widgets.tokens import contrast

CHART_MODULES = ("app.widgets.curves", "app.widgets.charts", "app.widgets.heatmap")
LABEL_ROLES = (
    "brand",
    "title",
    "heading",
    "",
    "caption",
    "hint",
    "small",
    "section",
    "problem",
    "warning",
)
ICONS = (
    "rows", "plus-circle", "chart-line-up", "git-diff", "gear", "play", "stop-circle", "floppy-disk",
    "trash", "arrow-counter-clockwise", "magnifying-glass", "columns", "star", "star-fill", "flask",
    "folder-open", "copy", "x", "caret-right", "dots-three", "sun", "moon", "circle-half",
)  # fmt: skip
SWATCH = (56, 30)
SWATCH_COLUMNS = 4
ICON_COLUMNS = 12
WORD_COLUMNS = 6
TALL, MEDIUM = 320, 180


class _Swatch(QWidget):
    """A token's colour."""

    def __init__(self, theme: Theme, token: str) -> None:
        super().__init__()
        self._theme = theme
        self._token = token
        self.setFixedSize(*SWATCH)
        theme.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the colour with a hairline around it."""
        tokens = self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(tokens.edge)))
        painter.setBrush(QColor(getattr(tokens, self._token)))
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(box, CARD_RADIUS, CARD_RADIUS)
        painter.end()


class GalleryPage(Page):
    """Cards of samples, one below the other."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.column.addWidget(page_title("Components"))
        inner = QWidget()
        self._cards = QVBoxLayout(inner)
        self._cards.setContentsMargins(0, 0, SPACING, 0)
        self._cards.setSpacing(SPACING)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(inner)
        self.column.addWidget(area, 1)
        for title, content in (
            ("Colours, with their contrast on a card", self._colours()),
            ("Type", self._type()),
            ("Icons", self._icons()),
            ("Buttons", buttons(self._theme)),
            ("Fields", fields()),
            ("Choices", choices(self._theme)),
            ("Chips and dots", self._chips()),
            ("Messages", self._messages()),
            ("Stages", self._stages()),
            ("Form", self._form()),
            ("Rows", self._rows()),
            ("Completion", self._completion()),
            ("Explained words", self._words()),
        ):
            card = Card(title)
            card.body.addWidget(content)
            self._cards.addWidget(card)
        self.charts = Card("Charts")
        self.load = Button(theme, "Load the charts", "", "chart-line-up")
        self.load.clicked.connect(self.show_charts)
        self.charts.body.addWidget(self.load, 0, Qt.AlignmentFlag.AlignLeft)
        self._cards.addWidget(self.charts)
        self._cards.addStretch(1)
        theme.changed.connect(self._name_colours)

    def show_charts(self) -> None:
        """Make the charts, with and without data; once."""
        if not self.load.isVisibleTo(self):
            return
        self.load.hide()
        curves, charts, heatmaps = (_module(name) for name in CHART_MODULES)
        steps, values = samples.curve()
        line = charts.LineChart(self._theme, "Sample curves")
        line.set_lines(
            curves.Line(role, role, role, steps, values * (1 + place))
            for place, role in enumerate(samples.ROLES)
        )
        heatmap = samples.similarity()
        square = heatmaps.HeatmapView(self._theme, "Sample map")
        square.set_data(heatmap.values, heatmap.rows, heatmap.cols)
        nothing = charts.LineChart(
            self._theme, "No curves", empty="Curves begin with the first step."
        )
        row = QHBoxLayout()
        for chart in (line, square, nothing):
            chart.setMinimumHeight(MEDIUM)
            row.addWidget(chart, 1)
        self.charts.body.addLayout(row)

    def _colours(self) -> QWidget:
        box, grid = grid_box()
        self._names: dict[str, Elided] = {}
        names = [
            name for name, value in asdict(self._theme.tokens).items() if isinstance(value, str)
        ]
        for place, name in enumerate(names):
            row, column = divmod(place, SWATCH_COLUMNS)
            grid.addWidget(_Swatch(self._theme, name), row, 2 * column)
            self._names[name] = Elided("", "small")
            grid.addWidget(self._names[name], row, 2 * column + 1)
            grid.setColumnStretch(2 * column + 1, 1)
        self._name_colours()
        return box

    def _name_colours(self) -> None:
        tokens = self._theme.tokens
        for name, shown in self._names.items():
            colour = getattr(tokens, name)
            shown.set_text(f"{name}  {colour}  {contrast(colour, tokens.panel):.1f}")

    def _type(self) -> QWidget:
        box, column = column_box()
        for role in LABEL_ROLES:
            column.addWidget(label(f"{role or 'body'}: 0123456789 recovered fraction", role))
        sizes = ", ".join(f"{name} {size} px" for name, size in TYPE_SCALE.items())
        mono = label(f"mono: 0O 1lI -- != => {sizes}")
        mono.setFont(self._theme.mono())
        column.addWidget(mono)
        return box

    def _icons(self) -> QWidget:
        box, grid = grid_box()
        for place, name in enumerate(ICONS):
            made = Button(self._theme, "", "quiet", name)
            made.setAccessibleName(name)
            made.setToolTip(name)
            grid.addWidget(made, *divmod(place, ICON_COLUMNS))
        grid.setColumnStretch(ICON_COLUMNS, 1)
        return box

    def _chips(self) -> QWidget:
        box, column = column_box()
        row = QHBoxLayout()
        for status in samples.STATUSES:
            chip = Chip(self._theme)
            chip.set_status(status, status)
            row.addWidget(chip)
        row.addWidget(Chip(self._theme, "removable", "accent", removable=True))
        for token in (*samples.ROLES, *dict.fromkeys(STATUS_TOKENS.values())):
            row.addWidget(Dot(self._theme, token))
        row.addStretch(1)
        column.addLayout(row)
        return box

    def _messages(self) -> QWidget:
        box, column = column_box()
        for level in ("info", "warning", "error"):
            notice = Notice(self._theme)
            column.addWidget(notice)
            notice.tell(level, f"What happened ({level}).", "What to do.")
        column.addWidget(Empty(self._theme, "flask", "Nothing here yet", "What would be here."))
        return box

    def _stages(self) -> QWidget:
        box, column = column_box()
        for strip, chosen in ((StageStrip(self._theme), -1), (RecipeStrip(self._theme), 0)):
            strip.set_cards(samples.STAGES, chosen)
            column.addWidget(strip)
        return box

    def _form(self) -> QWidget:
        form = SpecForm(self._theme)
        form.setMinimumHeight(TALL)
        form.show_fields(samples.FIELDS)
        return form

    def _rows(self) -> QWidget:
        tabs = QTabWidget()
        tabs.setFixedHeight(MEDIUM)
        table = Table(self._theme, "Sample scores")
        table.show_rows(samples.COLUMNS, samples.ROWS)
        items = QListWidget()
        items.setAccessibleName("Sample list")
        items.addItems(list(samples.STATUSES))
        items.setCurrentRow(1)
        tree = QTreeWidget()
        tree.setAccessibleName("Sample tree")
        tree.setHeaderLabels(["checkpoint", "kind"])
        base = QTreeWidgetItem(tree, ["base", "base"])
        QTreeWidgetItem(QTreeWidgetItem(base, ["nf4", "quantize"]), ["recovered", "sdft"])
        tree.expandItem(base)
        graph = LineageGraph(self._theme, "Sample lineage")
        graph.set_nodes(samples.FAMILY)
        for title, view in (("Table", table), ("List", items), ("Tree", tree), ("Graph", graph)):
            tabs.addTab(view, title)
        return tabs

    def _completion(self) -> QWidget:
        view = CompletionView(self._theme)
        view.setFixedHeight(MEDIUM)
        view.show_completion(samples.COMPLETION)
        return view

    def _words(self) -> QWidget:
        box, grid = grid_box()
        for place, (word, text) in enumerate(WORDS.items()):
            grid.addWidget(Explained(word, text), *divmod(place, WORD_COLUMNS))
        return box


def _module(name: str) -> Any:
    return importlib.import_module(name)
