"""CKA on the held-out items: what is read, its value, and how it decides together with the loss."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from core.analysis.cka import cka
from core.analysis.pooled import PooledCka
from core.data.chat import answer_ids, prompt_ids
from core.errors import UserError
from core.events import Metrics
from core.lm.blocks import block
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model
from core.recipe.training_specs import SdftSpec
from core.stages import held_out_cka, sdft
from core.stages.best_weights import BestWeights
from core.stages.cka_trend import SMOOTHING, CkaTrend
from core.stages.distilling import Shown
from core.stages.held_out_cka import HeldOutCka
from core.stages.student import Student, prepare
from core.stages.teachers import Teachers
from tests.helpers.contexts import Stand
from tests.helpers.distilling import spec
from tests.helpers.tiny import CPU32
from tests.helpers.training import degraded, stand

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

STEPS = 1
LOOKING: dict[str, Any] = {
    "teacher": "base",
    "held_out_items": 8,
    "eval_steps": 1,
    "early_stopping_criterion": "loss_and_cka",
    "load_best_model_at_end": False,
    "learning_rate": 0.02,
    "max_steps": STEPS,
    "num_loss_tokens_to_skip": 2,
}


@pytest.fixture
def place(tmp_path: Path) -> Stand:
    found = stand(tmp_path, count=80)
    degraded(found)
    return found


def settings(**changes: Any) -> SdftSpec:
    return spec(**{**LOOKING, **changes})


def train(place: Stand, **changes: Any) -> Checkpoint:
    return sdft.run(settings(**changes), place.checkpoints["degraded"], place.context("made"))


def looks(place: Stand) -> list[dict[str, float]]:
    return [dict(it.values) for it in place.of(Metrics) if "held_out_loss" in it.values]


def built(place: Stand, count: int = 8, **changes: Any) -> tuple[HeldOutCka, Student, Teachers]:
    """A measurement on the first items, with the student and the teachers it compares."""
    chosen, context = settings(**changes), place.context("made")
    student = prepare(chosen, place.checkpoints["degraded"], context)
    teachers = Teachers(chosen, place.checkpoints["degraded"], student, context)
    items = [
        Shown(it, prompt_ids(student.tokenizer, it.messages), [])
        for it in place.datasets["weather"].examples[:count]
    ]
    return HeldOutCka(items, chosen, student, teachers, context), student, teachers


def rows(student: Student, place: Stand, network: Any, number: int) -> np.ndarray[Any, Any]:
    """What a block shows of the tokens that count, one item after the other."""
    found = []
    for example in place.datasets["weather"].examples[:8]:
        prompt = prompt_ids(student.tokenizer, example.messages)
        answer = answer_ids(student.tokenizer, example.demonstration)[:8]
        seen: list[Tensor] = []
        handle = block(network, number).register_forward_hook(
            lambda _, __, output, seen=seen: seen.append(output)
        )
        with torch.no_grad():
            network(input_ids=torch.tensor([[*prompt, *answer]]))
        handle.remove()
        found.append(seen[0][0, len(prompt) + 1 : -1].double().numpy())
    return np.concatenate(found)


def test_that_it_is_the_cka_of_the_demonstrations_tokens_after_the_students_prompts(
    place: Stand,
) -> None:
    measure, student, _ = built(place)
    found = measure()
    degraded_network, base = (
        load_model(place.checkpoints[it], CPU32) for it in ("degraded", "base")
    )
    values = [
        cka(rows(student, place, degraded_network, it), rows(student, place, base, it))
        for it in range(2)
    ]
    assert found.value == pytest.approx(float(np.mean(values)), abs=1e-5)
    assert found.value < 0.999
    assert 0 < found.standard_error < 0.5
    assert (found.rows, found.items) == (8 * 6, 8)


def test_that_its_rows_are_bounded_and_come_evenly_from_all_items(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out_cka, "PROBE_ROWS", 29)
    assert built(place)[0]().rows == 3 * 8
    assert held_out_cka._evenly(range(4, 24), 4) == [4, 9, 14, 19]
    assert held_out_cka._evenly(range(4, 7), 4) == [4, 5, 6]


@pytest.mark.parametrize(
    ("teacher", "times"),
    [("base", 1), ("degraded", 1), ("ema", 2), ("base, freed", 1)],
)
def test_that_a_teacher_that_stays_as_it_is_is_read_once(
    place: Stand, monkeypatch: pytest.MonkeyPatch, teacher: str, times: int
) -> None:
    read: list[Any] = []
    real = HeldOutCka._read
    monkeypatch.setattr(
        HeldOutCka, "_read", lambda self, model: read.append(model) or real(self, model)
    )
    freed = {"distillation_topk": 8, "teacher_cache_steps": 2} if "freed" in teacher else {}
    measure, student, teachers = built(place, teacher=teacher.split(",")[0], **freed)
    first = measure()
    assert (teachers._open == []) is bool(freed)
    with torch.no_grad():
        for name, parameter in student.model.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.05)
    second = measure()
    assert len(read) == 2 + times
    assert second.value != first.value
    if "base" not in teacher:  # a student that starts as its teacher, and leaves it
        assert second.value < first.value == pytest.approx(1, abs=1e-5)


def test_that_too_few_items_are_refused(place: Stand) -> None:
    with pytest.raises(UserError, match="has 7 with tokens that count; at least 8 are needed"):
        built(place, 7)
    with pytest.raises(UserError, match="has 0 with tokens that count"):
        built(place, num_loss_tokens_to_skip=8)


def test_that_a_training_tells_it_at_each_look_and_looking_changes_no_weight(place: Stand) -> None:
    made = train(place)
    losses = [it.values["loss"] for it in place.of(Metrics) if "loss" in it.values]
    for found in looks(place):
        assert set(found) == {"held_out_loss", "held_out_cka", "held_out_cka_se"}
    assert len(looks(place)) == STEPS + 1
    assert made.facts["held_out_cka"]["measurements"] == STEPS + 1
    assert made.facts["held_out_cka"]["last"] == looks(place)[-1]["held_out_cka"]
    place.events.clear()
    plain = train(place, early_stopping_criterion="loss")
    assert [it.values["loss"] for it in place.of(Metrics) if "loss" in it.values] == losses
    assert all(set(it) == {"held_out_loss"} for it in looks(place))
    assert "held_out_cka" not in plain.facts


LOSSES = [5.0, 4.0, 4.1, 4.2, 4.3, 4.4, 4.5, 4.6, 4.7]
"""At steps 0, 1, …: they fall once."""


class Weights:
    """Stands for the optimizer: the weights are the step."""

    def __init__(self) -> None:
        self.step = -1.0

    def weights(self) -> dict[str, Tensor]:
        return {"weight": torch.tensor(self.step)}

    def set_weights(self, weights: dict[str, Tensor]) -> None:
        self.step = float(weights["weight"])


def observed(values: Sequence[float] | None, error: float = 0.01) -> tuple[BestWeights, int, float]:
    """What is left of a training with these CKAs: the last step, and the step whose weights it ends with."""
    weights = Weights()
    best = BestWeights(settings(early_stopping_patience=2, load_best_model_at_end=True))
    step = 0
    for step, loss in enumerate(LOSSES):
        weights.step = step
        measured = None if values is None else PooledCka(values[step], error, 100, 8)
        best.observe(loss, step, weights, measured)  # type: ignore[arg-type]
        again = BestWeights(settings(early_stopping_patience=2, load_best_model_at_end=True))
        again.recall(json.loads(json.dumps(best.notes())), best.tensors())
        best = again  # what a resumed training knows
        if best.enough:
            break
    best.put_back(weights, step)  # type: ignore[arg-type]
    return best, step, weights.step


def test_that_a_rising_cka_keeps_a_training_going_and_the_lowest_loss_its_weights() -> None:
    rising = [0.5, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8]
    best, last, kept = observed(rising, 0.07)
    # Smoothed by halves: .5, .5, .55, .625, .7125, .756, .778: no rise by .07 over .7125 at steps 5 and 6.
    assert (last, kept) == (6, 1)
    assert best.trend.smoothed == pytest.approx(0.778125)
    facts = best.facts()["held_out_cka"]
    assert (facts["measurements"], facts["first"], facts["last"]) == (7, 0.5, 0.8)
    assert facts["last_standard_error"] == 0.07
    expected = float(spearmanr(rising[:7], LOSSES[:7]).statistic)
    assert facts["spearman_with_loss"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "values",
    [None, [0.9, 0.8, 0.7, 0.6, 0.5], [math.nan] * 5],
    ids=["not looked at", "falling", "undefined"],
)
def test_that_without_a_rise_it_stops_as_by_the_loss_alone(values: list[float] | None) -> None:
    best, last, kept = observed(values)
    assert (last, kept) == (3, 1)
    assert ("held_out_cka" in best.facts()) is (values is not None and values[0] == 0.9)


def test_that_a_rise_within_the_error_is_none_until_it_adds_up() -> None:
    trend = CkaTrend()
    assert trend.rises(1.0, PooledCka(0.5, 0.1, 9, 9))
    assert [trend.rises(1.0, PooledCka(0.7, 0.1, 9, 9)) for _ in range(3)] == [False, True, False]
    assert trend.smoothed == pytest.approx(0.7 - 0.2 * SMOOTHING**3)
    assert CkaTrend.recalled(trend.notes()) == trend


def test_that_a_correlation_of_what_never_moves_or_of_two_is_not_told() -> None:
    trend = CkaTrend()
    for loss in (3.0, 2.0, 1.0):
        assert trend.facts().get("spearman_with_loss") is None
        trend.rises(loss, PooledCka(0.5, 0.1, 9, 9))
    assert trend.facts()["spearman_with_loss"] is None
    trend.rises(0.5, PooledCka(0.6, 0.1, 9, 9))
    assert trend.facts()["spearman_with_loss"] == pytest.approx(-0.7745966692414834)
