"""The stage strip of a run: one card a stage, its state, progress and result.

A measurement that the recipe only implies has no card of its own in the strip: it shows on the card of
the checkpoint it measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.viewmodels import estimate_words, words
from app.viewmodels.types import StageCard
from core.events import (
    CheckpointSaved,
    PlannedStage,
    Progress,
    RunStarted,
    StageFinished,
    StageStarted,
)
from core.recipe.field import BASE
from core.recipe.plan import MODEL

_FOUND = (BASE, MODEL)
"""Kinds of steps that make nothing: the model is there already."""


@dataclass
class _State:
    status: str = "waiting"
    device: str = ""
    dtype: str = ""
    bytes: int = 0
    reused: bool = False
    seconds: float = 0.0
    expected: int | None = None  # bytes at the peak, before it began
    expected_seconds: float | None = None
    peak: int | None = None  # measured
    progress: Progress | None = None


class StageStrip:
    """Folds what happens to stages."""

    def __init__(self) -> None:
        self.stages: tuple[PlannedStage, ...] = ()
        self.roles: dict[str, str] = {}
        self._states: dict[str, _State] = {}

    def begin(self, started: RunStarted) -> None:
        """A session begins: what an earlier one finished stays, everything else waits."""
        self.stages = started.stages
        self.roles = {stage.id: stage.role or "" for stage in started.stages}
        before, self._states = self._states, {}
        for stage in started.stages:
            state = before.get(stage.id, _State())
            if state.status != "done":
                state = replace(state, status="waiting", progress=None)
            self._states[stage.id] = state

    def start(self, event: StageStarted) -> None:
        """A stage runs."""
        state = self._state(event.stage)
        state.status = "running"
        state.device, state.dtype = event.device or state.device, event.dtype or state.dtype
        state.expected, state.peak = event.estimated_memory, None
        state.expected_seconds = event.estimated_seconds
        state.progress = None

    def progress(self, event: Progress) -> None:
        """How far a stage is."""
        self._state(event.stage).progress = event

    def saved(self, event: CheckpointSaved) -> None:
        """The size of a finished checkpoint."""
        if event.final:
            self._state(event.stage).bytes = event.bytes

    def finish(self, event: StageFinished) -> None:
        """A stage ended."""
        state = self._state(event.stage)
        state.status, state.reused, state.seconds = event.status, event.reused, event.seconds
        state.peak = event.peak_memory

    def end(self, status: str) -> None:
        """The session ended: what still seems to run has stopped or failed with it."""
        for state in self._states.values():
            if state.status == "running":
                state.status = {"failed": "failed", "done": "done"}.get(status, "stopped")

    @property
    def current(self) -> PlannedStage | None:
        """The stage that runs now."""
        for stage in reversed(self.stages):
            if self._states[stage.id].status == "running":
                return stage
        return None

    @property
    def finished(self) -> frozenset[str]:
        """The stages that are done."""
        return frozenset(stage for stage, state in self._states.items() if state.status == "done")

    @property
    def found_again(self) -> tuple[str, ...]:
        """The training stages whose checkpoint was there already: this run has no curves of them."""
        return tuple(
            it.id
            for it in self.stages
            if it.kind in estimate_words.TRAINING and self._states[it.id].reused
        )

    @property
    def overall(self) -> float | None:
        """Finished share of all stages, each counted alike; None before the plan is known."""
        if not self.stages:
            return None
        shares = [_fraction(self._states[stage.id]) or 0.0 for stage in self.stages]
        return sum(shares) / len(shares)

    @property
    def current_progress(self) -> Progress | None:
        """Progress of the stage that runs now."""
        stage = self.current
        return None if stage is None else self._states[stage.id].progress

    def memory(self, stage: str) -> str:
        """ "peak 1.1 GiB (1.2 GiB expected)" of a stage, as far as known; "" for one found again."""
        state = self._state(stage)
        return estimate_words.measured(state.expected, state.peak)

    @property
    def newest_training(self) -> PlannedStage | None:
        """The training stage that runs, or that ran last."""
        begun = [
            it
            for it in self.stages
            if it.kind in estimate_words.TRAINING and self._states[it.id].status != "waiting"
        ]
        return begun[-1] if begun else None

    def steps(self, stage: str) -> int:
        """Steps a training stage will take; 0 while unknown."""
        progress = self._state(stage).progress
        return progress.total if progress is not None and progress.unit == "step" else 0

    def cards(
        self,
        facts: Mapping[str, Sequence[str]],
        scores: Callable[[str], str],
        implied: bool = False,
    ) -> tuple[StageCard, ...]:
        """The cards in the order of the plan.

        Args:
            facts: what the recipe says about a stage, in a few words, by id.
            scores: the accuracies of a stage's checkpoint as a short line.
            implied: give implied measurements cards of their own.
        """
        cards = []
        for stage in self.stages:
            if stage.implied and not implied:
                continue
            measures = [] if implied else self._implied_by(stage.id)
            cards.append(self._card(stage, measures, facts.get(stage.id, ()), scores))
        return tuple(cards)

    def _card(
        self,
        stage: PlannedStage,
        measures: Sequence[PlannedStage],
        facts: Sequence[str],
        scores: Callable[[str], str],
    ) -> StageCard:
        state = self._states[stage.id]
        shown = state
        measuring = next((it for it in measures if self._states[it.id].status == "running"), None)
        failed = next((it for it in measures if self._states[it.id].status == "failed"), None)
        if measuring is not None:
            shown = self._states[measuring.id]
        headline = _headline(shown, facts, stage, measuring)
        score = scores(stage.id) if stage.role is not None else ""
        note = _note(shown)
        memory = (
            "" if measuring is not None else estimate_words.measured(state.expected, state.peak)
        )
        status = "failed" if failed is not None else shown.status
        return StageCard(
            id=stage.id,
            kind=stage.kind,
            role=stage.role or "",
            status=status,
            title=stage.id,
            headline=headline,
            detail=tuple(text for text in (score, note, memory) if text),
            fraction=_fraction(shown),
            eta=shown.progress.eta if shown.progress and shown.status == "running" else None,
            source=stage.source,
            implied=stage.implied,
        )

    def _implied_by(self, stage: str) -> list[PlannedStage]:
        return [it for it in self.stages if it.implied and it.source == stage]

    def _state(self, stage: str) -> _State:
        return self._states.setdefault(stage, _State())


def _fraction(state: _State) -> float | None:
    if state.status == "done":
        return 1.0
    if state.progress is not None and state.progress.total > 0:
        return min(1.0, state.progress.done / state.progress.total)
    return None if state.status == "running" else 0.0


def _headline(
    state: _State, facts: Sequence[str], stage: PlannedStage, measuring: PlannedStage | None
) -> str:
    if state.status == "running" and state.progress is not None:
        return f"{_doing(stage, measuring)}{progress_text(state.progress)}".strip()
    if state.status == "running":
        return _doing(stage, measuring).strip() or (
            "loading" if stage.kind in _FOUND else "starting"
        )
    parts = [*facts, state.dtype if stage.kind in _FOUND else "", words.size(state.bytes)]
    return " · ".join(part for part in parts if part and part != words.size(0))


def _doing(stage: PlannedStage, measuring: PlannedStage | None) -> str:
    kind = measuring.kind if measuring is not None else stage.kind
    return {"evaluate": "scoring ", "cka": "measuring CKA "}.get(kind, "")


def progress_text(progress: Progress) -> str:
    """ "step 128 / 200", "item 12 / 40"; bytes as sizes."""
    if progress.unit == "byte":
        return f"{words.size(progress.done)} of {words.size(progress.total)}"
    return f"{progress.unit} {progress.done:,} / {progress.total:,}"


def _note(state: _State) -> str:
    if state.status == "running" and state.progress is not None and state.progress.eta is not None:
        return f"{words.duration(state.progress.eta)} left"
    if state.status == "done" and state.reused:
        return "found again, not rebuilt"
    if state.status == "done" and state.seconds >= 1:
        return words.duration(state.seconds)
    return {"stopped": "stopped", "failed": "failed"}.get(state.status, "")
