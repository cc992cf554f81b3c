"""Score tasks on one checkpoint; what an earlier session of the run has scored stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.errors import UserError
from core.evaluation.evaluate import check, evaluate, protocol_of
from core.evaluation.exam import Evaluated, Exam
from core.evaluation.protocol import fingerprint
from core.evaluation.scorer import Examinee
from core.events import EvaluatedItem, ItemsEvaluated, TaskEvaluated
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model, load_tokenizer
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
    total = sum(check(exam_of(context, name)) for name in spec.tasks)
    tokenizer = load_tokenizer(checkpoint)
    known = {
        name: known_of(context, exam_of(context, name), tokenizer, checkpoint.identity, None)
        for name in spec.tasks
    }
    progress = Counter(context, "item")
    progress.expect(total, done=sum(len(it.items) for it in known.values()))
    if all(it.told for it in known.values()):
        return checkpoint
    model = load_model(checkpoint, context.compute)
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


def protocols(spec: EvaluateSpec, checkpoint: Checkpoint, context: StageContext) -> dict[str, str]:
    """The fingerprint of each task's protocol, as `run` would score it.

    Raises:
        UserError: as by `run`.
    """
    tokenizer = load_tokenizer(checkpoint)
    return {
        name: fingerprint(protocol_of(exam_of(context, name), tokenizer)) for name in spec.tasks
    }


def exam_of(context: StageContext, name: str, limit: int | None = None) -> Exam:
    """The recipe's task of that name with its data.

    Raises:
        UserError: there is none.
    """
    if name not in context.tasks:
        known = ", ".join(sorted(context.tasks)) or "none"
        raise UserError(f"There is no task {name}; the recipe has: {known}.", "Correct the name.")
    task = context.tasks[name]
    dataset = context.datasets(task.dataset) if task.dataset else None
    fewshot = context.datasets(task.fewshot_dataset) if task.fewshot_dataset else None
    return Exam(name, task, dataset, fewshot, limit)


def known_of(
    context: StageContext,
    exam: Exam,
    tokenizer: PreTrainedTokenizerBase,
    checkpoint: str | None,
    step: int | None,
) -> Evaluated:
    """What stands of a task: scored by earlier sessions, on these weights and by this protocol."""
    found = context.evaluated.get((exam.name, step))
    if found is None or found.checkpoint != checkpoint:
        return Evaluated()
    same = found.protocol == fingerprint(protocol_of(exam, tokenizer))
    return found if same else Evaluated()


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
    """Score one task and report its items and its score, as far as no earlier session has.

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
    exam = exam_of(context, name, limit)
    known = known_of(context, exam, tokenizer, checkpoint, step)
    if known.told:
        return
    protocol = fingerprint(protocol_of(exam, tokenizer))

    def report(items: tuple[EvaluatedItem, ...]) -> None:
        context.emit(
            ItemsEvaluated(
                stage=context.stage,
                subject=subject,
                checkpoint=checkpoint,
                protocol=protocol,
                task=name,
                step=step,
                items=items,
            )
        )
        on_scored(len(items))

    who = Examinee(model, tokenizer, context.check_stop)
    score = evaluate(who, exam, known=known.items, on_items=report)
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
            scorer=exam.task.scorer,
            dataset=score.parts["dataset"],
            seed=context.seed,
            values=score.values,
            protocol_parts=score.parts,
        )
    )
