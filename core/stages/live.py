"""Measurement in the middle of a training, which goes on as if nothing had been measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.lm.mode import evaluating
from core.recipe.spec import Measure, Recipe
from core.stages.cka import measure, reference_of
from core.stages.context import StageContext
from core.stages.evaluate import score_task
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

    The subject of its events is the stage itself, whose checkpoint is being made. The model's mode, its
    gradients and all global random states are as before afterwards.

    Args:
        context: of the training stage; its own `measure` is not looked at.
        settings: what is measured, and how often.
        with_cka: False when the reference does not exist yet, or is this very stage.
    """

    def __init__(self, context: StageContext, settings: Measure, *, with_cka: bool = True) -> None:
        self._context = context
        self._settings = settings
        self._cka = settings.cka if with_cka else None

    def __call__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, step: int
    ) -> None:
        """Measure what is due at this step."""
        score = bool(self._settings.tasks) and _due(step, self._settings.every_steps)
        compare = self._cka is not None and _due(step, self._cka.every_steps)
        if not (score or compare):
            return
        random = RandomState.capture()
        try:
            with evaluating(model), torch.no_grad():
                if score:
                    self._score(model, tokenizer, step)
                if compare:
                    self._compare(model, step)
        finally:
            random.restore()

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

    def _compare(self, model: PreTrainedModel, step: int) -> None:
        assert self._cka is not None
        reference = reference_of(self._cka, self._context)
        measure(model, reference, self._cka, self._context, subject=self._context.stage, step=step)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
