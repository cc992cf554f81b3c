"""How far a measuring stage is, with the rate of this session and what it makes of the rest."""

from __future__ import annotations

import time
from typing import Literal

from core.events import Progress
from core.stages.context import StageContext


class Counter:
    """Counts finished units and reports each time.

    Args:
        context: of the stage.
        unit: what is counted.
    """

    def __init__(self, context: StageContext, unit: Literal["item", "sample", "layer"]) -> None:
        self._context, self._unit = context, unit
        self.done = self.total = self._before = 0
        self._started = time.perf_counter()

    def expect(self, total: int, done: int = 0) -> None:
        """Say how many there will be, and how many earlier sessions have finished, which are no part of the rate."""
        self.total = total
        self.done = self._before = done
        self.advance(0)

    def advance(self, count: int) -> None:
        """That many more are finished."""
        self.done += count
        here = self.done - self._before
        rate = here / (time.perf_counter() - self._started) if here else None
        self._context.emit(
            Progress(
                stage=self._context.stage,
                done=self.done,
                total=self.total,
                unit=self._unit,
                rate=rate,
                eta=(self.total - self.done) / rate if rate else None,
            )
        )
