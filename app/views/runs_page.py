"""The run list: every run of the database, searched, sorted, starred, opened, compared."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import (
    QModelIndex,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import QFont, QFontMetrics, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QStackedWidget,
    QWidget,
)

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.runs import (
    COLUMNS,
    HUE_ROLE,
    SPARKLINE_ROLE,
    STAR_ROLE,
    STATUS_ROLE,
    UID_ROLE,
)
from app.views.column_fit import ColumnFit
from app.views.dialogs import Dialogs
from app.views.page import Page
from app.views.run_table import RunFilter, RunTable
from app.widgets.controls import Button, Card, Picker, label
from app.widgets.delegates import (
    CHIP_PX,
    HueDelegate,
    SparklineDelegate,
    StarDelegate,
    StatusDelegate,
)
from app.widgets.messages import Empty
from app.widgets.theme import Theme

ROW_HEIGHTS = {"compact": 26, "normal": 32, "roomy": 40}
STAR_PX, SPARKLINE_PX = 30, 60
NAME_CHARACTERS = 44
"""A name of this length is shown in full before any other column is."""
CELL_PADDING = 24
ARROW_PX = 14
SMALL_PX = 11
"""Headings and status chips."""
GIVING_WAY = (
    "duration",
    "model",
    "stages",
    "loss",
    "created",
    "base",
    "degraded",
    "fraction",
    "recovered",
    "status",
)
HIDDEN_AT_FIRST = ("model", "duration")
SETTINGS_KEY = "runs"
STATUS_CHOICES = (
    ("", "all runs"),
    ("running", "running"),
    ("queued", "queued"),
    ("done", "done"),
    ("stopped", "stopped"),
    ("failed", "failed"),
    ("interrupted", "interrupted"),
)
TEACHING = (
    "A run takes a base model, degrades it (4-bit weights, pruning, or fine-tuning), and brings it back "
    "by self-distillation: the model writes its own answers, and the undegraded teacher, who has seen an "
    "expert's answer, scores every token. Each step is measured, so that base, degraded and recovered "
    "stand side by side."
)


class RunsPage(Page):
    """Header with search and filter, then the table, or what teaches while there is no run."""

    opened = Signal(str)
    compared = Signal(list)
    reused = Signal(str)
    new_wanted = Signal()

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._application = application
        self._model = application.runs
        self._settings = settings
        self._dialogs = dialogs
        self._proxy = RunFilter()
        self._proxy.setSourceModel(self._model)
        self._acts: dict[str, Callable[[list[str]], None]] = {
            "open": lambda uids: self.opened.emit(uids[0]),
            "star": lambda uids: self._mark(uids, 1),
            "cross": lambda uids: self._mark(uids, -1),
            "rename": lambda uids: self._rename(uids[0]),
            "delete": self._delete,
            "compare": self.compared.emit,
            "reuse": lambda uids: self.reused.emit(uids[0]),
            "copy": self._copy,
        }
        self.column.addLayout(self._head(theme))
        self.table = self._table(theme)
        self.columns = ColumnFit(self.table, COLUMNS, "name", GIVING_WAY)
        self.columns.restore(settings.columns.get(SETTINGS_KEY, ""), HIDDEN_AT_FIRST)
        self._measure()
        self.table.resized.connect(self.columns.fit)
        self._model.longestChanged.connect(lambda: self.later(self._measure))
        card = Card()
        card.heading.hide()
        card.caption.hide()
        card.layout().setContentsMargins(1, 4, 1, 4)  # type: ignore[union-attr]
        card.body.addWidget(self.table)
        self.empty = Empty(theme, "flask", "No runs yet", TEACHING)
        self.empty.add_action("New run", "plus-circle", self.new_wanted.emit)
        self._waiting = QWidget()
        self._nothing = Empty(
            theme,
            "magnifying-glass",
            "No run matches",
            "Clear the search or choose another status.",
        )
        self._nothing.add_action("Show all runs", "rows", self._clear_filter, primary=False)
        self.stack = QStackedWidget()
        for widget in (self._waiting, self.empty, self._nothing, card):
            self.stack.addWidget(widget)
        self._card = card
        self.column.addWidget(self.stack, 1)
        for signal in (
            self._model.loadedChanged,
            self._model.rowsInserted,
            self._model.rowsRemoved,
            self._model.modelReset,
            self._proxy.rowsInserted,
            self._proxy.rowsRemoved,
        ):
            signal.connect(lambda *_: self.later(self._show_state))
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.activated.connect(self.search.setFocus)
        self._show_state()

    def remember(self) -> None:
        """Write the columns' order and visibility to the settings."""
        self._settings.columns[SETTINGS_KEY] = self.columns.state()

    def selected(self) -> list[str]:
        """The selected runs, from top to bottom."""
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [str(self._proxy.index(row, 0).data(UID_ROLE)) for row in rows]

    def _head(self, theme: Theme) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(label("Runs", "title"))
        self._count = label("", "caption")
        row.addWidget(self._count)
        row.addStretch(1)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search name, model, stage, tag")
        self.search.setAccessibleName("Search runs")
        self.search.setClearButtonEnabled(True)
        self.search.setFixedWidth(260)
        self.search.textChanged.connect(self._search)
        row.addWidget(self.search)
        self.status = Picker("Status")
        self.status.setProperty("flat", False)
        self.status.set_options(STATUS_CHOICES, "")
        self.status.setMinimumWidth(116)
        self.status.chosen.connect(self._choose_status)
        row.addWidget(self.status)
        self._choice = Button(theme, "", "", "columns")
        self._choice.setAccessibleName("Columns")
        self._choice.setToolTip("Choose the columns")
        self._choice.clicked.connect(self._column_menu)
        row.addWidget(self._choice)
        self.compare_button = Button(theme, "Compare", "", "git-diff")
        self.compare_button.setToolTip("Compare the selected runs (C)")
        self.compare_button.clicked.connect(lambda: self._act("compare"))
        self.compare_button.setEnabled(False)
        row.addWidget(self.compare_button)
        new = Button(theme, "New run", "primary", "plus-circle")
        new.clicked.connect(self.new_wanted)
        row.addWidget(new)
        return row

    def _table(self, theme: Theme) -> RunTable:
        table = RunTable()
        table.setModel(self._proxy)
        table.setAccessibleName("Runs")
        table.setSortingEnabled(True)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setTabKeyNavigation(False)
        table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.verticalHeader().hide()
        height = ROW_HEIGHTS[self._settings.density]
        table.verticalHeader().setDefaultSectionSize(height)
        table.verticalHeader().setMinimumSectionSize(height)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setTextElideMode(Qt.TextElideMode.ElideRight)
        header.setSectionsMovable(True)
        header.setMinimumSectionSize(STAR_PX)
        header.setSortIndicator(COLUMNS.index("created"), Qt.SortOrder.DescendingOrder)
        table.setItemDelegateForColumn(COLUMNS.index("star"), StarDelegate(theme, STAR_ROLE))
        table.setItemDelegateForColumn(COLUMNS.index("status"), StatusDelegate(theme, STATUS_ROLE))
        table.setItemDelegateForColumn(
            COLUMNS.index("loss"), SparklineDelegate(theme, SPARKLINE_ROLE)
        )
        hue = HueDelegate(theme, HUE_ROLE)
        for key in ("base", "degraded", "recovered", "fraction"):
            table.setItemDelegateForColumn(COLUMNS.index(key), hue)
        table.doubleClicked.connect(lambda _: self._act("open"))
        table.clicked.connect(self._clicked)
        table.acted.connect(self._act)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._menu)
        table.selectionModel().selectionChanged.connect(lambda *_: self._selection_changed())
        return table

    def _measure(self) -> None:
        """Give each column the width of its heading and its longest text."""
        font = QFont(self.table.font())
        text = QFontMetrics(font)
        font.setPixelSize(SMALL_PX)
        font.setWeight(QFont.Weight.Medium)
        small = QFontMetrics(font)
        widths = {}
        for place, key in enumerate(COLUMNS):
            title = str(self._model.headerData(place, Qt.Orientation.Horizontal))
            longest = text.horizontalAdvance(self._model.longest.get(key, ""))
            heading = small.horizontalAdvance(title) + ARROW_PX
            widths[key] = max(heading, longest) + CELL_PADDING
        status = self._model.longest.get("status", "")
        widths["star"] = STAR_PX
        widths["loss"] = SPARKLINE_PX
        widths["status"] = small.horizontalAdvance(status) + CHIP_PX
        most = text.averageCharWidth() * NAME_CHARACTERS + CELL_PADDING
        widths["name"] = min(widths["name"], most)
        self.columns.set_widths(widths)

    def _act(self, what: str) -> None:
        uids = self.selected()
        if uids:
            self._acts[what](uids)

    def _clicked(self, index: QModelIndex) -> None:
        if index.column() == COLUMNS.index("star"):
            self._mark([str(index.data(UID_ROLE))], 1)

    def _mark(self, uids: list[str], star: int) -> None:
        """Set a star or a cross; the same again takes it away."""
        for uid in uids:
            row = self._model.row_of(uid)
            now = self._model.index(row, 0).data(STAR_ROLE)
            self._model.set_star(uid, 0 if now == star else star)

    def _rename(self, uid: str) -> None:
        name = self._dialogs.ask_text(self, "Rename the run", "Name", self._model.name_of(uid))
        if name is not None:
            self._model.rename(uid, name)

    def _delete(self, uids: list[str]) -> None:
        names = ", ".join(f"“{self._model.name_of(uid)}”" for uid in uids[:3])
        rest = f" and {len(uids) - 3} more" if len(uids) > 3 else ""
        text = (
            f"{names}{rest}: the recipe, all curves, completions and scores are deleted for good. "
            "Checkpoints on the disk stay."
        )
        title = "Delete the run?" if len(uids) == 1 else f"Delete {len(uids)} runs?"
        if self._dialogs.confirm(self, title, text, "Delete"):
            for uid in uids:
                self._application.delete(uid)

    def _copy(self, uids: list[str]) -> None:
        shown = [place for place, key in enumerate(COLUMNS) if self.columns.wanted(key)]
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        header = self._proxy.headerData
        lines = ["\t".join(str(header(at, Qt.Orientation.Horizontal) or "") for at in shown)]
        lines += [
            "\t".join(str(self._proxy.index(row, at).data() or "") for at in shown) for row in rows
        ]
        QGuiApplication.clipboard().setText("\n".join(lines))

    def _menu(self, at: QPoint) -> None:
        uids = self.selected()
        if not uids:
            return
        menu = QMenu(self.table)
        entries = [("open", "Open\tEnter"), ("reuse", "Use these settings")]
        entries = entries if len(uids) == 1 else []
        entries += [("compare", "Compare\tC"), ("star", "Star\tS"), ("cross", "Cross\tX")]
        entries += [("rename", "Rename…\tF2")] if len(uids) == 1 else []
        entries += [("copy", "Copy as TSV\tCtrl+C"), ("delete", "Delete…\tDel")]
        for key, text in entries:
            menu.addAction(text).triggered.connect(lambda _=False, key=key: self._act(key))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.table.viewport().mapToGlobal(at))

    def _column_menu(self) -> None:
        menu = QMenu(self)
        for place, key in enumerate(COLUMNS):
            if key not in GIVING_WAY:
                continue
            title = self._model.headerData(place, Qt.Orientation.Horizontal)
            action = menu.addAction(str(title or key))
            action.setCheckable(True)
            action.setChecked(self.columns.shown(key))
            action.toggled.connect(lambda on, key=key: self.columns.choose(key, on))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self._choice.mapToGlobal(self._choice.rect().bottomLeft()))

    def _search(self, text: str) -> None:
        self._proxy.set_words(text)
        self._show_state()

    def _choose_status(self, status: str) -> None:
        self._proxy.set_status(status)
        self._show_state()

    def _clear_filter(self) -> None:
        self.search.clear()
        self.status.setCurrentIndex(0)
        self._choose_status("")

    def _selection_changed(self) -> None:
        self.compare_button.setEnabled(bool(self.selected()))

    def _show_state(self) -> None:
        total, shown = self._model.rowCount(), self._proxy.rowCount()
        if not self._model.loaded:
            self.stack.setCurrentWidget(self._waiting)
        elif not total:
            self.stack.setCurrentWidget(self.empty)
        elif not shown:
            self.stack.setCurrentWidget(self._nothing)
        else:
            first = self.stack.currentWidget() is self._waiting
            self.stack.setCurrentWidget(self._card)
            if first and self.isVisible():
                self.table.setFocus()
        of = f"{shown} of {total}" if shown != total else f"{total}"
        self._count.setText(of if total else "")
