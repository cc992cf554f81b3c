"""Measurement in the middle of a training, which goes on as if nothing had been measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from core.events import GuardWarning
from core.lm.mode import evaluating
from core.recipe.spec import LiveCka, Measure, Recipe
from core.stages.cka import measure, report_scored
from core.stages.context import StageContext
from core.stages.evaluate import score_task
from core.stages.probe_budget import ProbeBudget
from core.stages.reference import reference_of
from core.stages.training_state import RandomState

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def live(recipe: Recipe, context: StageContext) -> Live | None:
    """The live measurement that the recipe asks for in a training stage; None when it asks for none.

    CKA is left out while its reference does not exist: when this stage makes it, or a later one.
    """
    settings = recipe.measure
    with_cka = settings.cka is not None and settings.cka.every_steps > 0
    if settings.cka is not None and with_cka:
        try:
            context.checkpoint_of(settings.cka.reference)
        except KeyError:
            with_cka = False
    with_tasks = bool(settings.tasks) and settings.every_steps > 0
    return Live(context, settings, with_cka=with_cka) if with_cka or with_tasks else None


class Live:
    """Scores tasks and compares with the CKA reference at step 0 and every so many steps.

    CKA keeps within its share of the training time (`core.stages.probe_budget`); tasks are scored whenever they
    are due. The subject of its events is the stage itself, whose checkpoint is being made. The model's mode, its
    gradients and all global random states are as before afterwards.

    Args:
        context: of the training stage; its own `measure` is not looked at.
        settings: what is measured, and how often.
        with_cka: False when the reference does not exist yet, or is this very stage.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        context: StageContext,
        settings: Measure,
        *,
        with_cka: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._context = context
        self._settings = settings
        cka = settings.cka if with_cka else None
        self._cka = _LiveCka(context, cka, clock) if cka is not None and cka.every_steps else None

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int, steps: int
    ) -> None:
        """Measure what is due at this step, of so many."""
        compare = self._cka is not None and self._cka.arrive(model, step, steps)
        if self._score_is_due(step) or compare:
            random = RandomState.capture()
            try:
                with evaluating(model), torch.no_grad():
                    if self._score_is_due(step):
                        self._score(model, tokenizer, step)
                    if self._cka is not None and compare:
                        self._cka.compare(model, step)
            finally:
                random.restore()
        if self._cka is not None:
            self._cka.leave()

    def _score_is_due(self, step: int) -> bool:
        every = self._settings.every_steps
        return bool(self._settings.tasks) and every > 0 and step % every == 0

    def _score(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int) -> None:
        for name in self._settings.tasks:
            score_task(
                model,
                tokenizer,
                name,
                self._context,
                subject=self._context.stage,
                checkpoint=None,
                step=step,
                limit=self._settings.live_items,
            )


class _LiveCka:
    """The comparisons of one training stage, within their budget."""

    def __init__(
        self, context: StageContext, settings: LiveCka, clock: Callable[[], float]
    ) -> None:
        self._context, self._settings, self._clock = context, settings, clock
        self._budget = ProbeBudget(settings.every_steps, settings.max_share, clock)
        self._reference_seconds = 0.0
        self._reported = False  # what was left out of the probe

    def arrive(self, model: PreTrainedModel, step: int, steps: int) -> bool:
        """Take the time and say whether this step is measured."""
        due = self._budget.is_due(step)
        if due and model.device.type == "cuda":
            torch.cuda.synchronize(model.device)  # what is queued belongs to the step
        self._budget.arrive(step)
        if not due:
            return False
        self._tell(step, steps)
        return self._budget.allows(step, steps)

    def compare(self, model: PreTrainedModel, step: int) -> None:
        began = self._clock()
        reference = reference_of(self._settings, self._context)
        self._reference_seconds += self._clock() - began
        if not self._reported:
            report_scored(reference, self._context, step)
            self._reported = True
        with self._budget.measuring():
            measure(
                model,
                reference,
                self._settings,
                self._context,
                subject=self._context.stage,
                step=step,
            )

    def leave(self) -> None:
        self._budget.leave()

    def _tell(self, step: int, steps: int) -> None:
        news = self._budget.news(step, steps)
        if news is not None:
            values = {**news, "reference_seconds": self._reference_seconds}
            self._context.emit(
                GuardWarning(
                    stage=self._context.stage, code="probe_budget", step=step, values=values
                )
            )
