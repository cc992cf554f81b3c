"""CKA in the loss of SDFT: its value, its gradient through a real network, its strength, and its four arms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm

from core.analysis.cka import cka
from core.distill.rollout import Rollout
from core.errors import UserError
from core.events import Metrics
from core.lm.blocks import block, evenly
from core.lm.checkpoint import Checkpoint
from core.lm.device import Compute
from core.lm.load import load_model
from core.recipe.stage_specs import PruneSpec, QuantizeSpec
from core.stages import aligning, prune, quantize, sdft
from core.stages.sdft import SelfDistillation
from tests.helpers.contexts import Stand
from tests.helpers.distilling import ANSWERS, ITEMS, objective, spec
from tests.helpers.tiny import CPU32, ROUND_TO, tiny_base
from tests.helpers.training import FixedPlan, degraded, stand, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SKIP = 1
ALIGNED: dict[str, Any] = {
    "cka_loss": "attract",
    "cka_balance": False,
    "cka_ramp_steps": 0,
    "cka_weight": 2.0,
    "num_loss_tokens_to_skip": SKIP,
}


@pytest.fixture
def place(tmp_path: Path) -> Stand:
    found = stand(tmp_path)
    degraded(found)
    return found


def step(sut: SelfDistillation, model: Any, number: int = 1) -> tuple[Any, dict[str, Tensor]]:
    """The report of one step and its gradients."""
    model.zero_grad()
    found = sut.accumulate(number, FixedPlan(ITEMS, steps=20), lambda loss: loss.backward())
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return sut.report(number, [found]), gradients


def block_outputs(network: Any) -> list[np.ndarray[Any, Any]]:
    """Of each block the outputs that precede the counted tokens, one sequence at a time."""
    rows: list[list[np.ndarray[Any, Any]]] = []
    for number in range(2):
        kept: list[np.ndarray[Any, Any]] = []
        for item, answer in zip(ITEMS, ANSWERS, strict=True):
            seen: list[Tensor] = []
            handle = block(network, number).register_forward_hook(
                lambda _, __, output, seen=seen: seen.append(output)
            )
            with torch.no_grad():
                network(input_ids=torch.tensor([[*item.student, *answer.ids]]))
            handle.remove()
            start = len(item.student) - 1 + SKIP
            kept.append(seen[0][0, start : start + len(answer.ids) - SKIP].double().numpy())
        rows.append(np.concatenate(kept))
    return [np.asarray(it) for it in rows]


@pytest.mark.parametrize("teacher", ["base", "degraded", "ema"])
def test_that_the_value_is_the_cka_of_the_counted_tokens_without_the_demonstration(
    place: Stand, monkeypatch: pytest.MonkeyPatch, teacher: str
) -> None:
    student, sut = objective(place, spec(teacher=teacher, **ALIGNED), ANSWERS, monkeypatch)
    if teacher == "ema":  # the average was taken of the student as it is
        before = block_outputs(student.model)
        with torch.no_grad():
            for name, parameter in student.model.named_parameters():
                if "lora_B" in name:
                    parameter.mul_(3)

    report, _ = step(sut, student.model)

    own = block_outputs(student.model)
    other = (
        before if teacher == "ema" else block_outputs(load_model(place.checkpoints[teacher], CPU32))
    )
    expected = np.mean([cka(a, b) for a, b in zip(own, other, strict=True)])
    assert expected < 0.999
    assert report.values["teacher_cka"] == pytest.approx(expected, abs=1e-5)
    assert report.values["cka_loss"] == pytest.approx(1 - expected, abs=1e-5)
    assert report.values["cka_loss_rows"] == 7 + 4 + 1
    off = {**ALIGNED, "cka_loss": "off"}
    student, sut = objective(place, spec(teacher="base", **off), ANSWERS, monkeypatch)
    if teacher == "base":
        plain, _ = step(sut, student.model)
        assert report.loss == pytest.approx(plain.loss + 2 * report.values["cka_loss"], rel=1e-6)
        assert {"cka_loss", "teacher_cka", "cka_loss_rows"}.isdisjoint(plain.values)


def exact_norm(self: Any, states: Tensor) -> Tensor:
    """As transformers computes it, but for the step through float32."""
    size = states.square().mean(-1, keepdim=True) + self.variance_epsilon
    found: Tensor = self.weight * states * size.rsqrt()
    return found


@pytest.mark.parametrize("arm", ["attract", "repel", "only"])
def test_that_the_gradient_of_a_weight_is_that_of_the_differences_of_the_loss(
    place: Stand, monkeypatch: pytest.MonkeyPatch, arm: str
) -> None:
    settings = spec(teacher="base", per_device_train_batch_size=1, **{**ALIGNED, "cka_loss": arm})
    student, sut = objective(place, settings, ANSWERS, monkeypatch)
    monkeypatch.setattr(Qwen2RMSNorm, "forward", exact_norm)
    student.model.double()
    sut._teachers.loaded[0]._model.double()

    _, gradients = step(sut, student.model)

    apart = 1e-5
    parameters = dict(student.model.named_parameters())
    checked = 0
    for name in list(gradients)[:: len(gradients) // 8]:
        at = int(gradients[name].abs().argmax())
        weight = parameters[name].data.view(-1)
        losses = []
        for shift in (apart, -2 * apart):
            weight[at] += shift
            losses.append(step(sut, student.model)[0].loss)
        weight[at] += apart
        expected = (losses[0] - losses[1]) / (2 * apart)
        assert gradients[name].flatten()[at].item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
        checked += abs(expected) > 1e-4
    assert checked >= 6


@pytest.mark.parametrize("checkpointing", [False, True])
def test_that_neither_the_cut_into_micro_batches_nor_recomputing_changes_a_gradient(
    place: Stand, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    found = []
    for size in (1, 2, 3):
        settings = spec(
            teacher="degraded",
            per_device_train_batch_size=size,
            gradient_checkpointing=checkpointing and size < 3,
            **{**ALIGNED, "cka_balance": True},
        )
        student, sut = objective(place, settings, ANSWERS, monkeypatch)
        step(sut, student.model)
        report, gradients = step(sut, student.model, 2)
        assert report.values["cka_balance"] > 0
        found.append((report, gradients))
    for report, gradients in found[:2]:
        assert report.loss == pytest.approx(found[2][0].loss, rel=1e-4)
        assert report.values["teacher_cka"] == pytest.approx(
            found[2][0].values["teacher_cka"], 1e-5
        )
        for name, gradient in found[2][1].items():
            torch.testing.assert_close(gradients[name], gradient, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_that_the_balanced_term_has_the_given_share_of_the_gradient(
    place: Stand, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    parts: dict[str, list[Tensor]] = {}
    for arm in ("off", "only"):
        settings = spec(teacher="base", method=method, **{**ALIGNED, "cka_loss": arm})
        student, sut = objective(place, settings, ANSWERS, monkeypatch)
        _, gradients = step(sut, student.model)
        parts[arm] = [it for name, it in gradients.items() if ".layers.0." in name]
    norms = {arm: math.sqrt(sum(float(it.square().sum()) for it in parts[arm])) for arm in parts}
    balanced = {**ALIGNED, "cka_balance": True, "cka_weight": 0.1}
    settings = spec(teacher="base", method=method, **balanced)
    student, sut = objective(place, settings, ANSWERS, monkeypatch)

    first, before = step(sut, student.model)
    second, after = step(sut, student.model, 2)

    assert "cka_balance" not in first.values  # it is measured here, and the term rests
    assert second.values["cka_balance"] == pytest.approx(norms["off"] / norms["only"], rel=1e-3)
    change = [after[name] - before[name] for name in sorted(before) if ".layers.0." in name]
    share = math.sqrt(sum(float(it.square().sum()) for it in change))
    assert share == pytest.approx(0.1 * norms["off"], rel=1e-2)


def test_that_the_balance_is_measured_again_and_moves_half_way(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios = iter([4.0, 16.0])
    monkeypatch.setattr(aligning.Norms, "ratio", lambda self, processes: next(ratios))
    settings = spec(teacher="base", **{**ALIGNED, "cka_balance": True, "cka_ramp_steps": 4})
    student, sut = objective(place, settings, ANSWERS, monkeypatch)
    assert sut._aligner is not None
    seen = {}
    for number in range(1, 13):
        report, _ = step(sut, student.model, number)
        seen[number] = report.values.get("cka_balance")
    assert seen[1] is None
    assert [seen[it] for it in (2, 10, 11)] == [4.0] * 3
    assert seen[12] == pytest.approx(8.0)  # half way from 4 to 16 on a scale of factors
    factors = [sut._aligner._factor(number) for number in (1, 2, 4, 9)]
    assert factors == pytest.approx([2 * 8 * share for share in (0.25, 0.5, 1, 1)])


def test_that_a_term_without_gradient_is_not_blown_up(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = spec(teacher="ema", **{**ALIGNED, "cka_balance": True})
    student, sut = objective(place, settings, ANSWERS, monkeypatch)
    first, _ = step(sut, student.model)
    assert first.values["teacher_cka"] == pytest.approx(1, abs=1e-6)
    second, gradients = step(sut, student.model, 2)
    assert second.values.get("cka_balance", 0.0) <= aligning.LARGEST_BALANCE
    assert all(bool(torch.isfinite(it).all()) for it in gradients.values())


def test_that_more_rows_than_the_limit_are_thinned_evenly(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Sequence[Tensor]] = []
    real = aligning.compare
    monkeypatch.setattr(
        aligning,
        "compare",
        lambda shares, *rest: taken.append(shares[0][0][1]) or real(shares, *rest),
    )
    for limit in (100, 6):
        monkeypatch.setattr(aligning, "LARGEST_ROWS", limit)
        settings = spec(teacher="base", per_device_train_batch_size=2, **ALIGNED)
        student, sut = objective(place, settings, ANSWERS, monkeypatch)
        report, gradients = step(sut, student.model)
        assert report.values["cka_loss_rows"] == min(limit, 12)
        assert all(bool(torch.isfinite(it).all()) for it in gradients.values())
    whole, thinned = (rows[0] for rows in taken)
    torch.testing.assert_close(thinned, whole[1::2])


def test_that_too_few_rows_leave_the_divergence_alone(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for arm in ("off", "attract", "only"):
        settings = spec(
            teacher="base", **{**ALIGNED, "cka_loss": arm, "num_loss_tokens_to_skip": 6}
        )
        student, sut = objective(place, settings, ANSWERS, monkeypatch)
        found[arm] = step(sut, student.model)
    report, gradients = found["attract"]
    assert report.values["cka_loss_rows"] == 0
    assert "teacher_cka" not in report.values
    assert report.loss == found["off"][0].loss
    for name, gradient in found["off"][1].items():
        assert torch.equal(gradients[name], gradient)
    assert found["only"][0].loss == 0
    assert all(float(it.abs().max()) == 0 for it in found["only"][1].values())


def train(place: Stand, name: str, **changes: Any) -> tuple[Checkpoint, list[dict[str, float]]]:
    place.events.clear()
    settings = spec(**{**ALIGNED, **changes})
    made = sdft.run(settings, place.checkpoints["degraded"], place.context(name))
    return made, [dict(it.values) for it in place.of(Metrics)]


def test_that_the_arms_drive_the_geometry_where_they_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand(tmp_path, count=3)
    degraded(place)
    monkeypatch.setattr(Rollout, "sample", lambda *args, **more: list(ANSWERS))
    last, first = {}, {}
    for arm in ("off", "attract", "repel", "only"):
        looks_with: dict[str, Any] = {"cka_loss": arm, "cka_balance": True, "cka_weight": 1.0}
        if arm == "off":  # a term without weight to speak of, to see the CKA without it
            looks_with = {"cka_loss": "attract", "cka_weight": 1e-9}
        _, seen = train(place, arm, max_steps=12, learning_rate=0.01, teacher="base", **looks_with)
        assert all(math.isfinite(value) for values in seen for value in values.values())
        first[arm], last[arm] = seen[0]["teacher_cka"], seen[-1]["teacher_cka"]
    assert len(set(first.values())) == 1
    assert last["repel"] < last["off"] < last["attract"]
    assert last["only"] > first["only"]


@pytest.mark.parametrize("teacher", ["base", "degraded", ["degraded", "base"]])
def test_that_it_trains_with_every_kind_of_network_as_teacher(place: Stand, teacher: Any) -> None:
    settings: dict[str, Any] = {"teacher": teacher, "max_steps": 1}
    if isinstance(teacher, list):
        place.datasets["other"] = place.datasets["weather"]
        settings |= {"teacher_pool": "routed", "dataset": ["weather", "other"]}
    _, (seen,) = train(place, "made", **settings)
    assert 0 < seen["teacher_cka"] <= 1 + 1e-6
    assert seen["cka_loss_rows"] > 4


@pytest.mark.parametrize("source", ["nf4", "pruned", "bfloat16"])
def test_that_degraded_students_of_every_kind_are_pulled(place: Stand, source: str) -> None:
    base, compute = place.checkpoints["base"], CPU32
    if source == "nf4":
        place.checkpoints[source] = quantize.run(
            QuantizeSpec(id=source), base, place.context(source)
        )
    elif source == "pruned":
        cut = PruneSpec(id=source, ratio=0.1, round_to=ROUND_TO)
        place.checkpoints[source] = prune.run(cut, base, place.context(source))
    else:
        place.checkpoints[source] = place.checkpoints["degraded"]
        compute = Compute(torch.device("cpu"), torch.bfloat16, "the test asks for it")
    settings = spec(**{**ALIGNED, "teacher": "base", "cka_balance": True, "max_steps": 2})
    context = replace(place.context("made"), compute=compute)
    sdft.run(settings, place.checkpoints[source], context)
    for metrics in place.of(Metrics):
        assert 0 < metrics.values["teacher_cka"] < 0.9999
        assert all(math.isfinite(value) for value in metrics.values.values())
    assert place.of(Metrics)[-1].values["cka_balance"] > 0


def test_that_off_changes_no_byte(place: Stand) -> None:
    off = {"cka_loss": "off", "max_steps": 2}
    plain, _ = train(place, "plain", **off)
    again, _ = train(place, "again", **off, cka_layers=None, cka_ramp_steps=3)
    pulled, _ = train(place, "pulled", max_steps=2)
    assert weights(plain.path) == weights(again.path)
    assert weights(plain.path) != weights(pulled.path)


def test_that_a_teacher_with_other_blocks_is_refused_before_the_training(place: Stand) -> None:
    place.checkpoints["deep"] = tiny_base(place.folder / "checkpoints" / "deep", layers=3)
    with pytest.raises(UserError, match="The teacher deep of stage made has 3 blocks"):
        train(place, "made", teacher="deep")
    assert place.of(Metrics) == []


def test_that_blocks_are_spaced_evenly_up_to_the_last() -> None:
    assert evenly(4, 36) == (8, 17, 26, 35)
    assert evenly(3, 7) == (1, 3, 6)
    assert evenly(1, 30) == (29,)
    assert evenly(None, 3) == evenly(4, 3) == evenly(3, 3) == (0, 1, 2)
