"""How fast a run goes and when it will be done, in words; nothing is said of what is not known."""

from __future__ import annotations

from app.viewmodels import words
from app.viewmodels.stage_strip import StageStrip, progress_text
from core.events import Progress

FAST = 1.0
"""Units a second from which a rate reads better as units a second than as seconds a unit."""
TENTHS_BELOW = 10.0
"""Seconds a unit under which a decimal says something."""


def left(strip: StageStrip) -> str:
    """ "sdft: step 128 / 200, 12 m left" for the stage that runs."""
    stage, progress = strip.current, strip.current_progress
    if stage is None:
        return ""
    if progress is None:
        return stage.id
    return f"{stage.id}: {progress_text(progress)}{_left(progress)}"


def brief(strip: StageStrip) -> str:
    """ "128 / 200, 12 m left" for the stage that runs; its name while it counts nothing."""
    progress = strip.current_progress
    if progress is None:
        return left(strip)
    return f"{progress_text(progress).removeprefix(f'{progress.unit} ')}{_left(progress)}"


def pace(strip: StageStrip, now: float) -> str:
    """ "step 128 of 200 · 21 s/step · ends 14:52" for the stage that runs; `now` in seconds since the epoch."""
    stage, progress = strip.current, strip.current_progress
    if stage is None:
        return ""
    if progress is None:
        return stage.id
    parts = [progress_text(progress).replace(" / ", " of ")]
    if progress.rate:
        parts.append(_rate(progress))
    if progress.eta is not None:
        parts.append(f"ends {words.clock(now + progress.eta)[:5]}")
    return " · ".join(parts)


def _left(progress: Progress) -> str:
    return "" if progress.eta is None else f", {words.duration(progress.eta)} left"


def _rate(progress: Progress) -> str:
    rate = progress.rate or 0.0
    if progress.unit == "byte":
        return f"{words.size(rate)}/s"
    if rate >= FAST:
        return f"{rate:.1f} {progress.unit}s/s"
    seconds = 1 / rate
    return f"{seconds:.{1 if seconds < TENTHS_BELOW else 0}f} s/{progress.unit}"
