"""The header of the run list: how many, the filter, the groups, and buttons for what is done most."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.viewmodels.arranged_runs import ArrangedRuns
from app.viewmodels.run_arrange import GROUPS
from app.viewmodels.runs import RunsModel
from app.views.filter_field import FilterField
from app.widgets.controls import Button, Picker, label
from app.widgets.theme import Theme

STATUS_PX, GROUP_PX = 104, 150
STATUS_CHOICES = (
    ("", "all runs"),
    ("running", "running"),
    ("queued", "queued"),
    ("done", "done"),
    ("stopped", "stopped"),
    ("failed", "failed"),
    ("interrupted", "interrupted"),
)


class RunHead(QWidget):
    """Filters, sorts and groups the list by itself; the other buttons are for the page to connect.

    Args:
        theme: for the icons.
        runs: every run.
        model: the runs that are shown.
    """

    def __init__(self, theme: Theme, runs: RunsModel, model: ArrangedRuns) -> None:
        super().__init__()
        self._runs = runs
        self._model = model
        self._count = label("", "caption")
        self.search = FilterField(theme, runs.vocabulary)
        self.search.changed.connect(model.set_query)
        self.status = Picker("Status")
        self.status.setProperty("flat", False)
        self.status.set_options(STATUS_CHOICES, "")
        self.status.setMinimumWidth(STATUS_PX)
        self.status.chosen.connect(model.set_status)
        self.group = GroupPicker(self._group_choices)
        self.group.chosen.connect(self.set_group)
        self.columns = _icon_button(
            theme, "columns", "Columns", "Choose the columns (Ctrl+Shift+K)"
        )
        what = "Export the list as CSV"
        self.export = _icon_button(theme, "export", what, f"{what} (Ctrl+E)")
        self.compare = Button(theme, "Compare", "", "git-diff")
        self.compare.setToolTip("Compare the selected runs (C)")
        self.compare.setEnabled(False)
        self.new = Button(theme, "New run", "primary", "plus-circle")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label("Runs", "title"))
        row.addWidget(self._count)
        row.addStretch(1)
        for widget in (
            self.search,
            self.status,
            self.group,
            self.columns,
            self.export,
            self.compare,
            self.new,
        ):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.search.error)

    def show_count(self, shown: int, total: int) -> None:
        """How many runs pass the filter."""
        of = f"{shown:,} of {total:,}" if shown != total else f"{total:,}"
        self._count.setText(of if total else "")

    def set_group(self, group: str) -> None:
        """Group by a key; "" takes the groups away."""
        self._model.set_group(group)
        self.group.set_options(self._group_choices(), group)

    def clear(self) -> None:
        """Show every run."""
        self.search.clear()
        self.status.setCurrentIndex(0)
        self._model.set_status("")

    def _group_choices(self) -> Sequence[tuple[str, str]]:
        varied = self._runs.vocabulary().varied
        own = [*GROUPS.items(), *((key, key.removeprefix("stages.")) for key in varied)]
        group = self._model.wish.group
        own += [] if group in dict(own) else [(group, group)]
        return [(key, f"by {text}" if key else text) for key, text in own]


class GroupPicker(Picker):
    """By what the list is grouped; what it offers is asked for when it opens."""

    def __init__(self, choices: Callable[[], Sequence[tuple[str, str]]]) -> None:
        super().__init__("Groups")
        self._choices = choices
        self.setProperty("flat", False)
        self.setMaximumWidth(GROUP_PX)

    def showPopup(self) -> None:
        """Offer what can be grouped by now."""
        self.set_options(self._choices(), self.key())
        super().showPopup()


def _icon_button(theme: Theme, icon: str, name: str, tip: str) -> Button:
    button = Button(theme, "", "", icon)
    button.setAccessibleName(name)
    button.setToolTip(tip)
    return button
