"""What a chart looks like: curves lie over the grid, and the labels of its axes are there and do not touch."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot

from app.widgets.charts import LineChart
from app.widgets.curves import LevelLine, Line
from app.widgets.place_axis import ValueAxis
from app.widgets.theme import Theme
from tests.app.looks_plots import plot_words, tick_words

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")

LINE_PX = 14
"""A label of an axis with its distance to the next."""


def _chart(theme: Theme, qtbot: QtBot, high: int, values: list[float]) -> LineChart:
    chart = LineChart(theme, "A chart")
    qtbot.addWidget(chart)
    chart.resize(320, high)
    chart.show()
    qtbot.waitExposed(chart)
    steps = np.linspace(0, 200, len(values))
    chart.set_lines([Line("a", "", "recovered", steps, np.array(values))])
    chart.set_levels([LevelLine("base", "base", "base", 30.0)])
    chart.redraw()
    return chart


def test_that_a_level_on_a_line_of_the_grid_is_seen(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot, 240, [20.0, 50.0])
    item = chart.plot.getPlotItem()
    assert any(text == "30" for _, text in tick_words(item.getAxis("left")))
    at = item.getViewBox().mapViewToScene(QPointF(100, 30))
    row = chart.plot.mapFromScene(at).y()
    shot = chart.plot.grab().toImage()
    colours = {
        shot.pixelColor(x, row + off).name()
        for x in range(60, shot.width() - 20)
        for off in (-1, 0, 1)
    }
    assert theme.tokens.base in colours


@pytest.mark.parametrize("high", [90, 120, 200, 600])
@pytest.mark.parametrize("values", [[0.0, 0.0], [0.2, 0.25], [1.0, 1e6], [-3.0, 7.0]])
def test_that_labels_of_the_axes_never_touch(
    high: int, values: list[float], theme: Theme, qtbot: QtBot
) -> None:
    chart = _chart(theme, qtbot, high, values)
    assert [str(it) for it in plot_words(chart.plot)] == []


def test_that_values_of_a_low_axis_keep_their_distance() -> None:
    axis = ValueAxis("left")
    for span in (0.037, 1.0, 83.0, 1e6):
        for size in (20, 60, 300):
            for spacing, _ in axis.tickSpacing(0, span, size):
                assert spacing * size / span >= LINE_PX


def test_that_the_last_step_of_a_run_stands_at_the_axis(theme: Theme, qtbot: QtBot) -> None:
    chart = _chart(theme, qtbot, 240, [20.0, 50.0])
    words = [text for _, text in tick_words(chart.plot.getPlotItem().getAxis("bottom"))]
    assert "200" in words
