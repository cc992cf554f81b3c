"""What a person chose for all charts of a run: which stand there, their axes and smoothing; kept in the settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.settings import Settings

CHARTS, X_AXIS, LOG, CLIP = "run.charts", "run.x_axis", "run.log", "run.clip"
SEPARATOR = ","
ON, OFF = "on", ""
RANGES = "run.x_ranges"
RANGES_KEPT = 20
"""Of so many runs and axes, those zoomed last."""


class ChartChoices:
    """Reads and writes the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def charts(self) -> list[str]:
        """Keys of the charts, in order; empty while nothing was chosen."""
        return [key for key in self._settings.views.get(CHARTS, "").split(SEPARATOR) if key]

    def set_charts(self, keys: Sequence[str]) -> None:
        """Keep which charts stand there."""
        self._settings.views[CHARTS] = SEPARATOR.join(keys)

    @property
    def x_axis(self) -> str:
        """Key of the horizontal axis."""
        return self._settings.views.get(X_AXIS, "step")

    def set_x_axis(self, key: str) -> None:
        """Keep the horizontal axis."""
        self._settings.views[X_AXIS] = key

    def x_range(self, run: str, axis: str) -> tuple[float, float] | None:
        """What was zoomed to in a run (by its id) on an axis; None for everything."""
        try:
            low, high = map(float, self._ranges().get((run, axis), "").split())
        except ValueError:  # nothing was kept, or not by this version
            return None
        return (low, high) if math.isfinite(low) and low < high < math.inf else None

    def set_x_range(self, run: str, axis: str, shown: tuple[float, float] | None) -> None:
        """Keep what was zoomed to; None forgets it."""
        ranges = self._ranges()
        ranges.pop((run, axis), None)
        if shown is not None:
            ranges[run, axis] = f"{shown[0]!r} {shown[1]!r}"
        kept = list(ranges.items())[-RANGES_KEPT:]
        self._settings.views[RANGES] = "\n".join("\t".join((*key, it)) for key, it in kept)

    def _ranges(self) -> dict[tuple[str, str], str]:
        lines = [line.split("\t") for line in self._settings.views.get(RANGES, "").splitlines()]
        return {(line[0], line[1]): line[2] for line in lines if len(line) == 3}

    @property
    def log(self) -> bool:
        """Whether y is logarithmic."""
        return self._settings.views.get(LOG, OFF) == ON

    def set_log(self, on: bool) -> None:
        """Keep whether y is logarithmic."""
        self._settings.views[LOG] = ON if on else OFF

    @property
    def clip(self) -> bool:
        """Whether outliers are left out of the y axis."""
        return self._settings.views.get(CLIP, OFF) == ON

    def set_clip(self, on: bool) -> None:
        """Keep whether outliers are left out."""
        self._settings.views[CLIP] = ON if on else OFF

    @property
    def smoothing(self) -> float:
        """Weight of the moving average, 0 for none."""
        return self._settings.smoothing

    def set_smoothing(self, weight: float) -> None:
        """Keep the smoothing."""
        self._settings.smoothing = weight
