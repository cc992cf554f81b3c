from __future__ import annotations

import sys

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.widgets.charts import LineChart
from app.widgets.curves import Line
from app.widgets.theme import Theme

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
UPDATES = 20_000
TOLERANCE = 2_000
"""A pair of PySide6 and Python that leaks loses about ten references of None a `setData`: 200,000 here."""


def test_that_twenty_thousand_chart_updates_keep_the_references_of_none(
    theme: Theme, qtbot: QtBot
) -> None:
    chart = LineChart(theme, "soak")
    qtbot.addWidget(chart)
    chart.resize(300, 200)
    chart.show()
    qtbot.waitExposed(chart)
    x = np.arange(32, dtype=np.float64)
    chart.set_lines([Line("a", "a", "base", x, np.sin(x))])
    chart.redraw()
    items = chart.plot.getPlotItem().items
    curve = next(item for item in items if getattr(item, "xData", None) is not None)
    frames = [np.sin(x + phase) for phase in range(8)]
    before = sys.getrefcount(None)
    for update in range(UPDATES):
        curve.setData(x, frames[update % 8])
        if update % 500 == 0:
            chart.set_lines([Line("a", "a", "base", x, frames[update % 8])])
            chart.redraw()
            qtbot.wait(0)
    assert abs(sys.getrefcount(None) - before) < TOLERANCE
