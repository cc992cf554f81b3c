"""How the run table looks: heights, delegates, and the width that each column needs."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont, QFontMetrics
from PySide6.QtWidgets import QAbstractItemView, QTableView

from app.settings import Density
from app.viewmodels.run_cells import COLUMNS, HUE_ROLE, SPARKLINE_ROLE, STAR_ROLE, STATUS_ROLE
from app.widgets.delegates import (
    CHIP_PX,
    HueDelegate,
    SparklineDelegate,
    StarDelegate,
    StatusDelegate,
)
from app.widgets.theme import Theme

ROW_HEIGHTS = {"compact": 26, "normal": 32, "roomy": 40}
STAR_PX, SPARKLINE_PX = 30, 60
NAME_CHARACTERS = 44
"""A name of this length is shown in full before any other column is."""
CELL_PADDING = 24
ARROW_PX = 14
SMALL_PX = 11
"""Headings and status chips."""


def dress(table: QTableView, theme: Theme, density: Density) -> None:
    """Give a new table its heights, its header and its delegates."""
    table.setAccessibleName("Runs")
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setTabKeyNavigation(False)
    table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
    table.verticalHeader().hide()
    height = ROW_HEIGHTS[density]
    table.verticalHeader().setDefaultSectionSize(height)
    table.verticalHeader().setMinimumSectionSize(height)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setTextElideMode(Qt.TextElideMode.ElideRight)
    header.setSectionsMovable(True)
    header.setMinimumSectionSize(STAR_PX)
    table.setItemDelegateForColumn(COLUMNS.index("star"), StarDelegate(theme, STAR_ROLE))
    table.setItemDelegateForColumn(COLUMNS.index("status"), StatusDelegate(theme, STATUS_ROLE))
    table.setItemDelegateForColumn(COLUMNS.index("loss"), SparklineDelegate(theme, SPARKLINE_ROLE))
    hue = HueDelegate(theme, HUE_ROLE)
    for key in ("base", "degraded", "recovered", "fraction"):
        table.setItemDelegateForColumn(COLUMNS.index(key), hue)


def widths(
    table: QTableView, titles: Mapping[str, str], longest: Mapping[str, str]
) -> dict[str, int]:
    """By column, the width of its heading and its longest text; a name has its limit."""
    font = QFont(table.font())
    text = QFontMetrics(font)
    font.setPixelSize(SMALL_PX)
    font.setWeight(QFont.Weight.Medium)
    small = QFontMetrics(font)
    needed = {}
    most = text.averageCharWidth() * NAME_CHARACTERS + CELL_PADDING
    for key, title in titles.items():
        content = text.horizontalAdvance(longest.get(key, ""))
        needed[key] = min(
            max(small.horizontalAdvance(title) + ARROW_PX, content) + CELL_PADDING, most
        )
    status = longest.get("status", "")
    needed["star"] = STAR_PX
    needed["loss"] = SPARKLINE_PX
    needed["status"] = small.horizontalAdvance(status) + CHIP_PX
    return needed
