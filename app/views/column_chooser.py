"""The menu in which columns of the run list are chosen: built-in ones, and any field, series or score."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMenu, QWidget

from app.viewmodels.arranged_runs import ArrangedRuns
from app.viewmodels.run_cells import COLUMNS, title
from app.viewmodels.run_vocabulary import Vocabulary
from app.views.column_fit import ColumnFit

MOST_LISTED = 80
"""Columns of one kind in the menu."""


def column_menu(
    parent: QWidget,
    at: QPoint,
    model: ArrangedRuns,
    fit: ColumnFit,
    known: Vocabulary,
    always: Iterable[str],
) -> QMenu:
    """Show the menu; `always` are the columns that cannot be left out."""  # fmt: skip
    menu = QMenu(parent)
    menu.setToolTipsVisible(True)
    for key in COLUMNS:
        if key not in always:
            action = menu.addAction(title(key))
            action.setCheckable(True)
            action.setChecked(fit.wanted(key))
            action.toggled.connect(lambda on, key=key: fit.choose(key, on))
    menu.addSeparator()
    for name, keys in (
        ("Recipe field", known.fields),
        ("Metric, newest value", known.metrics),
        ("Score of a task", known.scores),
    ):
        part = menu.addMenu(name)
        part.setEnabled(bool(keys))
        shown = [*(it for it in model.extras if it in keys), *keys]
        for key in list(dict.fromkeys(shown))[:MOST_LISTED]:
            action = part.addAction(title(key))
            action.setCheckable(True)
            action.setChecked(key in model.extras)
            action.toggled.connect(lambda on, key=key: _choose(model, key, on))
    strangers = [
        it for it in model.extras if it not in {*known.fields, *known.metrics, *known.scores}
    ]
    for key in strangers:
        action = menu.addAction(f"Remove {title(key)}")
        action.triggered.connect(lambda _=False, key=key: model.remove_column(key))
    menu.addSeparator()
    menu.addAction("Fit widths to content").triggered.connect(lambda: fit.forget_widths())
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.popup(at)
    return menu


def _choose(model: ArrangedRuns, key: str, on: bool) -> None:
    if on:
        model.add_column(key)
    else:
        model.remove_column(key)
