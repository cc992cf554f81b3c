"""Score tasks on one checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.errors import UserError
from core.evaluation.evaluate import check_task, evaluate_task, scored_examples
from core.events import EvaluatedItem, ItemsEvaluated, TaskEvaluated
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model, load_tokenizer
from core.recipe.sources import Task
from core.recipe.stage_specs import EvaluateSpec
from core.stages.context import StageContext
from core.stages.progress import Counter

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def run(spec: EvaluateSpec, checkpoint: Checkpoint, context: StageContext) -> Checkpoint:
    """Score the spec's tasks on `checkpoint` and hand it back.

    Raises:
        UserError: a task or its dataset does not suit; found before any weights are loaded.
    """
    total = 0
    for name in spec.tasks:
        task = task_of(context, name)
        dataset = context.datasets(task.dataset)
        check_task(name, task, dataset)
        total += len(scored_examples(task, dataset))
    progress = Counter(context, "item")
    progress.expect(total)
    model = load_model(checkpoint, context.compute)
    tokenizer = load_tokenizer(checkpoint)
    for name in spec.tasks:
        score_task(
            model,
            tokenizer,
            name,
            context,
            subject=context.subject,
            checkpoint=checkpoint.identity,
            on_scored=progress.advance,
        )
    return checkpoint


def task_of(context: StageContext, name: str) -> Task:
    """The recipe's task of that name.

    Raises:
        UserError: there is none.
    """
    if name not in context.tasks:
        known = ", ".join(sorted(context.tasks)) or "none"
        raise UserError(f"There is no task {name}; the recipe has: {known}.", "Correct the name.")
    return context.tasks[name]


def score_task(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    context: StageContext,
    *,
    subject: str,
    checkpoint: str | None,
    step: int | None = None,
    limit: int | None = None,
    on_scored: Callable[[int], None] = lambda count: None,
) -> None:
    """Score one task and report its items and its score.

    Args:
        model: in eval mode.
        tokenizer: the model's.
        name: of the task.
        context: of the stage that measures.
        subject: id of the stage whose weights these are.
        checkpoint: their identity; None while they are in training.
        step: of the training, if in one.
        limit: score fewer items than the task says.
        on_scored: told how many items each batch had.
    """
    task = task_of(context, name)
    dataset = context.datasets(task.dataset)

    def report(items: tuple[EvaluatedItem, ...]) -> None:
        context.emit(
            ItemsEvaluated(stage=context.stage, subject=subject, task=name, step=step, items=items)
        )
        on_scored(len(items))

    score = evaluate_task(
        model,
        tokenizer,
        name,
        task,
        dataset,
        limit=limit,
        on_items=report,
        check=context.check_stop,
    )
    context.emit(
        TaskEvaluated(
            stage=context.stage,
            subject=subject,
            checkpoint=checkpoint,
            task=name,
            step=step,
            n=score.n,
            correct=score.correct,
            protocol=score.protocol,
            scorer=score.scorer,
            dataset=dataset.fingerprint,
            seed=context.seed,
            values=score.values,
        )
    )
