"""The checkpoints as a table: sorted, searched, selected together with the graph."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QTableView

from app.settings import Settings
from app.viewmodels.model_table import COLUMNS, KEY_ROLE, RIGHT, SORT_ROLE, CheckpointsModel
from app.viewmodels.models import ModelsViewModel
from app.views.column_fit import ColumnFit
from app.widgets import table_text

ROW_HEIGHT = 30
WIDTHS = {
    "title": 150,
    "kind": 90,
    "runs": 200,
    "made_from": 120,
    "size": 90,
    "scores": 150,
    "fraction": 110,
    "state": 110,
}
GIVING_WAY = ("made_from", "kind", "fraction", "state", "scores", "size")
SETTINGS_KEY = "checkpoints"


class _Matching(QSortFilterProxyModel):
    """Rows of the checkpoints that were found."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: frozenset[str] | None = None
        self.setSortRole(SORT_ROLE)

    def set_keys(self, keys: frozenset[str] | None) -> None:
        """Show only these; None shows all."""
        if keys != self._keys:
            self._keys = keys
            self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:  # type: ignore[override]
        """The row's checkpoint was found."""
        if self._keys is None:
            return True
        return self.sourceModel().index(row, 0, parent).data(KEY_ROLE) in self._keys


class CheckpointTable(QTableView):
    """`chosen` tells the key of the row a person moved to, `opened` of one opened."""

    chosen = Signal(str)
    opened = Signal(str)

    def __init__(self, model: ModelsViewModel, settings: Settings) -> None:
        super().__init__()
        self._model = model
        self._settings = settings
        self._showing = False
        self.rows = CheckpointsModel(self)
        self.proxy = _Matching()
        self.proxy.setParent(self)
        self.proxy.setSourceModel(self.rows)
        self.setModel(self.proxy)
        self.setAccessibleName("Checkpoints")
        self.setSortingEnabled(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsMovable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.fit = ColumnFit(self, COLUMNS, "runs", GIVING_WAY)
        self.fit.restore(settings.columns.get(SETTINGS_KEY, ""), ())
        self.fit.set_widths(WIDTHS)
        self.selectionModel().currentRowChanged.connect(self._moved)
        self.doubleClicked.connect(lambda index: self.opened.emit(str(index.data(KEY_ROLE))))

    def show_nodes(self) -> None:
        """Take the checkpoints as they are now."""
        self.rows.take(self._model.shown())
        self.show_selected()

    def show_selected(self) -> None:
        """Move to the selected checkpoint."""
        node = self._model.selected
        row = self.rows.row_of(node.key) if node is not None else -1
        index = self.proxy.mapFromSource(self.rows.index(row, 0)) if row >= 0 else QModelIndex()
        if index.row() != self.currentIndex().row() or not index.isValid():
            self._showing = True
            self.setCurrentIndex(index)
            self._showing = False

    def rows_shown(self) -> list[str]:
        """Titles of the rows from top to bottom."""
        return [str(self.proxy.index(row, 0).data()) for row in range(self.proxy.rowCount())]

    def cells(self) -> list[list[str]]:
        """The rows that are shown, under their headings."""
        across = range(self.proxy.columnCount())
        heads = [str(self.proxy.headerData(it, Qt.Orientation.Horizontal)) for it in across]
        rows = [
            [str(self.proxy.index(row, it).data()) for it in across]
            for row in range(self.proxy.rowCount())
        ]
        return [heads, *rows]

    def with_sources(self) -> list[list[str]]:
        """The same with the whole identity, and with where the numbers come from."""
        heads, *rows = self.cells()
        for place, row in enumerate(rows):
            node = self._model.node(str(self.proxy.index(place, 0).data(KEY_ROLE)))
            row += [node.key, " · ".join(node.tip.splitlines())] if node is not None else ["", ""]
        return [[*heads, "Identity", "Measured"], *rows]

    def copy(self) -> None:
        """The rows that are shown, tab-separated, into the clipboard."""
        QGuiApplication.clipboard().setText(table_text.tsv(self.cells()))

    def copy_markdown(self) -> None:
        """The same as a Markdown table."""
        right = [place for place, key in enumerate(COLUMNS) if key in RIGHT]
        QGuiApplication.clipboard().setText(table_text.markdown(self.cells(), right))

    def remember(self) -> None:
        """Write order and visibility of the columns to the settings."""
        self._settings.columns[SETTINGS_KEY] = self.fit.state()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens, Ctrl+C copies the whole table as TSV."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.opened.emit(str(self.currentIndex().data(KEY_ROLE)))
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: object) -> None:
        """Choose the columns that fit."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        self.fit.fit()

    def _moved(self, index: QModelIndex) -> None:
        if index.isValid() and not self._showing:
            self.chosen.emit(str(index.data(KEY_ROLE)))
