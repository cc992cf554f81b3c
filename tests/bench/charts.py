"""How long a chart takes to take and draw ten curves of 100,000 points, against pyqtgraph untouched.

The last line is one JSON object: milliseconds (median of the rounds) and the ratio. Run it on an idle machine.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QApplication

from app.widgets.charts import LineChart
from app.widgets.curves import Line
from app.widgets.decimate import decimate, smooth
from app.widgets.heatmap import HeatmapView
from app.widgets.theme import Theme

CURVES = 10
POINTS = 100_000
ROUNDS = 15
SIZE = (900, 500)
HEATMAP = 512


def milliseconds(act: Callable[[], object]) -> float:
    """Median time of an act, after one round to warm up."""
    act()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def main() -> None:
    """Measure and print."""
    qt = QApplication(sys.argv[:1])
    theme = Theme(qt, "light")
    rng = np.random.default_rng(1)
    x = np.arange(POINTS, dtype=np.float64)
    data = [np.cumsum(rng.normal(size=POINTS)) for _ in range(CURVES)]

    chart = LineChart(theme, "bench")
    chart.resize(*SIZE)
    chart.show()

    def ours(smoothing: float) -> Callable[[], None]:
        def act() -> None:
            chart.set_smoothing(smoothing)
            tokens = theme.tokens.extra
            chart.set_lines(
                Line(str(k), f"curve {k}", tokens[k % len(tokens)], x, y + 0.0)
                for k, y in enumerate(data)
            )
            chart.redraw()
            chart.grab()

        return act

    plain = pg.PlotWidget()
    plain.resize(*SIZE)
    plain.show()
    items = [plain.plot(pen=pg.mkPen(k, width=1)) for k in range(CURVES)]

    def untouched() -> None:
        for item, y in zip(items, data, strict=True):
            item.setData(x, y + 0.0)
        plain.grab()

    heat = HeatmapView(theme, "bench")
    heat.resize(*SIZE)
    heat.show()
    names = [str(place) for place in range(HEATMAP)]
    values = rng.random((HEATMAP, HEATMAP))

    def heatmap() -> None:
        heat.set_data(values, names, names)
        heat.grab()

    result: dict[str, float] = {
        "decimate_one_curve_ms": milliseconds(lambda: decimate(x, data[0], SIZE[0])),
        "smooth_one_curve_ms": milliseconds(lambda: smooth(data[0], 0.9)),
        "ten_curves_ms": milliseconds(ours(0.0)),
        "ten_curves_smoothed_ms": milliseconds(ours(0.9)),
        "ten_curves_untouched_pyqtgraph_ms": milliseconds(untouched),
        "heatmap_512_ms": milliseconds(heatmap),
    }
    result = {key: round(value, 3) for key, value in result.items()}
    result["untouched_over_ours"] = round(
        result["ten_curves_untouched_pyqtgraph_ms"] / result["ten_curves_ms"], 2
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
