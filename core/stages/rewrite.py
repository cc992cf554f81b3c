"""Offline self-distillation: a teacher rewrites the demonstrations once, and SFT learns its words.

The teacher is shown each demonstration in the template of SDFT and answers greedily. What it says has the
demonstration's content in the model's own style; unlike SDFT, the student's own answers are never looked at.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from core.data.chat import end_of_turn_id, prompt_ids, teacher_messages
from core.errors import UserError
from core.events import GuardWarning, Progress
from core.lm.checkpoint import Checkpoint
from core.lm.generate import end_ids, generate
from core.lm.load import load_model, load_tokenizer
from core.recipe.training_specs import SftSpec
from core.stages.context import StageContext
from core.stages.items import Source

BATCH_GROWTH = 4
"""Prompts answered together, per prompt of a micro-batch: nothing is kept for a backward pass."""


def rewritten(
    examples: Sequence[Source], teacher: Checkpoint, spec: SftSpec, context: StageContext
) -> list[Source]:
    """The examples with the teacher's words for demonstrations.

    An answer that is empty or does not end within `max_completion_length` is left out, with a warning.

    Raises:
        UserError: no answer is left.
    """
    model, tokenizer = load_model(teacher, context.compute), load_tokenizer(teacher)
    ends = end_ids(model, tokenizer) | {end_of_turn_id(tokenizer)}
    size = BATCH_GROWTH * spec.per_device_train_batch_size
    started = time.monotonic()
    kept: list[Source] = []
    for start in range(0, len(examples), size):
        batch = examples[start : start + size]
        answers = generate(
            model,
            [
                prompt_ids(tokenizer, teacher_messages(example, spec.teacher_template))
                for example, _ in batch
            ],
            max_new_tokens=spec.max_completion_length,
            eos_ids=ends,
            pad_id=int(tokenizer.pad_token_id or 0),
            check=context.check_stop,
        )
        for (example, dataset), answer in zip(batch, answers, strict=True):
            text = str(tokenizer.decode(answer.text_ids, skip_special_tokens=True)).strip()
            if answer.ended and text:
                kept.append((replace(example, demonstration=text), dataset))
        done = start + len(batch)
        rate = done / max(time.monotonic() - started, 1e-9)
        context.emit(
            Progress(
                stage=context.stage,
                done=done,
                total=len(examples),
                unit="item",
                rate=rate,
                eta=(len(examples) - done) / rate,
            )
        )
    dropped = len(examples) - len(kept)
    if dropped:
        values = {"dropped": float(dropped), "kept": float(len(kept))}
        context.emit(GuardWarning(stage=context.stage, code="samples_dropped", values=values))
    if not kept:
        raise UserError(
            f"The teacher {spec.teacher} gave no answer that ends within {spec.max_completion_length} tokens.",
            "Raise max_completion_length, or name another teacher.",
        )
    return kept
