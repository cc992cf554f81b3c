"""Words for people: names of kinds, states, metrics, warnings. The engine gives states; they end here.

Pure texts: neither Qt nor the command line is known, and both use them.
"""

from __future__ import annotations

import math
from datetime import datetime

MINUS = "\u2212"
NONE = "\u2013"
"""A dash where there is no value."""
NOTHING_LOST = "nothing lost"
WITHIN_NOISE = "loss within noise"
NO_FRACTION = frozenset({NOTHING_LOST, WITHIN_NOISE})
"""What stands in place of a recovered fraction, and is shown muted."""

STATUS = {
    "queued": "queued",
    "starting": "starting",
    "running": "running",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "interrupted",
}
FAILURE = {
    "out_of_memory": "out of memory",
    "data": "data",
    "diverged": "diverged",
    "bug": "a defect of Rekindle",
    "lost": "worker lost",
}
PHASE = {
    "reading": "",
    "starting": "",
    "running": "",
    "asked": "asked to stop; the step in progress is finished first",
    "saving": "saving",
    "terminating": "ending the worker",
    "killing": "ending the worker by force",
    "ended": "",
    "detached": "",
}
GONE = "The worker is gone."
RESUME = "Resume goes on from what it saved last."
KIND_ABOUT = {
    "base": "the model before anything was done to it",
    "quantize": "degrade: 4-bit weights (NF4)",
    "prune": "degrade: remove a share of the FFN neurons",
    "sft": "train on the demonstrations; makes an expert, or forgets",
    "bootstrap": "learn from a larger model",
    "sdft": "recover by self-distillation",
    "model": "further model",
    "evaluate": "score tasks on one checkpoint",
    "cka": "compare two checkpoints layer by layer",
}
SCORER = {
    "tooluse_official_v1": "official v1",
    "tooluse_strict_v1": "strict v1",
    "science_exact_v1": "exact v1",
    "exact_match_v1": "exact match v1",
    "multiple_choice_v1": "log-likelihood v1",
    "winogrande_v1": "partial likelihood v1",
    "option_likelihood_v1": "option likelihood v1",
    "lm_eval": "lm-eval",
}
PREPROCESSING = {
    "center": "centred",
    "row_normalise": "vectors of length one, centred",
    "paper_5_4": "standardised (paper 5.4)",
}
OPINION = {
    "procrustes": "Procrustes",
    "mutual_knn": "mutual nearest neighbours",
    "rsa": "RSA",
}

# key: (title, unit); the order is the order in which people look at them
_METRICS = {
    "loss": ("Loss", "nats/token"),
    "held_out_loss": ("Loss on held-out items", "nats/token"),
    "held_out_cka": ("CKA to teacher, held-out", "CKA"),
    "held_out_cka_se": ("Its standard error", "CKA"),
    "divergence": ("Divergence to teacher", "nats/token"),
    "reverse_kl": ("Reverse divergence", "nats/token"),
    "teacher_cka": ("CKA to teacher", "CKA"),
    "cka_loss": ("CKA term, unweighted", ""),
    "cka_loss_rows": ("Tokens whose CKA is taken", "tokens"),
    "cka_balance": ("Balance of the CKA term", ""),
    "completion_length": ("Completion length", "tokens"),
    "ended_rate": ("Ended by itself", "share"),
    "truncated_rate": ("Cut at the length limit", "share"),
    "entropy": ("Entropy of the student", "nats"),
    "teacher_entropy": ("Entropy of the teacher", "nats"),
    "top1_agreement": ("Top-1 agreement", "share"),
    "artefact_rate": ("Speaks of the example", "share"),
    "covered_mass": ("Mass of the compared tokens", "share"),
    "clipped_rate": ("Divergence clipped", "share"),
    "on_policy_rate": ("Sampled by the student", "share"),
    "importance_ratio": ("Importance ratio, mean", ""),
    "largest_importance_ratio": ("Importance ratio, largest", ""),
    "accuracy_without_demonstration": ("Student without demonstration", "share"),
    "accuracy_with_demonstration": ("Student shown the demonstration", "share"),
    "teacher_accuracy": ("Teacher shown the demonstration", "share"),
    "kl_with_demonstration": ("Divergence, demonstration shown", "nats/token"),
    "kl_without_demonstration": ("Divergence, not shown", "nats/token"),
    "demonstration_items": ("Items of the demonstration check", "items"),
    "grad_norm": ("Gradient norm", ""),
    "learning_rate": ("Learning rate", ""),
    "tokens_per_second": ("Tokens per second", "tokens/s"),
    "step_seconds": ("Time per step", "s"),
    "rollout_seconds": ("Time of the rollout", "s"),
    "memory": ("Memory of the training", "GiB"),
}
SPARSE = frozenset({"held_out_loss", "held_out_cka", "held_out_cka_se"})
"""Metrics measured now and then, not at every step."""
_ALIASES = {"kl": "divergence", "student_entropy": "entropy"}
_RANK = {key: rank for rank, key in enumerate(_METRICS)}


