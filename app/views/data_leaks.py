"""Evaluation items that training data already ask: which datasets, what was found, and both items side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.settings import Settings
from app.viewmodels.data import DataViewModel
from app.viewmodels.data_leaks import CRITERION, KIND, WITHIN, Finding, Pair
from app.views.data_items import ItemPane
from app.views.splitting import restore, splitter
from app.widgets.controls import Button, Picker, label
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

TEACHING = (
    "Choose a training and an evaluation set, or all pairs of the recipe. The same dataset twice looks for "
    "items that are asked twice. "
) + CRITERION
TEACHING_WITHIN = f"Press Find repeats to look for items that are asked twice. {WITHIN} Paraphrases are not found."
MOST_ROWS = 500
"""Pairs in the table; all are counted and copied."""
TOLD = "The texts of the first 200 pairs are told; go to the item to read this one."


class LeaksView(QWidget):
    """Compares datasets when asked."""

    def __init__(self, model: DataViewModel, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self._model = model
        leaks = model.leaks
        self.training = Picker("Training set")
        self.evaluation = Picker("Evaluation set")
        for picker in (self.training, self.evaluation):
            picker.setProperty("flat", False)
            picker.setMaximumWidth(200)
            picker.chosen.connect(lambda _: self.refresh())
        self.compare = Button(theme, "Compare", "", "magnifying-glass")
        self.compare.clicked.connect(self.start)
        self.every = Button(theme, "All pairs of the recipe", "", "stack")
        self.every.clicked.connect(lambda: leaks.compare(model.recipe_pairs()))
        self.cancel = Button(theme, "Cancel", "quiet", "x")
        self.cancel.clicked.connect(leaks.cancel)
        self.state = label("", "hint")
        self.tsv = Button(theme, "TSV", "quiet", "copy")
        self.tsv.setAccessibleName("Copy what was found as TSV")
        self.markdown = Button(theme, "Markdown", "quiet", "copy")
        self.markdown.setAccessibleName("Copy what was found as Markdown")
        clipboard = QGuiApplication.clipboard
        self.tsv.clicked.connect(lambda: clipboard().setText(leaks.tsv()))
        self.markdown.clicked.connect(lambda: clipboard().setText(leaks.markdown()))
        tools = QHBoxLayout()
        tools.setSpacing(8)
        for widget in (
            label("train", "caption"),
            self.training,
            label("evaluate", "caption"),
            self.evaluation,
            self.compare,
            self.every,
            self.cancel,
        ):
            tools.addWidget(widget)
        tools.addStretch(1)
        tools.addWidget(self.tsv)
        tools.addWidget(self.markdown)
        self.summary = label("", "caption", wrap=True)
        self.criterion = label("", "hint", wrap=True)
        self.summary.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.pairs = Table(theme, "Shared items")
        self.pairs.itemSelectionChanged.connect(self._show_pair)
        self.asked = ItemPane(theme, "Evaluation item")
        self.taught = ItemPane(theme, "Training item")
        self.sides: QSplitter = splitter(settings, "data leaks", Qt.Orientation.Horizontal)
        self.sides.addWidget(self.pairs)
        self.sides.addWidget(self.asked)
        self.sides.addWidget(self.taught)
        restore(self.sides, settings, [400, 330, 330])
        self.empty = Empty(theme, "intersect", "Not compared yet", TEACHING, small=True)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.sides)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(tools)
        column.addWidget(self.state)
        self.state.hide()
        column.addWidget(self.summary)
        column.addWidget(self.criterion)
        column.addWidget(self._stack, 1)
        self._rows: tuple[tuple[Finding, Pair], ...] = ()
        leaks.progress.connect(self._tell)

    def _tell(self, told: str) -> None:
        self.state.setText(told)
        self.state.setVisible(bool(told))

    def start(self) -> None:
        """Compare the two that are chosen."""
        library = self._model.library
        one, other = library.entry(self.training.key()), library.entry(self.evaluation.key())
        if one is not None and other is not None:
            self._model.leaks.compare(((one, other),), within=one.key == other.key)

    def refresh(self) -> None:
        """Show what is known now."""
        leaks = self._model.leaks
        options = self._model.library.options()
        for picker in (self.training, self.evaluation):
            keys = [key for key, _ in options]
            kept = picker.key() if picker.key() in keys else self._model.key
            picker.set_options(options, kept if kept in keys else (keys[0] if keys else ""))
        same = self.training.key() == self.evaluation.key()
        self.compare.setText(" Find repeats" if same else " Compare")
        self.compare.setAccessibleName(self.compare.text().strip())
        self.compare.setEnabled(bool(options) and not leaks.comparing)
        pairs = len(self._model.recipe_pairs())
        self.every.setEnabled(pairs > 0 and not leaks.comparing)
        self.every.setToolTip(
            f"{pairs} {'pair' if pairs == 1 else 'pairs'} of training and evaluation sets"
            if pairs
            else "The recipe in New run does not both train and evaluate on a dataset"
        )
        self.cancel.setVisible(leaks.comparing)
        self.summary.setText("\n".join(it.summary for it in leaks.findings))
        self.summary.setVisible(bool(leaks.findings))
        self._show_rows(leaks.findings, same)

    def _show_rows(self, findings: Sequence[Finding], same: bool) -> None:
        rows = tuple((finding, pair) for finding in findings for pair in finding.pairs[:MOST_ROWS])
        count = sum(len(finding.pairs) for finding in findings)
        rows = rows[:MOST_ROWS]
        more = f"The first {MOST_ROWS:,} of {count:,} are listed; all are copied."
        within = any(it.within for it in findings)
        self.criterion.setText(f"{more} " * (count > MOST_ROWS) + (WITHIN if within else CRITERION))
        self.criterion.setVisible(bool(rows))
        for button in (self.tsv, self.markdown):
            button.setEnabled(bool(findings))
        if rows:
            self._stack.setCurrentWidget(self.sides)
        else:
            clean = any(not it.error[0] for it in findings)
            if clean:
                self.empty.set("Nothing shared", WITHIN if within else CRITERION)
            else:
                self.empty.set("Not compared yet", TEACHING_WITHIN if same else TEACHING)
            self._stack.setCurrentWidget(self.empty)
        if rows == self._rows:
            return
        self._rows = rows
        several = len(findings) > 1
        columns = [Column("datasets", numeric=False, stretch=True)] if several else []
        columns += [
            Column("item"),
            Column("asked in"),
            Column("what", numeric=False, stretch=not several),
            Column(
                "share", tip="Share of the item's runs of 13 words that the training item holds"
            ),
        ]
        self.pairs.show_rows(
            columns,
            [
                [
                    *([Cell(f"{it.evaluation} in {it.training}")] if several else []),
                    Cell(f"{pair.evaluated + 1:,}"),
                    Cell(f"{pair.trained + 1:,}"),
                    Cell(KIND[pair.kind]),
                    Cell(f"{100 * pair.share:.0f} %"),
                ]
                for it, pair in rows
            ],
        )
        if rows:
            self.pairs.selectRow(0)
        self._show_pair()

    def _show_pair(self) -> None:
        chosen = self.pairs.selectedIndexes()
        if not chosen or chosen[0].row() >= len(self._rows):
            return
        finding, pair = self._rows[chosen[0].row()]
        first = f"{finding.evaluation}, item {pair.evaluated + 1:,}"
        second = f"{finding.training}, item {pair.trained + 1:,}"
        self.asked.show_turns(first, (("", pair.asked or TOLD),))
        self.taught.show_turns(second, (("", pair.taught or TOLD),))
