"""What a run has to tell in words: its log, and the table of signals that show a collapse early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.viewmodels import demonstration, estimate_words, words
from app.viewmodels.curves import Curve, Curves
from app.viewmodels.guard_words import guard, guard_now
from app.viewmodels.similarity import told
from app.viewmodels.types import LogLine, Mark
from core.events import (
    CheckpointSaved,
    CkaMeasured,
    GuardWarning,
    Metrics,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    TaskEvaluated,
)
from core.recipe.field import BASE
from core.store.rows import LoggedEvent

_LEVEL = {"done": "good", "failed": "error", "stopped": "warning", "interrupted": "warning"}


@dataclass(frozen=True)
class GuardRow:
    """One signal of the guards table; all texts are ready to show. `bad` rows are out of their limit.

    `step` is that of the newest warning about it, None without one.
    """

    signal: str
    now: str
    start: str
    limit: str
    bad: bool
    help: str = ""
    stage: str = ""
    step: int | None = None


class Journal:
    """Folds every event that deserves a line, and the places of warnings on the charts."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.marks: list[Mark] = []
        self.latest_warning: dict[str, GuardWarning] = {}  # by code

    def add(self, logged: LoggedEvent) -> bool:
        """Take the event; True when it made a line."""
        event = logged.event
        if isinstance(event, GuardWarning):
            self.latest_warning[event.code] = event
            if event.step is not None and event.code not in _UNMARKED:
                self.marks.append(Mark(event.stage, event.step, guard(event.code, event.values)))
        found = line_of(logged)
        if found is None:
            return False
        level, text = found
        self.lines.append(LogLine(logged.t, level, text, words.clock(logged.t)))
        return True


def line_of(logged: LoggedEvent) -> tuple[str, str] | None:
    """(level, text) of an event that deserves a line in the log; None for the steady ones."""
    match logged.event:
        case RunStarted() as it:
            again = "" if it.session == 1 else f", session {it.session}"
            return "info", f"Run started{again}: {len(it.stages)} steps."
        case RunFinished(failure=None) as it:
            took = words.duration(it.seconds)
            return _LEVEL.get(it.status, "info"), f"Run {words.status(it.status)} after {took}."
        case RunFinished(failure=failure) if failure is not None:
            named = words.status("failed", failure.failure)
            text = f"Run {named}. {failure.message} {failure.hint}".strip()
            return "error", text
        case StageStarted() as it:
            why = it.why if it.stage == BASE else ""  # the same for all stages: said once
            where = ", ".join(part for part in (it.device, it.dtype, why) if part)
            needs = [
                f"{words.size(it.estimated_memory)} at most" if it.estimated_memory else "",
                estimate_words.about(it.estimated_seconds),
            ]
            expected = ", ".join(part for part in needs if part)
            begun = f"{it.stage}: started{f' on {where}' if where else ''}"
            return "info", f"{begun}{f'; expected: {expected}' if expected else ''}."
        case StageFinished(reused=True) as it:
            return "good", f"{it.stage}: an identical checkpoint was found and is used."
        case StageFinished() as it:
            took = words.duration(it.seconds)
            peak = f", peak {words.size(it.peak_memory)}" if it.peak_memory else ""
            return _LEVEL.get(it.status, "info"), f"{it.stage}: {it.status} after {took}{peak}."
        case CheckpointSaved() as it:
            what = "checkpoint" if it.final else f"training state at step {it.step}"
            return "info", f"{it.stage}: {what} saved, {words.size(it.bytes)}."
        case TaskEvaluated(step=None) as it if it.n:
            share = f"{100 * it.correct / it.n:.1f} %"
            return "good", (
                f"{it.subject}: {words.plain(it.task)} {share} ({it.correct} of {it.n}, "
                f"{words.SCORER.get(it.scorer, it.scorer)})."
            )
        case CkaMeasured(step=None) as it:
            what = f"{it.subject}: CKA against {it.reference} measured on {it.n} items"
            return "info", f"{what}: {told(it)}." if told(it) else f"{what}."
        case Metrics() as it if demonstration.line(it.values):
            return "info", f"{it.stage}: {demonstration.line(it.values)}"
        case GuardWarning() as it:
            at = "" if it.step is None else f" (step {it.step})"
            return "warning", f"{it.stage}{at}: {guard(it.code, it.values)}"
    return None


