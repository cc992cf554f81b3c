"""What a click does about a stage that needs too much memory: the estimate's knobs as edits of its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.viewmodels.recipe_types import Value

WORDS: Mapping[str, str] = {
    "gradient_checkpointing": "Switch gradient checkpointing on",
    "per_device_train_batch_size": "Halve the micro-batch, double the accumulation",
    "max_completion_length": "Halve the longest answer",
    "chunk_tokens": "Halve the tokens of a chunk",
    "lora": "Train a LoRA adapter",
    "quantize": "Quantize before it",
    "batch_size": "Halve the batch of the tasks",
}
"""The knobs that a click can turn, and what it says it does."""
INSERTED = "quantize"
OF_TASKS = "batch_size"


def settings(knob: str, value: Callable[[str], Any]) -> dict[str, Value]:
    """The fields of a stage that a knob sets.

    Args:
        knob: of the estimate.
        value: what a field of the stage holds now, default or not.
    """
    if knob == "gradient_checkpointing":
        return {"gradient_checkpointing": True}
    if knob == "lora":
        return {"method": "lora"}
    if knob == "per_device_train_batch_size":
        batch, steps = value(knob), value("gradient_accumulation_steps")
        if not isinstance(batch, int) or not isinstance(steps, int) or batch < 2:
            return {}
        return {knob: batch // 2, "gradient_accumulation_steps": steps * 2}
    if knob in ("max_completion_length", "chunk_tokens"):
        length = value(knob)
        return {knob: length // 2} if isinstance(length, int) and length > 1 else {}
    return {}
