"""Charts that move together: one range of x and one crosshair for all of them."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.widgets.chart_hands import Range
from app.widgets.charts import LineChart


class LinkedCharts(QObject):
    """Links the charts that are added; charts that leave go their own way again.

    `changed` tells that a person zoomed, or wants to see everything again.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._charts: list[LineChart] = []
        self.range: Range | None = None
        """What a person zoomed to; None while all is shown."""

    def add(self, chart: LineChart) -> None:
        """Link a chart; it takes the range that the others show."""
        self._charts.append(chart)
        chart.extent = self.extent
        chart.crossed.connect(self._cross)
        chart.ranged.connect(self._zoom)
        chart.followed.connect(self.follow)
        if self.range is not None:
            chart.take_range(*self.range)
        else:
            chart.reset_view()

    def remove(self, chart: LineChart) -> None:
        """Let a chart go."""
        self._charts.remove(chart)
        chart.extent = chart.x_limits
        chart.crossed.disconnect(self._cross)
        chart.ranged.disconnect(self._zoom)
        chart.followed.disconnect(self.follow)
        chart.put_cross(None)

    def extent(self) -> Range | None:
        """The range of x that all charts together take up."""
        ends = [found for chart in self._charts if (found := chart.x_limits()) is not None]
        return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None

    def zoom(self, factor: float) -> None:
        """Show `factor` of the range in all charts."""
        if self._charts:
            self._charts[0].zoom(factor)

    def follow(self) -> None:
        """Show everything in all charts."""
        self.take(None)
        self.changed.emit()

    def take(self, shown: Range | None) -> None:
        """Show this range in all charts, as it was kept; None shows everything."""
        self.range = shown
        for chart in self._charts:
            if shown is None:
                chart.reset_view()
            else:
                chart.take_range(*shown)

    def show_at(self, x: float) -> None:
        """Bring a place into view in all charts, with the crosshair on it."""
        if self._charts:
            self._charts[0].show_at(x)

    def put_cross(self, at: float | None) -> None:
        """Stand the crosshair of all charts at `at`, or take it away."""
        for chart in self._charts:
            chart.put_cross(at, leading=False)

    def _cross(self, at: float | None) -> None:
        leader = self.sender()
        for chart in self._charts:
            if chart is not leader:
                chart.put_cross(at, leading=False)

    def _zoom(self, low: float, high: float) -> None:
        self.range = (low, high)
        leader = self.sender()
        for chart in self._charts:
            if chart is not leader:
                chart.take_range(low, high)
        self.changed.emit()
