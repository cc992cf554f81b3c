"""Data: the library of datasets, and the chosen one as a model will read it.

Half of the page "Models and data"; it has no margins of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtCore import QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QMenu,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.data_library import COLUMNS, KEY_ROLE, SORT_ROLE
from app.views.data_columns import ColumnsView
from app.views.data_figures import FiguresView
from app.views.data_items import ItemsView
from app.views.data_leaks import LeaksView
from app.views.data_lengths import LengthsView
from app.views.data_progress import ReadingProgress
from app.views.density import apply as apply_density
from app.views.dialogs import Dialogs
from app.views.page import Page
from app.views.splitting import restore, splitter
from app.widgets.actions import PageAction
from app.widgets.controls import Button, Card, Segments
from app.widgets.messages import Empty
from app.widgets.row_hover import RowHover
from app.widgets.tables import HEADER_HEIGHT, ROW_HEIGHT
from app.widgets.theme import Theme

PARTS = (
    ("items", "Items"),
    ("columns", "Columns"),
    ("lengths", "Lengths"),
    ("leaks", "Leaks"),
    ("figures", "Figures"),
)
TEACHING = (
    "Choose a dataset above, import a file, or drop one here: JSON Lines, JSON, CSV, Parquet, Arrow, or a folder that "
    "datasets wrote. The file stays where it is."
)
DATA_FILTER = "Data (*.jsonl *.ndjson *.json *.csv *.parquet *.arrow);;All files (*)"
FOLDER = "data.folder"
PART = "data.part"
LIST_HEIGHT = 206

_View = ItemsView | ColumnsView | LengthsView | LeaksView | FiguresView
LATER: dict[str, type[ColumnsView | LengthsView | LeaksView | FiguresView]] = {
    "columns": ColumnsView,
    "lengths": LengthsView,
    "leaks": LeaksView,
    "figures": FiguresView,
}


class DataPanel(Page):
    """Shows `application.data`.

    Args:
        application: everything the window can do.
        settings: remembers the view, and where a file was imported last.
        theme: colours and icons.
        dialogs: asks for a file.
    """

    new_wanted = Signal()

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._model = application.data
        self._settings = settings
        self._theme = theme
        self._dialogs = dialogs
        self.column.setContentsMargins(0, 0, 0, 0)
        self.setAcceptDrops(True)
        self.halves: QSplitter = splitter(settings, "data halves", Qt.Orientation.Vertical)
        self.halves.addWidget(self._library_card())
        self.halves.addWidget(self._details_card())
        self.halves.setStretchFactor(1, 1)
        restore(self.halves, settings, [LIST_HEIGHT, 480])
        self.column.addWidget(self.halves, 1)
        model = self._model
        model.changed.connect(self._show_all)
        for signal in (model.lengths.changed, model.leaks.changed, theme.changed):
            signal.connect(self._show_again)
        application.runsChanged.connect(model.refresh)
        self._keys()
        kept = settings.views.get(PART, "items")
        self.part.choose(kept if kept in dict(PARTS) else "items")
        self._choose_part(self.part.current())
        self._show_list()

    def page_actions(self) -> tuple[PageAction, ...]:
        """What can be done here."""
        chosen = self._has_key
        return (
            PageAction("Import data…", self._import_file, "Ctrl+O", icon="file-plus"),
            PageAction("Import a folder of data…", self._import_folder, icon="folder-plus"),
            PageAction(
                "Use the dataset in New run", self._use, "Ctrl+Return", chosen, "flow-arrow"
            ),
            PageAction("Forget the import", self._forget, "", self._can_forget, "trash"),
            PageAction(
                "Previous item", lambda: self._step(-1), "Alt+Left", chosen, icon="caret-left"
            ),
            PageAction("Next item", lambda: self._step(1), "Alt+Right", chosen, icon="caret-right"),
            PageAction("Any item", self._model.items.shuffle, "Alt+R", chosen, icon="shuffle"),
            PageAction("Find in the rows", self._search, "Ctrl+F", chosen, "magnifying-glass"),
            PageAction("Copy the item", self.items.copy, "", chosen, "copy"),
            *self.progress.page_actions(),
            PageAction("Measure lengths", self._measure, "", chosen, "ruler"),
            PageAction("Compare datasets for leaks", self._compare, "", chosen, "intersect"),
        )

    def _library_card(self) -> Card:
        card = Card("Datasets")
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter")
        self.filter.setAccessibleName("Filter the datasets")
        self.filter.setMaximumWidth(200)
        self.filter.setClearButtonEnabled(True)
        self.add = Button(self._theme, "Import…", "", "file-plus")
        self.add.setToolTip("Import a file (Ctrl+O); the file stays where it is")
        self.add.clicked.connect(self._import_menu)
        self.forget = Button(self._theme, "", "quiet", "trash")
        self.forget.setAccessibleName("Forget the import")
        self.forget.setToolTip("Take the import off the list; its file stays where it is")
        self.forget.clicked.connect(self._forget)
        for tool in (self.filter, self.forget, self.add):
            card.add_tool(tool)
        self.proxy = QSortFilterProxyModel(self)
        self.proxy.setSourceModel(self._model.library.model)
        self.proxy.setSortRole(SORT_ROLE)
        self.proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.proxy.setFilterKeyColumn(-1)
        self.filter.textChanged.connect(self.proxy.setFilterFixedString)
        self.list = QTableView()
        self.list.setModel(self.proxy)
        RowHover(self.list, self._theme)
        self.list.setAccessibleName("Datasets")
        self.list.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setShowGrid(False)
        self.list.setWordWrap(False)
        self.list.setTabKeyNavigation(False)
        self.list.setSortingEnabled(True)
        self.list.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.list.horizontalHeader().setSortIndicatorClearable(True)
        self.list.verticalHeader().hide()
        self.list.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.list.horizontalHeader().setFixedHeight(HEADER_HEIGHT)
        self.list.horizontalHeader().setHighlightSections(False)
        for place, name in enumerate(COLUMNS):
            modes = QHeaderView.ResizeMode
            mode = modes.Stretch if name == "name" else modes.ResizeToContents
            self.list.horizontalHeader().setSectionResizeMode(place, mode)
        self.list.selectionModel().currentRowChanged.connect(lambda *_: self._chosen())
        card.body.addWidget(self.list)
        return card

    def _details_card(self) -> Card:
        model, settings, theme = self._model, self._settings, self._theme
        card = self.details = Card("")
        self.part = Segments(theme, "What is shown of the dataset", PARTS)
        self.part.chosen.connect(self._choose_part)
        self.use = Button(theme, "Use in New run", "primary", "flow-arrow")
        self.use.setToolTip("Put the dataset with its columns into the recipe (Ctrl+Enter)")
        self.use.clicked.connect(self._use)
        card.add_tool(self.part)
        card.add_tool(self.use)
        self.items = ItemsView(model, settings, theme)
        self.empty = Empty(theme, "database", "No dataset chosen", TEACHING)
        self.empty.add_action("Import data…", "file-plus", self._import_file)
        self._views: dict[str, _View] = {"items": self.items}
        self.stack = QStackedWidget()
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.progress = ReadingProgress(model.items, theme)
        column.addWidget(self.progress)
        column.addWidget(self.stack, 1)
        for view in (self.empty, *self._views.values()):
            self.stack.addWidget(view)
        card.body.addWidget(whole, 1)
        return card

    # the views that are made when somebody looks at them first: all at once would take too long

    @property
    def columns(self) -> ColumnsView:
        """Which column is what."""
        return cast(ColumnsView, self._view("columns"))

    @property
    def lengths(self) -> LengthsView:
        """How long the items are."""
        return cast(LengthsView, self._view("lengths"))

    @property
    def leaks(self) -> LeaksView:
        """What two datasets share."""
        return cast(LeaksView, self._view("leaks"))

    @property
    def figures(self) -> FiguresView:
        """Figures of the whole dataset."""
        return cast(FiguresView, self._view("figures"))

    def _view(self, part: str) -> _View:
        view = self._views.get(part)
        if view is None:
            view = self._views[part] = LATER[part](self._model, self._settings, self._theme)
            if not isinstance(view, LeaksView | ItemsView):
                view.item_wanted.connect(self._show_item)
            apply_density(view, self._settings.density)
            self.stack.addWidget(view)
        return view

    def _keys(self) -> None:
        for keys, act in (
            ("Ctrl+O", self._import_file),
            ("Ctrl+Return", self._use),
            ("Alt+Left", lambda: self._step(-1)),
            ("Alt+Right", lambda: self._step(1)),
            ("Alt+R", self._model.items.shuffle),
            ("Ctrl+F", self._search),
            ("F3", lambda: self.items.find_text(1)),
            ("Shift+F3", lambda: self.items.find_text(-1)),
        ):
            made = QShortcut(QKeySequence(keys), self)
            made.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            made.activated.connect(act)

    # showing

    def watch(self, on: bool) -> None:
        """Datasets are gathered and read while somebody looks."""
        self._model.watch(on)

    def _show_list(self) -> None:
        model = self._model
        entry = model.entry
        self._select_row()
        self.forget.setEnabled(self._can_forget())
        self.use.setEnabled(entry is not None)
        survey = model.items.survey
        self.progress.refresh()
        if entry is None:
            self.details.heading.set_text("")
            self.details.set_caption("")
        else:
            self.details.heading.set_text(entry.name)
            told = (
                survey.headline if survey is not None else "reading…" if model.items.loading else ""
            )
            if model.items.stopped:
                told = "not all rows were read"
            changed = " · columns changed" if model.is_changed else ""
            self.details.set_caption(f"{told}{changed}")
            self.details.caption.setAccessibleDescription(entry.place)

    def _show_part(self) -> None:
        part = self.part.current()
        nothing = self._model.entry is None and part != "leaks"
        if nothing:
            self.stack.setCurrentWidget(self.empty)
            return
        view = self._view(part)
        self.stack.setCurrentWidget(view)
        view.refresh()

    def _select_row(self) -> None:
        row = self._model.library.model.row_of(self._model.key) if self._model.key else -1
        wanted = self.proxy.mapFromSource(self._model.library.model.index(row, 0))
        current = self.list.currentIndex()
        if wanted.isValid() and wanted.row() != current.row():
            self.list.selectionModel().blockSignals(True)
            self.list.setCurrentIndex(wanted)
            self.list.selectionModel().blockSignals(False)
            self.list.selectRow(wanted.row())
            self.list.scrollTo(wanted)
            self.list.viewport().update()

    def _chosen(self) -> None:
        key = self.list.currentIndex().data(KEY_ROLE)
        if key:
            self._model.select(str(key))

    def _choose_part(self, part: str) -> None:
        self._settings.views[PART] = part
        self._show_part()

    def _show_item(self, number: int) -> None:
        self.part.choose("items")
        self._model.items.go(number)

    # acts

    def _has_key(self) -> bool:
        return self._model.entry is not None

    def _can_forget(self) -> bool:
        return self._model.library.can_forget(self._model.key)

    def _step(self, by: int) -> None:
        self._model.items.step(by)

    def _search(self) -> None:
        self.part.choose("items")
        self.items.search.setFocus()
        self.items.search.selectAll()

    def _measure(self) -> None:
        self.part.choose("lengths")
        self.lengths.start()

    def _compare(self) -> None:
        self.part.choose("leaks")
        self.leaks.start()

    # Connected as methods, so that they end with the panel.

    def _show_all(self) -> None:
        self.later(self._show_list, self._show_part)

    def _show_again(self) -> None:
        self.later(self._show_part)

    def _use(self) -> None:
        if self._model.use():
            self.new_wanted.emit()

    def _forget(self) -> None:
        if self._can_forget():
            self._model.forget()

    def _import_menu(self) -> None:
        menu = QMenu(self)
        menu.addAction("File…").triggered.connect(self._import_file)
        menu.addAction("Folder…").triggered.connect(self._import_folder)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.add.mapToGlobal(self.add.rect().bottomLeft()))

    def _import_file(self) -> None:
        start = self._settings.views.get(FOLDER, "")
        self._import(self._dialogs.choose_file(self, "Import data", start, DATA_FILTER))

    def _import_folder(self) -> None:
        start = self._settings.views.get(FOLDER, "")
        self._import(self._dialogs.ask_folder(self, "Import a folder of data", start))

    def _import(self, path: str | None) -> None:
        if path:
            self._settings.views[FOLDER] = str(Path(path).parent)
            self._model.import_file(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """A file of this machine can be dropped."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Import what was dropped."""
        for url in event.mimeData().urls():
            if url.isLocalFile():
                self._model.import_file(url.toLocalFile())
        event.acceptProposedAction()
