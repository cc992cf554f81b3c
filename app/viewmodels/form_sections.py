"""Headings of the long forms: which settings of a training stand together, the most telling ones first.

A field that is named nowhere here, for example a new one, stands under `OTHER`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.viewmodels.recipe_types import FieldView

OTHER = "More"
_SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("id", "from", "dataset", "role", "seed")),
    (
        "Teacher",
        (
            "teacher",
            "completions",
            "teacher_template",
            "teacher_pool",
            "teacher_weighting",
            "teacher_weights",
            "teacher_update_rate",
            "teacher_sync_steps",
            "teacher_cache_steps",
        ),
    ),
    ("Replay", ("replay", "replay_ratio")),
    (
        "Length and batches",
        (
            "max_steps",
            "num_train_epochs",
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
            "max_completion_length",
            "max_prompt_length",
        ),
    ),
    (
        "Distance to the teacher",
        (
            "divergence",
            "distillation_alpha",
            "jsd_normalised",
            "distillation_topk",
            "distillation_clip",
            "num_loss_tokens_to_skip",
            "chunk_tokens",
        ),
    ),
    (
        "Geometry",
        ("cka_loss", "cka_weight", "cka_balance", "cka_layers", "cka_ramp_steps"),
    ),
    (
        "Completions",
        (
            "temperature",
            "num_generations",
            "top_p",
            "top_k",
            "min_p",
            "lmbda",
            "num_iterations",
            "distillation_is_clip",
            "logging_completions",
        ),
    ),
    (
        "Weights and optimizer",
        (
            "method",
            "lora_r",
            "lora_alpha",
            "learning_rate",
            "warmup_ratio",
            "weight_decay",
            "max_grad_norm",
            "gradient_checkpointing",
        ),
    ),
    (
        "Held-out items and saving",
        (
            "held_out_items",
            "eval_steps",
            "load_best_model_at_end",
            "early_stopping_patience",
            "early_stopping_threshold",
            "early_stopping_criterion",
            "save_steps",
        ),
    ),
)
_PLACE = {
    name: (number, heading, place)
    for number, (heading, names) in enumerate(_SECTIONS)
    for place, name in enumerate(names)
}
_LAST = (len(_SECTIONS), OTHER, 0)


def sectioned(views: Iterable[FieldView]) -> list[FieldView]:
    """The fields in the order of the headings, each with its own."""

    def place(view: FieldView) -> tuple[int, str, int]:
        return _PLACE.get(view.path.rsplit(".", 1)[-1], _LAST)

    return [replace(view, section=place(view)[1]) for view in sorted(views, key=place)]
