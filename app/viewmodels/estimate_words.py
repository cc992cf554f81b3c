"""An estimate in words: its items and phases, its sum, its time, and what would make it smaller."""

from __future__ import annotations

from app.viewmodels import words
from core.engine.estimate import Estimate, Machine, StageEstimate, reserved

ITEMS = {
    "libraries": "libraries of the process",
    "student": "weights of the model",
    "student_nf4": "weights of the model, NF4 dequantized",
    "adapter": "LoRA adapters, float32",
    "teachers": "weights of the teacher",
    "ema": "moving average of what is trained",
    "reference": "model that CKA compares with",
    "second_copy": "second copy while it is opened",
    "packed": "packed weights",
    "masters": "float32 masters of the weights",
    "moments": "AdamW's moments",
    "best": "best weights so far",
    "gradients": "gradients",
    "activations": "activations kept for backward",
    "logits": "logits of one chunk",
    "head_gradient": "gradient of the head",
    "kv_cache": "keys and values of the answers",
    "working": "working space",
}
PHASES = {
    "load": "while models are opened",
    "rewrite": "while the teacher rewrites",
    "rollout": "while answers are sampled",
    "loss": "while the loss is computed",
    "backward": "in the backward pass",
    "step": "in the optimizer step",
    "score": "while it is scored",
    "write": "while it is written",
}
KNOBS = {
    "gradient_checkpointing": "switch gradient_checkpointing on",
    "per_device_train_batch_size": (
        "lower per_device_train_batch_size and raise gradient_accumulation_steps by the same factor"
    ),
    "max_completion_length": "lower max_completion_length",
    "chunk_tokens": "lower chunk_tokens",
    "lora": "set method to lora",
    "quantize": "add a quantize stage",
    "batch_size": "lower the batch_size of the tasks",
}
LENGTHS = {
    "data": "the longest in the data",
    "characters": "reckoned from the characters of the data",
    "limits": "the limits in the recipe, since the data or the tokenizer are not at hand",
}
TRAINING = ("sft", "sdft", "bootstrap")
"""Kinds of stages whose needs people plan for."""
TIGHT = 0.85
"""Share of the device above which a stage is called tight: the estimate errs by about so much."""
KNOBS_SHOWN = 3


def verdict(estimate: Estimate, stage: StageEstimate) -> str:
    """ "fits", "tight" or "too_large"; "" where that cannot be said."""
    fits = estimate.fits(stage)
    if fits is None or stage.memory is None:
        return ""
    if not fits:
        return "too_large"
    share = (stage.memory + reserved(estimate.machine.device)) / estimate.machine.memory
    return "tight" if share > TIGHT else "fits"


def about(seconds: float | None) -> str:
    """ "about 2 m"; "" when the time is not known. Two figures would claim too much."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "under a second"
    if seconds < 60:
        rounded = float(f"{seconds:.1g}")
    elif seconds < 3600:
        rounded = 60 * float(f"{seconds / 60:.2g}") if seconds >= 600 else 30 * round(seconds / 30)
    else:
        rounded = 600 * round(seconds / 600)
    return f"about {words.duration(rounded)}"


def brief(stage: StageEstimate) -> str:
    """ "sdft: 0.4 GiB at most, about 2 m"."""
    if stage.unknown or stage.memory is None:
        return f"{stage.stage}: not known"
    parts = [f"{words.size(stage.memory)} at most", about(stage.seconds)]
    return f"{stage.stage}: {', '.join(part for part in parts if part)}"


def title(stage: StageEstimate) -> str:
    """ "sdft, about 2 m": for a place where the memory stands beside it."""
    if stage.unknown or stage.memory is None:
        return brief(stage)
    return ", ".join(part for part in (stage.stage, about(stage.seconds)) if part)


def rows(stage: StageEstimate) -> list[tuple[str, str]]:
    """The items of the peak with their sizes, and their sum."""
    peak = stage.peak
    if peak is None:
        return []
    found = [(ITEMS.get(it.name, it.name), words.size(it.bytes)) for it in peak.items]
    return [*found, ("together", words.size(peak.bytes))]


def when(stage: StageEstimate) -> str:
    """At which time of the stage its peak is."""
    return PHASES.get(stage.peak.name, stage.peak.name) if stage.peak is not None else ""


def lengths(stage: StageEstimate) -> str:
    """What lengths were reckoned with; "" where they play no part."""
    if not stage.tokens or not stage.lengths:
        return ""
    return f"sequences of up to {stage.tokens:,} tokens: {LENGTHS[stage.lengths]}"


def machine(it: Machine) -> str:
    """What the device has, and the rates that the times are reckoned with."""
    has = f"{it.device} in {it.dtype}, {words.size(it.memory)} of memory"
    if it.free:
        has += f", {words.size(it.free)} free now"
    if not it.flops:
        return f"{has}."
    rate = f"{words.number(it.flops / 1e9)} GFLOP/s, {words.number(it.bandwidth / 1e9)} GB/s"
    return f"{has}. Times are rough; measured just now: {rate}."


def remedy(estimate: Estimate, stage: StageEstimate) -> str:
    """What to do about a stage that is too large or tight; "" for one that fits."""
    judged = verdict(estimate, stage)
    if judged not in ("tight", "too_large") or stage.memory is None:
        return ""
    has = words.size(estimate.machine.memory)
    says = "will not fit" if judged == "too_large" else "is tight"
    text = f"{stage.stage} {says}: {words.size(stage.memory)} of {has}."
    ways = [KNOBS[knob] for knob in stage.knobs[:KNOBS_SHOWN]]
    return f"{text} {_sentence(ways)}" if ways else text


def _sentence(ways: list[str]) -> str:
    joined = "; or ".join(ways)
    return f"{joined[:1].upper()}{joined[1:]}."


def measured(expected: int | None, found: int | None) -> str:
    """ "peak 1.1 GiB (1.2 GiB expected)", as far as known."""
    if found is None:
        return f"{words.size(expected)} expected" if expected is not None else ""
    told = f" ({words.size(expected)} expected)" if expected is not None else ""
    return f"peak {words.size(found)}{told}"


def note(stage: StageEstimate) -> str:
    """When the peak is, the steps, and the lengths reckoned with; or why nothing is known."""
    if stage.unknown:
        return stage.unknown
    steps = f"{stage.steps:,} steps" if stage.steps else ""
    return ", ".join(part for part in (when(stage), steps, lengths(stage)) if part)


def whole(estimate: Estimate) -> str:
    """ "The run as a whole: 1.2 GiB at most, about 4 m."."""
    if estimate.memory is None:
        return "The run as a whole: not known."
    spent = about(estimate.seconds)
    return (
        f"The run as a whole: {words.size(estimate.memory)} at most{f', {spent}' if spent else ''}."
    )
