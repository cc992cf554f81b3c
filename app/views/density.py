"""Row heights by density, and how they reach the tables that are shown already."""

from __future__ import annotations

from PySide6.QtWidgets import QTableView, QWidget

from app.settings import Density
from app.widgets.tables import ROW_HEIGHT, Table

ROW_HEIGHTS: dict[Density, int] = {"compact": 26, "normal": 32, "roomy": 40}
SMALL_ROW_HEIGHTS: dict[Density, int] = {"compact": 25, "normal": ROW_HEIGHT, "roomy": 34}
"""Of the tables inside cards."""
TITLES: dict[Density, str] = {"compact": "Compact", "normal": "Normal", "roomy": "Roomy"}


def apply(root: QWidget, density: Density) -> None:
    """Give every table below `root` the rows of a density, at once."""
    for table in root.findChildren(QTableView):
        heights = SMALL_ROW_HEIGHTS if isinstance(table, Table) else ROW_HEIGHTS
        height = heights[density]
        header = table.verticalHeader()
        header.setMinimumSectionSize(height)
        header.setDefaultSectionSize(height)
