"""One optimizer step of self-distillation on a tiny network, with answers that are given instead of sampled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from core.distill.rollout import Rollout
from core.lm.generate import Generated
from core.recipe.training_specs import SdftSpec
from core.stages.distilling import Completion, Scores, Shown
from core.stages.sdft import SelfDistillation
from core.stages.student import Student, prepare
from core.stages.teachers import Teachers
from tests.helpers.contexts import Stand
from tests.helpers.training import weather


def spec(**changes: Any) -> SdftSpec:
    """Settings of a short training on the weather."""
    settings: dict[str, Any] = {
        "id": "made",
        "dataset": "weather",
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 8,
        "learning_rate": 0.005,
        "lora_r": 8,
        "lora_alpha": 16,
        "chunk_tokens": 7,
        "logging_completions": 2,
    }
    return SdftSpec(**{**settings, **changes})


def objective(
    place: Stand,
    settings: SdftSpec,
    answers: Sequence[Generated],
    monkeypatch: pytest.MonkeyPatch,
    source: str = "degraded",
) -> tuple[Student, SelfDistillation]:
    """A student with an adapter that is not zero, and its objective on fixed answers."""
    context = place.context("made")
    student = prepare(settings, place.checkpoints[source], context)
    generator = torch.Generator().manual_seed(2)
    for name, parameter in student.model.named_parameters():
        if "lora_B" in name:
            with torch.no_grad():
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    monkeypatch.setattr(Rollout, "sample", lambda *args, **more: list(answers))
    teaching = Teachers(settings, place.checkpoints[source], student, context)
    return student, SelfDistillation(settings, student, teaching, [], context)


def score(sut: SelfDistillation, items: Sequence[Shown], answers: Sequence[Generated]) -> Scores:
    """The scores of these answers, without gradients."""
    pairs = zip(items, answers, strict=True)
    completions = [Completion(item, answer.ids, answer.ended) for item, answer in pairs]
    return sut.distiller.score(completions, len(completions), lambda loss: None)


MEASURES: dict[str, dict[str, Any]] = {
    "forward": {},
    "reverse": {"divergence": "reverse_kl"},
    "jsd": {"divergence": "jsd", "distillation_alpha": 0.3},
    "raw jsd": {"divergence": "jsd", "jsd_normalised": False},
    "forward, top 8": {"distillation_topk": 8},
    "reverse, top 8": {"divergence": "reverse_kl", "distillation_topk": 8},
    "jsd, top 8": {"divergence": "jsd", "distillation_topk": 8},
    "clipped": {"distillation_clip": 2.0},
    "kept": {"distillation_topk": 8, "teacher_cache_steps": 1},
    "mixture": {"teacher": ["base", "degraded"], "teacher_pool": "log_linear"},
}
"""Every way to take the distance."""

ITEMS = [
    Shown(weather(3).examples[0], [5, 6, 7, 8], [9, 10, 5, 6, 7, 8, 11]),
    Shown(weather(3).examples[1], [40, 41], [44, 45, 46, 40, 41]),
    Shown(weather(3).examples[2], [60, 61, 62], [60, 61, 62, 63]),
]
ANSWERS = [
    Generated([20, 21, 22, 23, 24, 25, 26, 27], False),
    Generated([30, 31, 32, 33, 2], True),
    Generated([50, 2], True),  # shorter than what is skipped
]
