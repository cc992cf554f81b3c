"""The run list: every run of the database, searched, sorted, starred, opened, compared."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import (
    QByteArray,
    QModelIndex,
    QPoint,
    Qt,
    Signal,
)
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
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
from app.views.dialogs import Dialogs
from app.views.page import Page
from app.views.run_table import RunFilter, RunTable
from app.widgets.controls import Button, Card, Picker, label
from app.widgets.delegates import HueDelegate, SparklineDelegate, StarDelegate, StatusDelegate
from app.widgets.messages import Empty
from app.widgets.theme import Theme

ROW_HEIGHTS = {"compact": 26, "normal": 32, "roomy": 40}
WIDTHS = {
    "star": 30,
    "status": 158,
    "name": 220,
    "stages": 124,
    "model": 150,
    "base": 97,
    "degraded": 97,
    "recovered": 97,
    "fraction": 82,
    "loss": 60,
    "created": 150,
    "duration": 76,
}
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
        """Write the columns' order, widths and visibility to the settings."""
        state = self.table.horizontalHeader().saveState()
        self._settings.columns[SETTINGS_KEY] = bytes(state.toBase64().data()).decode("ascii")

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
        self._columns = Button(theme, "", "", "columns")
        self._columns.setAccessibleName("Columns")
        self._columns.setToolTip("Choose the columns")
        self._columns.clicked.connect(self._column_menu)
        row.addWidget(self._columns)
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
        header.setMinimumSectionSize(WIDTHS["star"])
        header.setSortIndicator(COLUMNS.index("created"), Qt.SortOrder.DescendingOrder)
        for place, key in enumerate(COLUMNS):
            header.resizeSection(place, WIDTHS[key])
        saved = self._settings.columns.get(SETTINGS_KEY, "")
        if not saved or not header.restoreState(QByteArray.fromBase64(saved.encode("ascii"))):
            header.setSectionResizeMode(COLUMNS.index("name"), QHeaderView.ResizeMode.Stretch)
            for key in HIDDEN_AT_FIRST:
                header.hideSection(COLUMNS.index(key))
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
        shown = [place for place in range(len(COLUMNS)) if not self.table.isColumnHidden(place)]
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
            if key in ("star", "name"):
                continue
            title = self._model.headerData(place, Qt.Orientation.Horizontal)
            action = menu.addAction(str(title or key))
            action.setCheckable(True)
            action.setChecked(not self.table.isColumnHidden(place))
            action.toggled.connect(
                lambda on, place=place: self.table.setColumnHidden(place, not on)
            )
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self._columns.mapToGlobal(self._columns.rect().bottomLeft()))

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
