"""How curves of several runs are told apart: a hue for each run, and a shade of it for each of its curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from app.viewmodels.types import RunSummary
from app.widgets.controls import colour_of
from app.widgets.theme import Theme
from app.widgets.tokens import mix

SHADES = (("panel", 1.0), ("ink", 0.5), ("panel", 0.6), ("ink", 0.25))
"""(token of the ground, share of the hue) of the first, second … curve of a run; then they begin again."""


def run_hue(theme: Theme, place: int) -> str:
    """The colour token of a run by its place in the comparison."""
    extra = theme.tokens.extra
    return extra[place % len(extra)]


class Looks:
    """Labels and colours for one drawing of one chart; curves are asked for in their order.

    Args:
        theme: its colours now.
        runs: the compared runs; they have letters only among several.
    """

    def __init__(self, theme: Theme, runs: Sequence[RunSummary]) -> None:
        self._theme = theme
        self._runs = {
            run.label: (run.letter, run_hue(theme, place)) for place, run in enumerate(runs)
        }
        self._drawn: Counter[str] = Counter()

    def next(
        self, run: str, stage: str, stage_hue: str, *, alone: bool = False, shaded: bool = True
    ) -> tuple[str, str]:
        """Label and colour of a run's next curve: of one run alone, those of the stage.

        Args:
            run: its label.
            stage, stage_hue: what the curve is called and coloured in one run.
            alone: no other curve of this run is there, so that its letter says all.
            shaded: False for a curve that is told apart by its dashes.
        """
        letter, hue = self._runs[run]
        if not letter:
            return stage, stage_hue
        place = self._drawn[run] if shaded else 0
        self._drawn[run] += shaded
        return letter if alone else f"{letter} {stage}", self._shade(hue, place)

    def _shade(self, hue: str, place: int) -> str:
        ground, share = SHADES[place % len(SHADES)]
        colour = colour_of(self._theme, hue)
        return mix(colour, getattr(self._theme.tokens, ground), share) if share < 1 else hue
