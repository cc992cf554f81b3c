"""The run list: the queue, then every run of the database, filtered, grouped, sorted, marked, opened, compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMenu, QStackedWidget, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.arranged_runs import ArrangedRuns
from app.viewmodels.run_cells import COLUMNS, UID_ROLE
from app.views.column_chooser import column_menu
from app.views.column_fit import ColumnFit
from app.views.dialogs import Dialogs
from app.views.page import Page
from app.views.queue_panel import QueuePanel
from app.views.run_acts import RunActs
from app.views.run_head import RunHead
from app.views.run_looks import dress, widths
from app.views.run_table import RunTable
from app.widgets.actions import PageAction
from app.widgets.controls import Card
from app.widgets.messages import Empty
from app.widgets.theme import Theme

GIVING_WAY = (
    "notes",
    "seed",
    "tags",
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
HIDDEN_AT_FIRST = ("model", "duration", "tags", "notes", "seed")
SETTINGS_KEY = "runs"
EXTRAS, SORTED, GROUPED = "runs.added_columns", "runs.sorted", "runs.grouped"
SINGLE = ("open", "reuse", "rename", "note")
"""Acts on one run only."""
MENU = (
    ("open", "Open\tEnter"),
    ("reuse", "Use these settings\tCtrl+D"),
    ("compare", "Compare\tC"),
    ("star", "Star\tS"),
    ("cross", "Cross\tX"),
    ("tag", "Tags…\tT"),
    ("note", "Notes…\tN"),
    ("rename", "Rename…\tF2"),
    ("copy", "Copy as TSV\tCtrl+C"),
    ("copy_markdown", "Copy as Markdown\tCtrl+Shift+C"),
    ("delete", "Delete…\tDel"),
)
ICONS = {
    "open": "chart-line-up",
    "reuse": "copy",
    "compare": "git-diff",
    "star": "star",
    "cross": "x",
    "tag": "tag",
    "note": "note-pencil",
    "rename": "pencil-simple",
    "delete": "trash",
}
TEACHING = (
    "A run takes a base model, degrades it (4-bit weights, pruning, or fine-tuning), and brings it back "
    "by self-distillation: the model writes its own answers, and the undegraded teacher, who has seen an "
    "expert's answer, scores every token. Each step is measured, so that base, degraded and recovered "
    "stand side by side."
)


class RunsPage(Page):
    """The queue, a header with filter and groups, then the table, or what teaches while there is no run."""

    opened = Signal(str)
    compared = Signal(list)
    reused = Signal(str)
    new_wanted = Signal()

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._application = application
        self._source = application.runs
        self._settings = settings
        self.model = ArrangedRuns(self._source, application.offload, self)
        self.table = self._table(theme)
        self.columns = ColumnFit(self.table, COLUMNS, "name", GIVING_WAY)
        acts = RunActs(self, application, self.model, dialogs, self._copied_columns)
        self._export = acts.export
        self._acts: dict[str, Callable[[list[str]], None]] = {
            "open": lambda uids: self.opened.emit(uids[0]),
            "star": lambda uids: acts.mark(uids, 1),
            "cross": lambda uids: acts.mark(uids, -1),
            "tag": acts.tag,
            "note": acts.note,
            "rename": acts.rename,
            "delete": acts.delete,
            "compare": self.compared.emit,
            "reuse": lambda uids: self.reused.emit(uids[0]),
            "copy": acts.copy,
            "copy_markdown": acts.copy_markdown,
        }
        self.queue = QueuePanel(theme, application.queue)
        self.queue.opened.connect(self.opened)
        self.queue.removed.connect(lambda uid: application.stop(uid, True))
        self.column.addWidget(self.queue)
        self.head = RunHead(theme, self._source, self.model)
        self.head.columns.clicked.connect(self._column_menu)
        self.head.export.clicked.connect(self._export)
        self.head.compare.clicked.connect(lambda: self._act("compare"))
        self.head.new.clicked.connect(self.new_wanted)
        self.column.addWidget(self.head)
        self._restore()
        self._measure()
        self.table.resized.connect(self.columns.fit)
        self._source.longestChanged.connect(lambda: self.later(self._measure))
        card = Card()
        card.heading.hide()
        card.caption.hide()
        card.layout().setContentsMargins(1, 4, 1, 4)  # type: ignore[union-attr]
        card.body.addWidget(self.table)
        self.empty = Empty(theme, "flask", "No runs yet", TEACHING)
        self.empty.add_action("New run", "plus-circle", self.new_wanted.emit, primary=False)
        self._waiting = QWidget()
        self._nothing = Empty(
            theme,
            "magnifying-glass",
            "No run matches",
            "Clear the search or choose another status.",
        )
        self._nothing.add_action("Show all runs", "rows", self.head.clear, primary=False)
        self.stack = QStackedWidget()
        for widget in (self._waiting, self.empty, self._nothing, card):
            self.stack.addWidget(widget)
        self._card = card
        self.column.addWidget(self.stack, 1)
        self._source.loadedChanged.connect(lambda: self.later(self._show_state))
        self.model.arranged.connect(lambda: self.later(self._show_state))
        self.model.columnsInserted.connect(lambda *_: self._columns_changed())
        self.model.columnsRemoved.connect(lambda *_: self._columns_changed())
        self._listen()
        self._show_state()

    def remember(self) -> None:
        """Write columns, sorting and groups to the settings."""
        wish = self.model.wish
        self._settings.columns[SETTINGS_KEY] = self.columns.state()
        self._settings.views[EXTRAS] = json.dumps(self.model.extras)
        self._settings.views[SORTED] = f"{wish.column} {'down' if wish.descending else 'up'}"
        self._settings.views[GROUPED] = wish.group

    def selected(self) -> list[str]:
        """The selected runs, from top to bottom."""
        return self.table.selected()

    def take_focus(self) -> None:
        """Keys move in the list and mark its runs."""
        self.table.setFocus(Qt.FocusReason.OtherFocusReason)

    def page_actions(self) -> tuple[PageAction, ...]:
        """What can be done with the selected runs, and with the list."""

        def possible(key: str) -> bool:
            count = len(self.selected())
            return count == 1 if key in SINGLE else count > 0

        chosen = (
            PageAction(
                text.partition("\t")[0],
                partial(self._act, key),
                text.partition("\t")[2],
                partial(possible, key),
                ICONS.get(key, ""),
            )
            for key, text in MENU
        )
        edits, queue = self._application.edits, self._application.queue
        return (
            *chosen,
            PageAction("Undo", edits.undo, "Ctrl+Z", lambda: bool(edits.next_undo)),
            PageAction(
                "Filter the list", self.head.search.setFocus, "Ctrl+F", icon="magnifying-glass"
            ),
            PageAction("Choose columns", self._column_menu, "Ctrl+Shift+K", icon="columns"),
            PageAction("Export the list as CSV", self._export, "Ctrl+E"),
            PageAction("Show all runs", self.head.clear),
            PageAction(
                "Pause or continue the queue",
                self.queue.toggle_pause,
                "P",
                lambda: bool(queue.lines),
            ),
        )

    def _listen(self) -> None:
        """Keys of the whole page; single letters belong to the table."""
        scope = Qt.ShortcutContext.WidgetWithChildrenShortcut
        sort_up, sort_down = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder
        for keys, act in (
            ("Ctrl+F", self.head.search.setFocus),
            ("Ctrl+E", self._export),
            ("Ctrl+Shift+K", self._column_menu),
        ):
            QShortcut(QKeySequence(keys), self, context=scope).activated.connect(act)
        for keys, act in (
            ("Ctrl+Z", self._application.edits.undo),
            ("Ctrl+Shift+C", partial(self._act, "copy_markdown")),
            ("Ctrl+D", partial(self._act, "reuse")),
            ("P", self.queue.toggle_pause),
            ("Ctrl+Shift+Left", partial(self._move_column, -1)),
            ("Ctrl+Shift+Right", partial(self._move_column, 1)),
            ("Ctrl+Shift+Up", partial(self._sort_current, sort_up)),
            ("Ctrl+Shift+Down", partial(self._sort_current, sort_down)),
        ):
            QShortcut(QKeySequence(keys), self.table, context=scope).activated.connect(act)

    def _table(self, theme: Theme) -> RunTable:
        table = RunTable(theme, self.model)
        dress(table, theme, self._settings.density)
        header = table.horizontalHeader()
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(lambda _: self._column_menu())
        table.doubleClicked.connect(self._double_clicked)
        table.clicked.connect(self._clicked)
        table.acted.connect(self._act)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._menu)
        table.selectionModel().selectionChanged.connect(lambda *_: self._selection_changed())
        return table

    def _restore(self) -> None:
        """As it was left: added columns, order and widths, sorting, groups."""
        views = self._settings.views
        for key in _listed(views.get(EXTRAS, "")):
            self.model.add_column(key)
        self.columns.set_keys(self.model.columns)
        self.columns.restore(self._settings.columns.get(SETTINGS_KEY, ""), HIDDEN_AT_FIRST)
        column, _, way = views.get(SORTED, "created down").rpartition(" ")
        known = column if column in self.model.columns else "created"
        order = Qt.SortOrder.AscendingOrder if way == "up" else Qt.SortOrder.DescendingOrder
        header = self.table.horizontalHeader()
        header.setSortIndicator(self.model.columns.index(known), order)
        self.table.setSortingEnabled(True)  # sorts by the indicator
        self.head.set_group(views.get(GROUPED, ""))

    def _measure(self) -> None:
        """Give each column the width of its heading and its longest text."""
        titles = {
            key: str(self.model.headerData(place, Qt.Orientation.Horizontal))
            for place, key in enumerate(self.model.columns)
        }
        self.columns.set_widths(widths(self.table, titles, self._source.longest))

    def _act(self, what: str) -> None:
        uids = self.selected()
        if uids and (len(uids) == 1 or what not in SINGLE):
            self._acts[what](uids)

    def _double_clicked(self, index: QModelIndex) -> None:
        if self.table.group_at(index) is None and index.column() != COLUMNS.index("star"):
            self._act("open")

    def _clicked(self, index: QModelIndex) -> None:
        uid = str(index.data(UID_ROLE) or "")
        if uid and index.column() == COLUMNS.index("star"):
            self._acts["star"]([uid])

    def _copied_columns(self) -> Sequence[str]:
        return self.columns.in_order()

    def _menu(self, at: QPoint) -> None:
        uids = self.selected()
        if not uids:
            return
        menu = QMenu(self.table)
        for key, text in MENU:
            if len(uids) == 1 or key not in SINGLE:
                menu.addAction(text).triggered.connect(partial(self._act, key))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.table.viewport().mapToGlobal(at))

    def _column_menu(self) -> None:
        always = [key for key in COLUMNS if key not in GIVING_WAY]
        at = self.head.columns.mapToGlobal(self.head.columns.rect().bottomLeft())
        known = self._source.vocabulary()
        column_menu(self, at, self.model, self.columns, known, always)

    def _columns_changed(self) -> None:
        self.columns.set_keys(self.model.columns)
        self._measure()

    def _move_column(self, by: int) -> None:
        """Move the current column one place to the left or right, over hidden ones."""
        header, place = self.table.horizontalHeader(), self.table.currentIndex().column()
        if place < 0:
            return
        start = header.visualIndex(place)
        to = start + by
        while 0 <= to < header.count() and header.isSectionHidden(header.logicalIndex(to)):
            to += by
        if 0 <= to < header.count():
            header.moveSection(start, to)

    def _sort_current(self, order: Qt.SortOrder) -> None:
        place = self.table.currentIndex().column()
        if place >= 0:
            self.table.sortByColumn(place, order)

    def _selection_changed(self) -> None:
        self.head.compare.setEnabled(self.table.selectionModel().hasSelection())

    def _show_state(self) -> None:
        total, shown = self._source.rowCount(), self.model.passing
        if not self._source.loaded:
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
        self.head.show_count(shown, total)


def _listed(text: str) -> list[str]:
    """The keys in a remembered list; none where it cannot be read."""
    try:
        keys = json.loads(text) if text else []
    except ValueError:
        return []
    return [str(key) for key in keys] if isinstance(keys, list) else []
