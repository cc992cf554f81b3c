"""Which columns are shown at which width."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import QTableView
from pytestqt.qtbot import QtBot

from app.views.column_fit import ColumnFit

KEYS = ("name", "base", "loss", "duration")
WIDTHS = {"name": 200, "base": 80, "loss": 60, "duration": 70}


@pytest.fixture
def table(qtbot: QtBot) -> QTableView:
    made = QTableView()
    qtbot.addWidget(made)
    made.setModel(QStandardItemModel(3, len(KEYS), made))
    made.verticalHeader().hide()
    made.show()
    return made


def _fit(table: QTableView, state: str = "") -> ColumnFit:
    fit = ColumnFit(table, KEYS, "name", ("duration", "loss", "base"))
    fit.restore(state, ())
    fit.set_widths(WIDTHS)
    return fit


def _at(table: QTableView, fit: ColumnFit, width: int) -> list[str]:
    table.resize(width + table.width() - table.viewport().width(), 200)
    fit.fit()
    return [key for key in KEYS if fit.shown(key)]


def test_that_what_matters_least_gives_way_and_comes_back(table: QTableView) -> None:
    fit = _fit(table)
    assert _at(table, fit, 420) == list(KEYS)
    assert table.columnWidth(0) == 420 - 80 - 60 - 70
    assert _at(table, fit, 400) == ["name", "base", "loss"]
    assert _at(table, fit, 300) == ["name", "base"]
    assert _at(table, fit, 210) == ["name"]
    assert _at(table, fit, 420) == list(KEYS)


def test_that_a_column_asked_for_gives_way_last(table: QTableView) -> None:
    fit = _fit(table)
    assert _at(table, fit, 300) == ["name", "base"]
    fit.choose("duration", True)
    assert [key for key in KEYS if fit.shown(key)] == ["name", "duration"]
    fit.choose("duration", False)
    assert [key for key in KEYS if fit.shown(key)] == ["name", "base"]


def test_that_only_what_a_person_hid_is_remembered_as_hidden(table: QTableView) -> None:
    fit = _fit(table)
    fit.choose("loss", False)
    assert _at(table, fit, 210) == ["name"]
    state = fit.state()
    assert [key for key in KEYS if fit.shown(key)] == ["name"]
    again = _fit(table, state)
    assert [key for key in KEYS if again.wanted(key)] == ["name", "base", "duration"]
    assert _at(table, again, 900) == ["name", "base", "duration"]
