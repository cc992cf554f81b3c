"""Everything that is wrong with the recipe, each with the way to its field and, where there is one, out of it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.recipe_types import ProblemView
from app.widgets.controls import Button
from app.widgets.messages import Empty
from app.widgets.theme import Theme

FINE = "Every field was checked. A problem would stand here and beside its field."


class ProblemsPanel(QStackedWidget):
    """A list of problems; `wanted` asks for a problem's field, `fix_wanted` for its way out."""

    wanted = Signal(str, str)  # card, path
    fix_wanted = Signal(str, str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._problems: tuple[ProblemView, ...] = ()
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName("Problems of the recipe")
        self.list.itemActivated.connect(self._go)
        self.list.itemClicked.connect(self._go)
        self.list.currentRowChanged.connect(lambda _: self._show_fix())
        self.fix = Button(theme, "Mend", "", "magic-wand")
        self.fix.clicked.connect(self._fix)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.fix)
        filled = QWidget()
        column = QVBoxLayout(filled)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list, 1)
        column.addLayout(foot)
        self.addWidget(filled)
        self.addWidget(Empty(theme, "check-circle", "No problems", FINE, small=True))

    def show_problems(self, problems: Sequence[ProblemView]) -> None:
        """Show these problems."""
        if tuple(problems) == self._problems and self.list.count() == len(problems):
            return
        self._problems = tuple(problems)
        at = self.list.currentRow()
        self.list.clear()
        for problem in problems:
            words = f"{problem.message} {problem.hint}".strip()
            item = QListWidgetItem(f"{problem.path}\n{words}" if problem.path else words)
            item.setData(Qt.ItemDataRole.UserRole, (problem.card, problem.path))
            self.list.addItem(item)
        self.list.setCurrentRow(min(max(at, 0), self.list.count() - 1))
        self.setCurrentIndex(0 if problems else 1)
        self._show_fix()

    def _current(self) -> ProblemView | None:
        row = self.list.currentRow()
        return self._problems[row] if 0 <= row < len(self._problems) else None

    def _show_fix(self) -> None:
        problem = self._current()
        words = problem.fix if problem is not None else ""
        self.fix.setVisible(bool(words))
        self.fix.setText(f" {words}")
        self.fix.setAccessibleName(words)

    def _fix(self) -> None:
        problem = self._current()
        if problem is not None:
            self.fix_wanted.emit(problem.card, problem.path)

    def _go(self, item: QListWidgetItem) -> None:
        card, path = item.data(Qt.ItemDataRole.UserRole)
        self.wanted.emit(card, path)
