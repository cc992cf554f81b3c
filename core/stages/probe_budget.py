"""How often live CKA may be measured: seldom enough to stay within its share of the training time.

A measurement reads the whole probe, which on a large one takes as long as many training steps. Here both are
timed, and a measurement is put off, by whole multiples of the steps asked for, while it would lift the time of all
measurements so far above the share. The first and the last are always taken: a curve needs its ends.

Not here: what is measured, and the reading of the reference, which happens once and does not repeat with the
interval.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHANGE = 2.0
"""Factor by which the interval must have moved to be told again; the time of a step varies by less."""


class ProbeBudget:
    """Times measurements and training, and says at which steps to measure.

    What passes between `leave` and the next `arrive` is training; what passes inside `measuring` is probing;
    all else between `arrive` and `leave` is neither.

    Args:
        every_steps: the interval asked for, at least 1.
        max_share: probing / (training + probing) allowed, in (0, 1].
        clock: seconds, from any start.
    """

    def __init__(
        self, every_steps: int, max_share: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.every_steps, self.max_share = every_steps, max_share
        self._clock = clock
        self._left: float | None = None  # when the training went on
        self._training = 0.0
        self._probing = 0.0
        self._last: float | None = None  # seconds of the last measurement
        self._window = (0, 0.0)  # step and training time at the due step before this one
        self._step_seconds = 0.0  # a step's since then
        self._told = every_steps

    def arrive(self, step: int) -> None:
        """The training pauses after this step."""
        if self._left is None:
            self._window = (step, 0.0)
            return
        self._training += self._clock() - self._left
        before, training = self._window
        if self.is_due(step) and step > before:
            self._step_seconds = (self._training - training) / (step - before)
            self._window = (step, self._training)

    def leave(self) -> None:
        """The training goes on."""
        self._left = self._clock()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Time one measurement."""
        began = self._clock()
        yield
        self._last = self._clock() - began
        self._probing += self._last

    def is_due(self, step: int) -> bool:
        """Whether the recipe asks for a measurement at this step."""
        return step % self.every_steps == 0

    def allows(self, step: int, steps: int) -> bool:
        """Whether a due step is measured: it is the first or last one, or the share allows it.

        How long it will take is judged by the one before; as long as that is not known, it is measured.

        Args:
            step: a due one.
            steps: of the whole training.
        """
        if step in (0, self._last_due(steps)) or self._last is None:
            return True
        probing = self._probing + self._last
        return probing <= self.max_share * (self._training + probing)

    def news(self, step: int, steps: int) -> dict[str, float] | None:
        """The numbers of a `probe_budget` warning when the interval has changed enough to be told, else None.

        Args:
            step: a due one.
            steps: of the whole training.
        """
        if self._last is None or self._step_seconds <= 0.0:
            return None
        interval = self._multiple(self._last * self._rest / self._step_seconds)
        if self._told / CHANGE < interval < self._told * CHANGE:
            return None
        self._told = interval
        probing = self._probing + self._last
        missing = probing * self._rest - self._training  # seconds of training until the next may be
        after = step + self._multiple(missing / self._step_seconds)
        return {
            "every_steps": self.every_steps,
            "interval": interval,
            "next_step": step if self.allows(step, steps) else min(after, self._last_due(steps)),
            "measurement_seconds": self._last,
            "step_seconds": self._step_seconds,
        }

    @property
    def _rest(self) -> float:
        """Seconds of training that pay for one second of probing."""
        return (1.0 - self.max_share) / self.max_share

    def _multiple(self, steps: float) -> int:
        return self.every_steps * max(1, math.ceil(steps / self.every_steps))

    def _last_due(self, steps: int) -> int:
        return steps - steps % self.every_steps
