"""A small read-only table for scores, guards and differences: aligned, coloured, copied as TSV or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFont,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QTableWidget,
    QTableWidgetItem,
)

from app.widgets import table_text
from app.widgets.controls import colour_of
from app.widgets.row_hover import RowHover
from app.widgets.theme import Theme

ROW_HEIGHT = 29
HEADER_HEIGHT = 26
HEADING_PX = 11
DENSE = "QTableView::item { padding: 0 4px; } QHeaderView::section { padding: 4px 7px; }"
COPY_MARKDOWN = QKeySequence("Ctrl+Shift+C")
STRETCH_LEAST = 150
"""A stretched column is not narrowed below this (or its content) for the sake of an optional one."""


@dataclass(frozen=True)
class Cell:
    """One cell: its text, and optionally a colour token, weight, tooltip and the colour of a dot before it."""

    text: str
    token: str = ""
    bold: bool = False
    tip: str = ""
    dot: str = ""


@dataclass(frozen=True)
class Column:
    """One column: its heading, alignment, the token of the heading, and whether it takes spare width.

    Where the width is too small for all, `optional` columns are left out, the highest number first.
    """

    title: str
    numeric: bool = True
    token: str = ""
    stretch: bool = False
    tip: str = ""
    optional: int = 0


class Table(QTableWidget):
    """Rows of cells; numbers stand right, in tabular figures. Ctrl+C copies the selection as TSV."""

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self._theme = theme
        self._columns: tuple[Column, ...] = ()
        self._rows: tuple[tuple[Cell, ...], ...] = ()
        self.setAccessibleName(name)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setShowGrid(False)
        self.setIconSize(QSize(8, 8))
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setStyleSheet(DENSE)
        heading = QFont(self.horizontalHeader().font())
        heading.setPixelSize(HEADING_PX)
        self.horizontalHeader().setFont(heading)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.verticalHeader().setMinimumSectionSize(ROW_HEIGHT)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setFixedHeight(HEADER_HEIGHT)
        self.horizontalHeader().setSectionsClickable(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.hover = RowHover(self, theme)
        theme.changed.connect(self._recolour)

    def show_rows(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        """Show a table; only what differs is written."""
        new_columns, new_rows = tuple(columns), tuple(tuple(row) for row in rows)
        if new_columns != self._columns:
            self._columns = new_columns
            self.setColumnCount(len(new_columns))
            for place, column in enumerate(new_columns):
                self._set_heading(place, column)
            self._rows = ()
        self.setRowCount(len(new_rows))
        for row, cells in enumerate(new_rows):
            old = self._rows[row] if row < len(self._rows) else ()
            for place, cell in enumerate(cells):
                if place >= len(old) or old[place] != cell:
                    self.setItem(row, place, self._item(cell, self._columns[place]))
        self._rows = new_rows
        self._fit()

    def content_height(self) -> int:
        """The height that shows every row."""
        return HEADER_HEIGHT + self.verticalHeader().defaultSectionSize() * self.rowCount() + 2

    def as_text(self, *, all_rows: bool = False) -> str:
        """The selected rows (or all) with the headings, as TSV."""
        return table_text.tsv(self._as_rows(all_rows))

    def as_markdown(self, *, all_rows: bool = False) -> str:
        """The selected rows (or all) with the headings, as a Markdown table."""
        right = {place for place, column in enumerate(self._columns) if column.numeric}
        return table_text.markdown(self._as_rows(all_rows), right)

    def _as_rows(self, all_rows: bool) -> list[list[str]]:
        chosen = sorted({index.row() for index in self.selectedIndexes()})
        rows = range(len(self._rows)) if all_rows or not chosen else chosen
        head = [column.title for column in self._columns]
        return [head, *([cell.text for cell in self._rows[row]] for row in rows)]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Choose the columns that fit."""
        super().resizeEvent(event)
        self._fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Ctrl+C copies as TSV, with Shift as Markdown."""
        if event.matches(QKeySequence.StandardKey.Copy):
            QGuiApplication.clipboard().setText(self.as_text())
        elif QKeySequence(event.keyCombination()) == COPY_MARKDOWN:
            QGuiApplication.clipboard().setText(self.as_markdown())
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Copy the selected rows, or all where none is selected."""
        menu = QMenu(self)
        clipboard = QGuiApplication.clipboard()
        for text, shown in (
            ("Copy as TSV\tCtrl+C", self.as_text),
            ("Copy as Markdown\tCtrl+Shift+C", self.as_markdown),
        ):
            menu.addAction(text).triggered.connect(
                lambda _=False, shown=shown: clipboard.setText(shown())
            )
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(event.globalPos())

    def _fit(self) -> None:
        optional = [place for place, column in enumerate(self._columns) if column.optional]
        if not optional:
            return
        for place in optional:
            self.showColumn(place)
        widths = [self._width(place) for place in range(len(self._columns))]
        over = sum(widths) - self.viewport().width()
        for place in sorted(optional, key=lambda place: -self._columns[place].optional):
            if over <= 0:
                break
            self.hideColumn(place)
            over -= widths[place]

    def _width(self, place: int) -> int:
        whole = max(self.horizontalHeader().sectionSizeHint(place), self.sizeHintForColumn(place))
        return min(whole, STRETCH_LEAST) if self._columns[place].stretch else whole

    def _set_heading(self, place: int, column: Column) -> None:
        item = QTableWidgetItem(column.title)
        side = Qt.AlignmentFlag.AlignRight if column.numeric else Qt.AlignmentFlag.AlignLeft
        item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        item.setToolTip(column.tip)
        if column.token:
            item.setForeground(QColor(colour_of(self._theme, column.token)))
        self.setHorizontalHeaderItem(place, item)
        mode = QHeaderView.ResizeMode
        self.horizontalHeader().setSectionResizeMode(
            place, mode.Stretch if column.stretch else mode.ResizeToContents
        )

    def _item(self, cell: Cell, column: Column) -> QTableWidgetItem:
        item = QTableWidgetItem(cell.text)
        side = Qt.AlignmentFlag.AlignRight if column.numeric else Qt.AlignmentFlag.AlignLeft
        item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        item.setToolTip(cell.tip or (cell.text if column.stretch else ""))
        if cell.token:
            item.setForeground(QColor(colour_of(self._theme, cell.token)))
        if cell.dot:
            item.setIcon(self._theme.icon("circle-fill", colour_of(self._theme, cell.dot)))
        if cell.bold:
            font = QFont(self.font())
            font.setWeight(QFont.Weight.DemiBold)
            item.setFont(font)
        return item

    def _recolour(self) -> None:
        columns, rows = self._columns, self._rows
        self._columns, self._rows = (), ()
        self.show_rows(columns, rows)
