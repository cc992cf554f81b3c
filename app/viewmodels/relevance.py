"""Settings that mean nothing with the others, and why: one table.

Not the validation (`core.recipe.check_training`), which says what contradicts itself. A setting without
effect is no mistake: its control rests, and the reason stands beside it. One that was set all the same can
still be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app.viewmodels import forms, words
from core.recipe.field import EMA
from core.recipe.sources import GENERATING, LM_EVAL, WITH_SHOTS

Settings = Mapping[str, Any]
"""What a spec comes to by YAML name, defaults filled in; may hold nonsense."""


@dataclass(frozen=True)
class Rule:
    """These fields have an effect only where `when` holds; `reason` is said where it does not."""

    fields: tuple[str, ...]
    when: Callable[[Settings], bool]
    reason: str


def teachers(settings: Settings) -> list[str]:
    """The teachers by name; one may stand alone, or nobody."""
    named = settings.get("teacher")
    return [str(it) for it in named] if isinstance(named, list | tuple) else [str(named or "")]


def _number(settings: Settings, name: str) -> float:
    value = settings.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _label(name: str) -> str:
    """A field as the form calls it."""
    return f"“{words.field(name)}”"


RULES = (
    Rule(
        ("distillation_alpha", "jsd_normalised"),
        lambda it: it["divergence"] == "jsd",
        "Only with the Jensen-Shannon divergence.",
    ),
    Rule(
        ("teacher_pool", "teacher_weighting", "teacher_weights"),
        lambda it: len(teachers(it)) > 1,
        "Only with several teachers.",
    ),
    Rule(
        ("teacher_weighting", "teacher_weights"),
        lambda it: it["teacher_pool"] != "routed",
        "Routed: one teacher alone scores each dataset.",
    ),
    Rule(
        ("teacher_weights",),
        lambda it: it["teacher_weighting"] != "likelihood",
        "The weights follow from the demonstrations.",
    ),
    Rule(
        ("teacher_update_rate", "teacher_sync_steps"),
        lambda it: EMA in teachers(it),
        "Only where the running average (ema) teaches.",
    ),
    Rule(
        ("teacher_template",),
        lambda it: it["kind"] != "sft" or bool(it["teacher"]),
        "Only where a teacher rewrites the demonstrations.",
    ),
    Rule(
        ("distillation_is_clip",),
        lambda it: max(_number(it, "num_iterations"), _number(it, "teacher_cache_steps")) > 1,
        f"Only where {_label('num_iterations')} or {_label('teacher_cache_steps')} is above 1.",
    ),
    Rule(
        ("replay_ratio",),
        lambda it: bool(it["replay"]),
        "Only with a dataset to replay.",
    ),
    Rule(
        (
            "load_best_model_at_end",
            "early_stopping_patience",
            "early_stopping_threshold",
            "early_stopping_criterion",
        ),
        lambda it: _number(it, "eval_steps") > 0,
        f"Only with {_label('eval_steps')}.",
    ),
    Rule(
        ("cka_weight", "cka_balance", "cka_ramp_steps"),
        lambda it: it["cka_loss"] != "off",
        f"Only with {_label('cka_loss')}.",
    ),
    Rule(
        ("cka_weight", "cka_balance", "cka_ramp_steps"),
        lambda it: it["cka_loss"] != "only",
        "CKA alone is the loss: there is nothing to weigh it against.",
    ),
    Rule(
        ("cka_layers",),
        lambda it: it["cka_loss"] != "off" or it["early_stopping_criterion"] == "loss_and_cka",
        f"Only with {_label('cka_loss')}, or {_label('early_stopping_criterion')} CKA too.",
    ),
    Rule(
        ("num_train_epochs",),
        lambda it: it["max_steps"] is None,
        "The number of steps is given, so epochs do not count.",
    ),
    Rule(
        ("lora_r", "lora_alpha"),
        lambda it: it["method"] != "full",
        "Only with a LoRA adapter.",
    ),
    Rule(
        ("max_new_tokens",),
        lambda it: it["scorer"] in GENERATING,
        "Only where an answer is generated.",
    ),
    Rule(
        ("num_fewshot",),
        lambda it: it["scorer"] in (*WITH_SHOTS, LM_EVAL),
        "This scorer shows no worked examples.",
    ),
    Rule(
        ("fewshot_dataset", "fewshot_sampler"),
        lambda it: it["scorer"] in WITH_SHOTS and _number(it, "num_fewshot") > 0,
        "Only where worked examples are shown.",
    ),
    Rule(
        ("answer_pattern", "ignore_case", "ignore_punctuation", "strip"),
        lambda it: it["scorer"] == "exact_match_v1",
        "Only for own questions that are matched exactly.",
    ),
    Rule(
        ("lm_eval_task", "include_path"),
        lambda it: it["scorer"] == LM_EVAL,
        "Only for a task of lm-eval.",
    ),
    Rule(
        ("dataset",),
        lambda it: it.get("scorer") != LM_EVAL,
        "A task of lm-eval brings its own items.",
    ),
)


def reasons(spec: type[BaseModel], values: Mapping[str, Any]) -> dict[str, str]:
    """Why fields of a stage or a task have no effect, by YAML name; the first rule that says so speaks."""
    settings = {
        key: values[key] if values.get(key) is not None else forms.default_of(info)
        for key, info in ((forms.key(name, it), it) for name, it in spec.model_fields.items())
    }
    found: dict[str, str] = {}
    for rule in RULES:
        named = [name for name in rule.fields if name in settings]
        if named and not rule.when(settings):
            for name in named:
                found.setdefault(name, rule.reason)
    return found
