"""How far the answer to a question about data is, how fast it comes and when it will be there, in words."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.viewmodels import words
from core.engine.data_process import BYTES, Report

MEASURED_SECONDS = 1.0
"""A rate over less time says little."""


class DataPace:
    """Turns reports into words; the rate is that since the phase of work began.

    Args:
        clock: seconds, of any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._phase: tuple[int, int, str] | None = None
        self._begun = (0, 0.0)  # done, and when
        self._last = 0

    def told(self, report: Report) -> str:
        """ "12,000 of 100,000 items · 4,100 items/s · 21 s left"; no rate before it can be known."""
        phase, now = (report.number, report.of, report.unit), self._clock()
        if phase != self._phase or report.done < self._last:
            self._phase, self._begun = phase, (report.done, now)
        self._last = report.done
        if not report.of:
            return "comparing…"
        if report.unit == BYTES:
            parts = [f"{words.size(report.done)} of {words.size(report.of)}"]
        else:
            parts = [f"{report.done:,} of {report.of:,} items"]
        passed = now - self._begun[1]
        rate = (report.done - self._begun[0]) / passed if passed >= MEASURED_SECONDS else 0.0
        if rate > 0:
            fast = f"{words.size(rate)}/s" if report.unit == BYTES else f"{rate:,.0f} items/s"
            parts += [fast, f"{words.duration((report.of - report.done) / rate)} left"]
        return " · ".join(parts)
