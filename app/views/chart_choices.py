"""What a person chose for all charts of a run: which stand there, their axes and smoothing; kept in the settings."""

from __future__ import annotations

from collections.abc import Sequence

from app.settings import Settings

CHARTS, X_AXIS, LOG, CLIP = "run.charts", "run.x_axis", "run.log", "run.clip"
SEPARATOR = ","
ON, OFF = "on", ""


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
