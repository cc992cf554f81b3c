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
        self.done = self.total = 0
        self._started = time.perf_counter()

    def expect(self, total: int) -> None:
        """Say how many there will be."""
        self.total = total
        self.advance(0)

    def advance(self, count: int) -> None:
        """That many more are finished."""
        self.done += count
        rate = self.done / (time.perf_counter() - self._started) if self.done else None
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
