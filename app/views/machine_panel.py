"""The machine while a run runs: load, memory, disk, and the GPUs' heat and power, over the last hour.

The figures are the machine's, not the run's: what else runs on it is in them, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from app.viewmodels.machine import GPU, MachineMonitor
from app.widgets.charts import LineChart
from app.widgets.controls import label
from app.widgets.curves import Line
from app.widgets.theme import Theme

SPACING = 8
WHOLE = 100
"""Per cent."""
WAITING = "The first figures come after a second."
CHARTS = (
    ("load", "Load", "per cent"),
    ("memory", "Memory", "GiB"),
    ("disk", "Disk", "MiB/s, whole machine"),
    ("heat", "GPU heat and power", "°C and W"),
)
"""Key, title, unit."""
PLAIN = {
    "load": (("cpu", "CPU", 0),),
    "memory": (("memory", "host", 0), ("workers", "workers", 2)),
    "disk": (("read", "read", 0), ("write", "written", 1)),
    "heat": (),
}
"""By chart: key of the series, its name, and the place of its hue."""
OF_A_GPU = {
    "load": (("utilisation", "GPU", 4),),
    "memory": (("memory", "GPU", 4),),
    "disk": (),
    "heat": (("temperature", "°C", 1), ("power", "W", 3)),
}


class MachinePanel(QWidget):
    """Four small charts, drawn anew once a second while they are visible."""

    def __init__(self, theme: Theme, monitor: MachineMonitor) -> None:
        super().__init__()
        self._theme = theme
        self._monitor = monitor
        self.setAccessibleName("Machine")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(SPACING)
        self.charts: dict[str, LineChart] = {}
        self.no_gpu = label("", "hint", wrap=True)
        self.no_gpu.setAccessibleName("GPUs")
        for place, (key, title, unit) in enumerate(CHARTS):
            cell = QVBoxLayout()
            cell.setSpacing(2)
            cell.addWidget(label(f"{title} · {unit}", "small"))
            chart = LineChart(theme, title, x_label="second", empty=WAITING)
            self.charts[key] = chart
            if key == "load":
                chart.set_y_range(0, WHOLE)
            cell.addWidget(chart, 1)
            if key == "heat":
                cell.addWidget(self.no_gpu, 1)
            grid.addLayout(cell, place // 2, place % 2)
        monitor.sampled.connect(self._sampled)
        theme.changed.connect(self.refresh)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up."""
        super().showEvent(event)
        self.refresh()

    def refresh(self) -> None:
        """Take the last hour."""
        latest = self._monitor.latest
        gpus = [gpu.place for gpu in latest.gpus] if latest is not None else []
        self.charts["heat"].setVisible(bool(gpus))
        self.no_gpu.setVisible(not gpus)
        self.no_gpu.setText(self._monitor.gpu_reason)
        for key, chart in self.charts.items():
            chart.set_lines(self._lines(key, gpus))
        self.setToolTip("\n".join(self._monitor.lines()))

    def _lines(self, chart: str, gpus: Sequence[int]) -> Sequence[Line]:
        hues = self._theme.tokens.extra
        wanted = [(key, name, hue) for key, name, hue in PLAIN[chart]]
        for place in gpus:
            which = f" {place}" if len(gpus) > 1 or place else ""
            wanted += [
                (f"{GPU}{place}.{key}", f"{name}{which}", hue + place)
                for key, name, hue in OF_A_GPU[chart]
            ]
        made = []
        for key, name, hue in wanted:
            x, y = self._monitor.ring.series(key)
            made.append(Line(key, name, hues[hue % len(hues)], x, y))
        return made

    def _sampled(self) -> None:
        if self.isVisible():
            self.refresh()
