"""Runs beside each other: scores, overlaid curves, CKA by layer, and what differs in their recipes."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.glossary import explain
from app.viewmodels.provenance import run_part
from app.views.compare_charts import CompareCharts
from app.views.compare_looks import run_hue
from app.views.dialogs import Dialogs
from app.views.keeping import SAVE_KEYS, Keeper
from app.views.page import SPACING, Page
from app.views.score_rows import score_rows
from app.views.splitting import restore, splitter
from app.widgets.actions import PageAction
from app.widgets.controls import Button, Card, Chip, label
from app.widgets.explained import explain_heading
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

MOST_OFFERED = 30
MOST_NAMED = 2
"""Runs in the name of a file."""
TEACHING = (
    "Choose two or more runs in the list (Ctrl+click) and press Compare. A single run works too: its base, "
    "degraded and recovered models stand side by side. Scores are subtracted only within one protocol."
)


class ComparePage(Page):
    """Shows the compare view model."""

    runs_wanted = Signal()
    opened = Signal(str)

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._application = application
        self._model = application.compare
        self._settings = settings
        self._theme = theme
        self.keeper = Keeper(
            self, theme, dialogs, application.message.emit, application.offload, self._name
        )
        self._chips: list[Chip] = []
        self.column.addLayout(self._head())
        self.empty = Empty(theme, "git-diff", "Nothing to compare yet", TEACHING)
        self.empty.add_action("Choose runs", "rows", self.runs_wanted.emit)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._content())
        self.column.addWidget(self.stack, 1)
        self._model.changed.connect(lambda: self.later(self._show_all))
        self._model.loadingChanged.connect(lambda: self.later(self._show_loading))
        theme.changed.connect(lambda: self.later(self._show_all))
        save = QShortcut(QKeySequence(SAVE_KEYS), self)
        save.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        save.activated.connect(self._save_picture)
        self._show_all()

    def page_actions(self) -> tuple[PageAction, ...]:
        """Add runs, look at one of them, begin anew."""
        runs = self._model.runs()
        return (
            PageAction("Add a run to the comparison…", self._add_menu, icon="plus"),
            PageAction("Choose runs in the list", self.runs_wanted.emit, icon="rows"),
            PageAction(
                "Save a chart as a picture…",
                self._save_picture,
                SAVE_KEYS,
                lambda: bool(runs),
                "image",
            ),
            PageAction(
                "Follow the curves again after a zoom",
                self.charts.overlay.reset_view,
                enabled=lambda: bool(runs),
                icon="arrows-out",
            ),
            PageAction(
                "Take all runs out of the comparison",
                lambda: self._model.set_runs([]),
                enabled=lambda: bool(runs),
                icon="x",
            ),
            *(
                PageAction(f"Open {run.label}", partial(self.opened.emit, run.uid), icon="eye")
                for run in runs
            ),
        )

    def _name(self) -> str:
        """The words that begin the name of a file."""
        return " and ".join(run.label for run in self._model.runs()[:MOST_NAMED])

    def _save_picture(self) -> None:
        if self._model.runs():
            self.charts.save_picture()

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(label("Compare", "title"))
        self._chip_row = QHBoxLayout()
        self._chip_row.setSpacing(8)
        row.addLayout(self._chip_row)
        self.add = Button(self._theme, "Add…", "", "plus")
        self.add.setToolTip("Add a run to the comparison")
        self.add.clicked.connect(self._add_menu)
        row.addWidget(self.add)
        self._loading = label("", "caption")
        row.addWidget(self._loading)
        row.addStretch(1)
        return row

    def _content(self) -> QWidget:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SPACING)
        self.scores = Table(self._theme, "Scores of the compared runs")
        self._scores_card = Card(
            "Accuracy", "per cent · 95 % intervals and protocol in the tooltip"
        )
        explain_heading(self._scores_card, explain("accuracy"))
        self._scores_card.body.addWidget(self.scores)
        column.addWidget(self._scores_card)
        self.charts = CompareCharts(self._model, self._settings, self._theme, self.keeper)
        self.differences = Table(self._theme, "Differences of the recipes")
        self._differences_card = Card("What differs in the recipes")
        self._same = Empty(
            self._theme,
            "equals",
            "",
            "",
            small=True,
        )
        self._differences = QStackedWidget()
        self._differences.addWidget(self._same)
        self._differences.addWidget(self.differences)
        self._differences_card.body.addWidget(self._differences)
        self.halves: QSplitter = splitter(self._settings, "compare halves", Qt.Orientation.Vertical)
        self.halves.addWidget(self.charts)
        self.halves.addWidget(self._differences_card)
        restore(self.halves, self._settings, [290, 190])
        column.addWidget(self.halves, 1)
        return content

    def _show_all(self) -> None:
        runs = self._model.runs()
        self.stack.setCurrentIndex(1 if runs else 0)
        self._show_chips()
        self._show_loading()
        if not runs:
            return
        hues = [run_hue(self._theme, place) for place in range(len(runs))]
        self.scores.show_rows(*score_rows(self._model.table(), self._theme, runs, hues))
        self._scores_card.setVisible(self.scores.rowCount() > 0)
        self.scores.setFixedHeight(min(self.scores.content_height(), 220))
        self.charts.refresh()
        self._show_differences()

    def _show_loading(self) -> None:
        self._loading.setText("reading…" if self._model.loading else "")

    def _show_chips(self) -> None:
        for chip in self._chips:
            self._chip_row.removeWidget(chip)
            chip.deleteLater()
        self._chips = []
        for place, run in enumerate(self._model.runs()):
            named = f"{run.letter}  {run.short}" if run.letter else run.label
            chip = Chip(self._theme, named, run_hue(self._theme, place), removable=True)
            chip.setToolTip(f"{run_part(run.name, run.uid)} · {run.status_text}")
            chip.removed.connect(lambda uid=run.uid: self._model.remove_run(uid))
            self._chip_row.addWidget(chip)
            self._chips.append(chip)

    def _show_differences(self) -> None:
        rows = self._model.differences()
        runs = self._model.runs()
        columns = [Column("field", numeric=False)]
        columns += [
            Column(f"{run.letter} {run.short}", numeric=False, stretch=True, tip=run.label)
            for run in runs
        ]
        self.differences.show_rows(
            columns,
            [
                [Cell(row.path, tip=row.label)]
                + [
                    Cell(value, "third" if note else "", tip=note)
                    for value, note in zip(row.values, row.notes, strict=True)
                ]
                for row in rows
            ],
        )
        self._differences.setCurrentIndex(1 if rows else 0)
        if len(runs) > 1:
            self._same.set("No differences", "The recipes of these runs are equal, field by field.")
        else:
            self._same.set(
                "One run", "Add a second run to see which fields of their recipes differ."
            )
        self._differences_card.set_caption(
            f"{len(rows)} of {self._model.field_count()} fields" if len(runs) > 1 else ""
        )

    def _add_menu(self) -> None:
        model = self._application.runs
        compared = set(self._model.uids())
        menu = QMenu(self)
        for row in range(model.rowCount()):
            uid = model.uid_at(row)
            if uid not in compared:
                name = model.name_of(uid)
                action = menu.addAction(name.replace("&", "&&"))
                action.triggered.connect(lambda _=False, uid=uid: self._model.add_run(uid))
            if len(menu.actions()) >= MOST_OFFERED:
                break
        menu.addSeparator()
        menu.addAction("Choose in the list").triggered.connect(lambda: self.runs_wanted.emit())
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.add.mapToGlobal(self.add.rect().bottomLeft()))