@dataclass(frozen=True)
class _Signal:
    """A row of the guards table: a metric, and the limits beyond which a person should look."""

    keys: tuple[str, ...]
    title: str
    help: str
    percent: bool = False
    at_least: float = -math.inf
    at_most: float = math.inf
    relative: bool = False  # the limits are factors of the value at the start
    code: str = ""  # of the warning about it


# Limits as on the run page of the design (inferred there); a share is 0-1.
_SIGNALS = (
    _Signal(
        ("completion_length",),
        "completion length, tokens",
        "Completions that shrink or swell are the first sign of a collapse.",
        at_least=1 / 3,
        at_most=3,
        relative=True,
    ),
    _Signal(
        ("ended_rate", "ended"),
        "ended by itself",
        "Share of completions that ended before the length limit.",
        percent=True,
        at_least=0.6,
        code="truncated_completions",
    ),
    _Signal(
        ("entropy",),
        "entropy, nats",
        "Uncertainty of the student per token; near zero it repeats itself.",
        at_least=0.2,
        code="entropy_collapse",
    ),
    _Signal(
        ("artefact_rate",),
        "“based on the example”",
        "Share of completions that speak of the example that the teacher was shown.",
        percent=True,
        at_most=0.02,
        code="artefact_phrases",
    ),
    _Signal(
        ("grad_norm",), "gradient norm", "Before clipping; bursts mean unstable steps.", at_most=10
    ),
)


_NEWS = frozenset({"stopped_early", "sink_tokens_dropped", "probe_budget"})
"""What is told as a warning and is none: it was asked for."""
_UNMARKED = frozenset({"sink_tokens_dropped"})
"""What comes with every measurement: a mark for each would hide those that matter."""


def guard_rows(
    curves: Curves, stage: str, warnings: Sequence[GuardWarning]
) -> tuple[GuardRow, ...]:
    """The signals of a training stage now and at its start, then what else was warned of."""
    rows = []
    mine: dict[str, GuardWarning] = {
        warning.code: warning for warning in warnings if warning.stage == stage
    }
    for signal in _SIGNALS:
        found = (curves.get(key, stage) for key in signal.keys)
        curve = next((it for it in found if it is not None), None)
        if curve is not None and len(curve):
            warned = mine.get(signal.code)
            step = warned.step if warned is not None else None
            rows.append(replace(_row(signal, curve), stage=stage, step=step))
    told = {signal.code for signal in _SIGNALS if any(curves.get(it, stage) for it in signal.keys)}
    for warning in mine.values():
        if warning.code not in told:
            now = guard_now(warning.code, warning.values)
            text = guard(warning.code, {})
            rows.append(
                GuardRow(
                    words.plain(warning.code).lower(),
                    now,
                    "",
                    "",
                    warning.code not in _NEWS,
                    text,
                    stage,
                    warning.step,
                )
            )
    return tuple(rows)


def _row(signal: _Signal, curve: Curve) -> GuardRow:
    start, now = curve.first, curve.last
    low, high = signal.at_least, signal.at_most
    if signal.relative and math.isfinite(start):
        low, high = low * start, high * start
    show = words.percent if signal.percent else words.number
    if math.isfinite(low) and math.isfinite(high):
        limit = f"{show(low)} {words.NONE} {show(high)}"
    elif math.isfinite(low):
        limit = f"> {show(low)}"
    else:
        limit = f"< {show(high)}"
    return GuardRow(
        signal.title, show(now), show(start), limit, not low <= now <= high, signal.help
    )
