"""The row under the pointer is tinted from edge to edge, and only it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPoint
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_that_the_row_under_the_pointer_is_tinted_across_the_table(
    choice: str, theme: Theme, qtbot: QtBot
) -> None:
    theme.choose(choice)
    table = Table(theme, "A table")
    qtbot.addWidget(table)
    table.show_rows(
        [Column("name", numeric=False, stretch=True), Column("value")],
        [[Cell("first"), Cell("1")], [Cell("second"), Cell("2")], [Cell("third"), Cell("3")]],
    )
    table.resize(320, 200)
    table.show()
    qtbot.waitExposed(table)
    table.selectRow(2)

    def grounds(row: int) -> set[str]:
        box = table.visualRect(table.model().index(row, 0))
        shot = table.viewport().grab().toImage()
        return {
            shot.pixelColor(x, box.top() + 3).name() for x in range(2, table.viewport().width() - 2)
        }

    plain, chosen = {theme.tokens.panel}, {theme.tokens.accent_background}
    assert [grounds(row) for row in range(3)] == [plain, plain, chosen]
    at = table.visualRect(table.model().index(1, 0)).center()
    qtbot.mouseMove(table.viewport(), QPoint(5, 5))
    qtbot.mouseMove(table.viewport(), at)
    qtbot.waitUntil(lambda: table.hover.row == 1)
    assert [grounds(row) for row in range(3)] == [plain, {theme.tokens.hover}, chosen]
    qtbot.mouseMove(table.viewport(), table.visualRect(table.model().index(2, 0)).center())
    qtbot.waitUntil(lambda: table.hover.row == 2)
    assert grounds(2) == chosen
    QApplication.sendEvent(table.viewport(), QEvent(QEvent.Type.Leave))
    assert grounds(1) == plain
