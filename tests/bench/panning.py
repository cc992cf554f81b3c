"""One frame of a chart of ten curves of a million points while it is panned, against pyqtgraph untouched.

A frame is: the range of x moves, the curves are reduced to their pixels, and the whole chart is painted.
pyqtgraph's own ways: untouched (a curve's points are all drawn), and with its downsampling to peaks and
clipping to the view switched on. Three windows of x: a fifth of the curves, all of them but an end, a thousandth.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from PySide6.QtWidgets import QApplication

from app.widgets.charts import LineChart
from app.widgets.curves import Line
from app.widgets.theme import Theme

CURVES = 10
POINTS = 1_000_000
SIZE = (900, 500)
SHARES = {"fifth": 0.2, "nearly all": 0.9, "thousandth": 0.001}
FRAMES = 60
FRAMES_UNTOUCHED = 3
FRAMES_DOWNSAMPLED = 9


def curves(theme: Theme) -> list[Line]:
    """Ten random walks."""
    rng = np.random.default_rng(1)
    x = np.arange(POINTS, dtype=np.float64)
    tokens = theme.tokens.extra
    return [
        Line(f"c{k}", f"curve {k}", tokens[k % len(tokens)], x, np.cumsum(rng.normal(size=POINTS)))
        for k in range(CURVES)
    ]


def frames(show: Callable[[float, float], None], share: float, count: int) -> float:
    """Median milliseconds of a frame; the first one is not counted."""
    taken = []
    span = share * POINTS
    for frame in range(count + 1):
        low = (POINTS - span) * frame / (count + 1)
        start = time.perf_counter()
        show(low, low + span)
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken[1:])


def measure() -> dict[str, object]:
    """The figures, in a process that has drawn nothing else."""
    qt = QApplication([])
    theme = Theme(qt, "light")
    lines = curves(theme)
    chart = LineChart(theme, "bench")
    chart.resize(*SIZE)
    chart.show()
    chart.set_lines(lines)
    chart.redraw()
    box = chart.plot.getPlotItem().getViewBox()

    def ours(low: float, high: float) -> None:
        box.setXRange(low, high, padding=0)
        box.sigRangeChangedManually.emit(box.state["mouseEnabled"])
        chart.redraw()
        chart.plot.grab()

    mine = {name: frames(ours, share, FRAMES) for name, share in SHARES.items()}
    found: dict[str, object] = {
        "frame_ms_median": round(max(mine.values()), 2),
        "frames_ms": {name: round(taken, 2) for name, taken in mine.items()},
    }
    chart.hide()
    for name, downsampled, count in (
        ("untouched", False, FRAMES_UNTOUCHED),
        ("downsampled", True, FRAMES_DOWNSAMPLED),
    ):
        plain = pg.PlotWidget()
        plain.resize(*SIZE)
        plain.show()
        if downsampled:
            plain.setDownsampling(auto=True, mode="peak")
            plain.setClipToView(True)
        for place, line in enumerate(lines):
            plain.plot(line.x, line.y, pen=pg.mkPen(place, width=1))

        def theirs(low: float, high: float, plain: pg.PlotWidget = plain) -> None:
            plain.setXRange(low, high, padding=0)
            plain.grab()

        taken = frames(theirs, SHARES["fifth"], count)
        found[f"{name}_pyqtgraph_frame_ms"] = round(taken, 2)
        found[f"{name}_over_ours"] = round(taken / mine["fifth"], 1)
        plain.hide()
    return found
