"""CKA in the loss or in the early stop: with which teachers a recipe may ask for it."""

from __future__ import annotations

from typing import Any

import pytest

from core.recipe.files import parse_text
from core.recipe.validate import check, parse


def recipe(**stage: Any) -> dict[str, Any]:
    return {
        "name": "A",
        "base": {"name": "rekindle-1m"},
        "datasets": {name: {"file": f"{name}.jsonl"} for name in ("few", "more")},
        "stages": [
            {"kind": "quantize", "id": "nf4"},
            {"kind": "sdft", "id": "back", "dataset": ["few", "more"], **stage},
        ],
    }


LOOKS = {"early_stopping_criterion": "loss_and_cka", "eval_steps": 5}
CACHED = {"teacher_cache_steps": 4, "distillation_topk": 100}
ARMS = ("attract", "repel", "only")
FORBIDDEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "looking at the CKA with oneself": (
        {"teacher": "live", **LOOKS},
        "early_stopping_criterion",
        "CKA with oneself is always 1",
    ),
    "looking at several": (
        {"teacher": ["base", "nf4"], **LOOKS},
        "early_stopping_criterion",
        "one network",
    ),
    "looking at several that are routed": (
        {"teacher": ["base", "nf4"], "teacher_pool": "routed", **LOOKS},
        "early_stopping_criterion",
        "one network",
    ),
}
for arm in ARMS:
    FORBIDDEN[f"{arm}: oneself"] = (
        {"teacher": "live", "cka_loss": arm},
        "cka_loss",
        "CKA with oneself is always 1",
    )
    FORBIDDEN[f"{arm}: several"] = (
        {"teacher": ["base", "nf4"], "cka_loss": arm},
        "cka_loss",
        "score the same tokens",
    )
    FORBIDDEN[f"{arm}: a teacher that is freed"] = (
        {**CACHED, "cka_loss": arm},
        "cka_loss",
        "freed while the student trains",
    )


@pytest.mark.parametrize("case", FORBIDDEN)
def test_that_what_has_no_cka_is_refused_at_its_field_with_the_reason(case: str) -> None:
    settings, field, reason = FORBIDDEN[case]
    parsed, wrong = parse(recipe(**settings))
    assert parsed is not None, wrong
    problems = check(parsed)
    assert [it.path for it in problems] == [f"stages.1.{field}"]
    assert reason in problems[0].message
    assert "off" in problems[0].hint or "to loss" in problems[0].hint


@pytest.mark.parametrize(
    "settings",
    [
        {"cka_loss": "off", "teacher": "live"},
        {"early_stopping_criterion": "loss_and_cka", "teacher": "live"},  # nothing is measured
        {**LOOKS, **CACHED},
        {**LOOKS, "teacher": "ema", "early_stopping_patience": 3},
        *({"cka_loss": arm, "teacher": "ema"} for arm in ARMS),
        *({"cka_loss": arm, "teacher": "nf4", "cka_layers": None} for arm in ARMS),
        *({"cka_loss": arm, "teacher": ["base", "nf4"], "teacher_pool": "routed"} for arm in ARMS),
    ],
)
def test_that_what_has_one_is_allowed(settings: dict[str, Any]) -> None:
    parsed, wrong = parse(recipe(**settings))
    assert parsed is not None, wrong
    assert check(parsed) == []


def test_that_off_is_a_word_in_a_file_too() -> None:
    text = (
        "schema: 1\nname: A\nbase: {name: rekindle-1m}\ndatasets: {few: {file: a.jsonl}}\n"
        "stages: [{id: back, kind: sdft, dataset: few, cka_loss: off}]\n"
    )
    raw, problems = parse_text(text)
    assert problems == []
    assert raw["stages"][0]["cka_loss"] == "off"
    parsed, wrong = parse(raw)
    assert parsed is not None, wrong