def metric(key: str) -> tuple[str, str]:
    """Title and unit of a metric; an unknown one gets its own name in plain letters."""
    return _METRICS.get(key) or (plain(key), "")


def metric_key(name: str) -> str:
    """The key under which a metric of the engine is shown."""
    return _ALIASES.get(name, name)


def metric_rank(key: str) -> tuple[int, str]:
    """Sort key: known metrics in their order, others after them by name."""
    return _RANK.get(key, len(_RANK)), key


def plain(name: str) -> str:
    """`max_grad_norm` as "Max grad norm"; short upper-case words that people know stay so."""
    text = name.replace("_", " ").strip()
    shouted = {"mmlu", "cka", "sft", "sdft", "kl", "lora"}
    if text.lower() in shouted:
        return text.upper()
    return text[:1].upper() + text[1:]


def status(state: str, failure: str = "") -> str:
    """The words of a run's state; a failed one names its class."""
    if state == "failed" and failure:
        return f"failed: {FAILURE.get(failure, plain(failure).lower())}"
    return STATUS.get(state, state)


def number(value: float) -> str:
    """A number in at most four significant digits; a dash for none."""
    if not math.isfinite(value):
        return NONE if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share 0-1 in per cent."""
    return NONE if not math.isfinite(share) else f"{100 * share:.3g} %"


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units ("1 h 12 m", "25 m", "40 s"); "" for None."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes} m {rest} s" if rest else f"{minutes} m"
    if minutes < 60:
        return f"{minutes} m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} m" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(count: float) -> str:
    """Bytes in GiB, MiB or KiB."""
    for unit, scale in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= scale:
            value = count / scale
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    return f"{count:.0f} B"


def clock(t: float) -> str:
    """Time of day, local."""
    return datetime.fromtimestamp(t).astimezone().strftime("%H:%M:%S")


def moment(t: float) -> str:
    """Date and time, local, for lists."""
    return datetime.fromtimestamp(t).astimezone().strftime("%Y-%m-%d %H:%M")


def fraction(value: float | None) -> str:
    """A recovered fraction; None means that nothing was lost."""
    return NOTHING_LOST if value is None else f"{value:.2f}".replace("-", MINUS)


def signed(points: float) -> str:
    """A difference in points with its sign, one decimal."""
    text = f"{points:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def layer(name: str) -> str:
    """`block_12` as "12", the others in plain letters; a layer axis has no room for more."""
    if name.startswith("block_"):
        return name.removeprefix("block_")
    return {"embeddings": "embed", "final_norm": "norm"}.get(name, name)


def token(which: str) -> str:
    """Which position of an item gives its vector."""
    return {
        "last_prompt": "last prompt token",
        "last": "last token",
        "answer_mean": "mean over the answer",
    }.get(which, which.replace("_", " "))


_FIELDS = {
    "id": "Name of the stage",
    "from": "Reads the checkpoint of",
    "hub": "Hub id",
    "demo": "Generated task",
    "config": "Part and style",
    "gguf": "GGUF file",
    "dtype": "Precision",
    "quant_type": "Number format",
    "use_double_quant": "Double quantization",
    "blocksize": "Block size",
    "ratio": "Share to remove",
    "round_to": "Round width to",
    "max_steps": "Steps",
    "num_train_epochs": "Epochs",
    "per_device_train_batch_size": "Prompts per micro-batch",
    "gradient_accumulation_steps": "Micro-batches per step",
    "warmup_ratio": "Warm-up share",
    "max_grad_norm": "Clip gradient norm at",
    "max_prompt_length": "Longest prompt",
    "max_completion_length": "Longest completion",
    "method": "What is trained",
    "lora_r": "LoRA rank",
    "lora_alpha": "LoRA alpha",
    "save_steps": "Save state every",
    "num_loss_tokens_to_skip": "Skip first tokens",
    "held_out_items": "Held-out items",
    "eval_steps": "Measure held-out loss every",
    "load_best_model_at_end": "Keep the best weights",
    "early_stopping_patience": "Stop early after",
    "early_stopping_threshold": "Least improvement",
    "early_stopping_criterion": "Stop early by",
    "cka_loss": "CKA in the loss",
    "cka_weight": "Weight of CKA",
    "cka_balance": "Balance by gradients",
    "cka_layers": "Blocks compared",
    "cka_ramp_steps": "CKA rises over",
    "teacher_pool": "Several become one by",
    "teacher_weighting": "Weighed by",
    "teacher_weights": "Weights of the teachers",
    "teacher_update_rate": "Average (ema) moves by",
    "teacher_sync_steps": "Average (ema) moves every",
    "teacher_cache_steps": "Score ahead",
    "completions": "Learned tokens",
    "replay": "Replayed datasets",
    "replay_ratio": "Replayed share",
    "distillation_alpha": "Teacher's share (alpha)",
    "jsd_normalised": "Normalise the JSD",
    "distillation_topk": "Compare likeliest",
    "distillation_clip": "Clip a token's divergence at",
    "distillation_is_clip": "Clip importance ratio at",
    "num_generations": "Completions per prompt",
    "num_iterations": "Steps per completion",
    "top_p": "Sample from top-p",
    "top_k": "Sample from top-k",
    "min_p": "Sample from min-p",
    "chunk_tokens": "Tokens per logits chunk",
    "logging_completions": "Keep completions every",
    "max_new_tokens": "Longest answer",
    "num_fewshot": "Worked examples shown",
    "fewshot_dataset": "Worked examples from",
    "fewshot_sampler": "Worked examples chosen",
    "answer_pattern": "Pattern of the answer",
    "ignore_case": "Ignore case",
    "ignore_punctuation": "Ignore punctuation",
    "strip": "Strip white space",
    "lm_eval_task": "Task of lm-eval",
    "include_path": "Folder of own lm-eval tasks",
    "every_steps": "Measure every",
    "live_items": "Items while training",
    "max_share": "Largest share of the time",
    "drop_sinks": "Leave out sink tokens",
    "disjoint": "Leave out scored items",
    "mode": "Compared vectors",
    "token": "Position",
    "variant": "Estimator",
    "layout": "Layers compared",
    "limit": "First items only",
    "batch_size": "Items together",
}
_CHOICES = {
    "nf4": "NF4",
    "forward_kl": "forward KL",
    "reverse_kl": "reverse KL",
    "jsd": "Jensen-Shannon",
    "linear": "mean probability",
    "log_linear": "mean log-probability",
    "routed": "one per dataset",
    "first_n": "the first of the subject",
    "random": "drawn for each item",
    "fixed": "fixed weights",
    "likelihood": "the likelihood",
    "demonstration": "the demonstration",
    "teacher": "the teacher's answers",
    "off": "off",
    "attract": "divergence and CKA, alike",
    "repel": "divergence and CKA, unlike",
    "only": "CKA alone",
    "loss": "held-out loss",
    "loss_and_cka": "held-out loss and CKA",
    "lora": "LoRA adapter",
    "full": "all weights",
    "auto": "automatic",
    "last_prompt": "last prompt token",
    "last": "last token",
    "answer_mean": "mean over the answer",
    "per_sample": "one per item",
    "per_sequence": "tokens of each sequence",
    "center": "centred",
    "row_normalise": "vectors of length one",
    "paper_5_4": "standardised (paper 5.4)",
    "diagonal": "same layer",
    "map": "all pairs",
    "tooluse_official_v1": "tool use, official v1",
    "tooluse_strict_v1": "tool use, strict v1",
    "science_exact_v1": "science, exact v1",
    "exact_match_v1": "own questions, exact match",
    "multiple_choice_v1": "multiple choice by log-likelihood (MMLU)",
    "winogrande_v1": "Winogrande by log-likelihood of the ending",
    "option_likelihood_v1": "options by log-likelihood per character",
    "lm_eval": "a task of lm-eval",
    "sciknoweval": "SciKnowEval",
    "mmlu": "MMLU",
    "winogrande": "Winogrande",
    "name": "ships with Rekindle",
    "folder": "folder",
    "hub": "Hugging Face hub",
    "gguf": "GGUF file",
    "file": "file or folder",
    "demo": "generated task",
}


def field(name: str) -> str:
    """The label of a form field."""
    return _FIELDS.get(name) or plain(name)


def choice(name: str, value: str) -> str:
    """The words of one value of a choice field."""
    return _CHOICES.get(value, value.replace("_", " "))


def of(part: float, whole: float) -> str:
    """ "11.2 / 64.0 GiB": two sizes in the unit of the larger one."""
    total = size(whole)
    number_text, unit = total.rsplit(" ", 1)
    scale = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}[unit]
    return f"{part / scale:.1f} / {number_text} {unit}"
