from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from app.widgets.heatmap import HeatmapView
from app.widgets.theme import Theme

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
ROWS = ("embed", "0", "1", "norm")
COLS = ("0", "20", "40")
VALUES = np.array([[0.99, 0.98, 0.97], [0.95, np.nan, 0.96], [0.94, 0.95, 0.96], [0.9, 0.91, 0.92]])


@pytest.fixture
def view(theme: Theme, qtbot: QtBot) -> HeatmapView:
    made = HeatmapView(theme, "CKA", empty="CKA compares layers")
    qtbot.addWidget(made)
    made.resize(420, 260)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_that_an_empty_map_teaches(view: HeatmapView) -> None:
    assert view.empty.isVisible()
    view.set_data(VALUES, ROWS, COLS)
    assert not view.empty.isVisible()
    view.set_data(np.full((4, 3), np.nan), ROWS, COLS)
    assert view.empty.isVisible()


def test_that_zooming_spans_the_values_and_the_full_range_is_zero_to_one(view: HeatmapView) -> None:
    view.set_data(VALUES, ROWS, COLS)
    assert view.levels == (0.9, 0.99)
    view.set_range((0.0, 1.0))
    assert view.levels == (0.0, 1.0)
    view.set_range(None)
    assert view.levels == (0.9, 0.99)


def test_that_equal_values_still_have_a_range(view: HeatmapView) -> None:
    view.set_data(np.ones((4, 3)), ROWS, COLS)
    low, high = view.levels
    assert low < high == 1.0


def test_that_rows_and_columns_stand_where_they_belong(view: HeatmapView, qtbot: QtBot) -> None:
    view.set_data(VALUES, ROWS, COLS, col_axis="step")
    qtbot.wait(20)
    box = view.plot.getPlotItem().getViewBox()
    for row, name in enumerate(ROWS):
        for col, step in enumerate(COLS):
            place = box.mapViewToScene(QPointF(col + 0.5, row + 0.5))
            view.hover(place)
            value = VALUES[row, col]
            words = f"{value:.4f}" if np.isfinite(value) else "not measured"
            assert view.readout.text() == f"layer {name} · step {step} · {words}"


def test_that_a_matrix_of_another_shape_is_refused(view: HeatmapView) -> None:
    with pytest.raises(ValueError, match="3 rows"):
        view.set_data(VALUES, ROWS[:3], COLS)


def test_that_what_was_not_measured_is_left_open(view: HeatmapView, qtbot: QtBot) -> None:
    view.set_data(VALUES, ROWS, COLS)
    qtbot.wait(20)
    box = view.plot.getPlotItem().getViewBox()
    shot = view.plot.grab().toImage()
    at = view.plot.mapFromScene(box.mapViewToScene(QPointF(1.5, 1.5)))
    around = view.plot.mapFromScene(box.mapViewToScene(QPointF(0.5, 1.5)))
    assert shot.pixelColor(at) != shot.pixelColor(around)
    assert shot.pixelColor(at).saturation() < 20


def test_that_room_is_left_for_columns_to_come(view: HeatmapView, qtbot: QtBot) -> None:
    view.set_data(VALUES, ROWS, COLS, col_axis="step", expected=6)
    qtbot.wait(20)
    box = view.plot.getPlotItem().getViewBox()
    assert box.viewRange()[0] == [0, 6]
    view.hover(box.mapViewToScene(QPointF(1.5, 0.5)))
    assert view.readout.isVisible()
    view.hover(box.mapViewToScene(QPointF(4.5, 0.5)))
    assert not view.readout.isVisible()
