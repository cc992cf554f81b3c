"""Self-distillation: one step against a dense computation, then the whole stage on tiny networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core.data.example import Dataset
from core.distill.head import hidden_states
from core.distill.rollout import Rollout
from core.errors import StopRequested, UserError
from core.events import CompletionSampled, GuardWarning, Metrics
from core.lm.checkpoint import Checkpoint
from core.lm.generate import Generated
from core.lm.load import load_model
from core.stages import sdft, teachers
from tests.helpers.contexts import Stand
from tests.helpers.distilling import ANSWERS, ITEMS, objective, score, spec
from tests.helpers.tiny import CPU32
from tests.helpers.training import FixedPlan, degraded, stand, stop_at_look, weather, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def train(place: Stand, source: str, name: str = "made", **changes: Any) -> Checkpoint:
    return sdft.run(spec(**changes), place.checkpoints[source], place.context(name))


def dense_loss(model: Any, teacher: Any, temperature: float, skip: int) -> torch.Tensor:
    """The loss from whole logits, a sequence at a time."""
    losses = []
    for item, answer in zip(ITEMS, ANSWERS, strict=True):
        rows = []
        for network, prompt in ((model, item.student), (teacher, item.teacher)):
            logits = network(input_ids=torch.tensor([[*prompt, *answer.ids]])).logits[0]
            rows.append((logits[len(prompt) - 1 : -1] / temperature).log_softmax(-1))
        log_q, log_p = rows[0], rows[1].detach()
        kl = (log_p.exp() * (log_p - log_q)).sum(-1)[skip:]
        losses.append(kl.mean() if len(kl) else kl.sum())
    return torch.stack(losses).mean()


@pytest.mark.parametrize(
    ("teacher", "method"), [("base", "lora"), ("degraded", "lora"), ("degraded", "full")]
)
def test_that_a_step_equals_the_dense_loss_and_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teacher: str, method: str
) -> None:
    place = stand(tmp_path)
    degraded(place)
    source = "base" if method == "full" else "degraded"
    settings = spec(teacher=teacher, method=method, temperature=0.8)
    student, sut = objective(place, settings, ANSWERS, monkeypatch, source)
    trained = {n: p for n, p in student.model.named_parameters() if p.requires_grad}

    report = sut.report(1, [sut.accumulate(1, FixedPlan(ITEMS), lambda loss: loss.backward())])
    got = {name: parameter.grad.clone() for name, parameter in trained.items()}  # type: ignore[union-attr]
    assert student.model.training

    network = load_model(place.checkpoints[teacher], CPU32)
    student.model.zero_grad()
    expected = dense_loss(student.model, network, 0.8, 3)
    expected.backward()

    assert report.tokens == 5 + 2
    assert report.loss == pytest.approx(float(expected.detach()), abs=1e-5)
    for name, parameter in trained.items():
        assert parameter.grad is not None
        torch.testing.assert_close(got[name], parameter.grad, atol=1e-5, rtol=1e-4)
    assert all(float(gradient.abs().max()) > 0 for gradient in got.values())


def test_that_a_sample_alone_equals_the_same_sample_in_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand(tmp_path)
    degraded(place)
    settings = spec(per_device_train_batch_size=3)
    together = score(objective(place, settings, ANSWERS, monkeypatch)[1], ITEMS, ANSWERS)
    for index in range(3):
        item, answer = ITEMS[index : index + 1], ANSWERS[index : index + 1]
        alone = score(objective(place, settings, answer, monkeypatch)[1], item, answer)
        assert alone.kl[0] == pytest.approx(together.kl[index], abs=1e-4, nan_ok=True)


def test_that_skipped_tokens_carry_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = stand(tmp_path)
    degraded(place)
    sut = objective(place, spec(), ANSWERS, monkeypatch)[1]

    scores = score(sut, ITEMS, ANSWERS)

    for row, answer in zip(scores.kl, ANSWERS, strict=True):
        assert len(row) == len(answer.ids)
        assert [math.isnan(value) for value in row] == [place < 3 for place in range(len(row))]
    assert all(value > 0 for row in scores.kl for value in row[3:])


def test_that_answers_without_counted_tokens_warn_and_move_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand(tmp_path)
    degraded(place)
    monkeypatch.setattr(
        Rollout,
        "sample",
        lambda self, model, prompts, *rest, **more: [Generated([7, 2], True)] * len(prompts),
    )

    made = train(place, "degraded", max_steps=1, weight_decay=0.1)

    (metrics,) = place.of(Metrics)
    assert metrics.values["loss"] == 0
    assert metrics.values["grad_norm"] == 0
    assert metrics.tokens == 0
    assert "kl" not in metrics.values
    assert [event.code for event in place.of(GuardWarning)] == ["no_counted_tokens"]
    ids = torch.tensor([[5, 6, 7]])
    torch.testing.assert_close(
        load_model(made, CPU32)(input_ids=ids).logits,
        load_model(place.checkpoints["degraded"], CPU32)(input_ids=ids).logits,
    )


@pytest.mark.parametrize("method", ["lora", "full"])
def test_that_the_student_learns_what_the_teacher_predicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    # On two prompts and always the same answers, so that only learning moves the divergence.
    place = stand(tmp_path, count=2)
    degraded(place)
    base_before = weights(tmp_path / "checkpoints" / "tiny")
    monkeypatch.setattr(Rollout, "sample", lambda *args, **more: ANSWERS[:2])

    made = train(
        place,
        "degraded",
        max_steps=15,
        method=method,
        learning_rate=0.01 if method == "lora" else 0.002,
        gradient_accumulation_steps=1,
    )

    kl = [event.values["kl"] for event in place.of(Metrics)]
    assert kl[-1] < 0.5 * kl[0]
    (teacher,) = made.facts["teachers"]
    assert teacher["identity"] == place.checkpoints["base"].identity
    assert teacher["network"] == "own"
    assert made.facts["trained_steps"] == 15
    assert made.storage == ("adapter" if method == "lora" else "full")
    assert weights(tmp_path / "checkpoints" / "tiny") == base_before


def test_that_every_metric_is_reported(tmp_path: Path) -> None:
    place = stand(tmp_path)
    degraded(place)

    train(place, "degraded", max_steps=1)

    (metrics,) = place.of(Metrics)
    assert set(metrics.values) == {
        "loss",
        "kl",
        "reverse_kl",
        "student_entropy",
        "teacher_entropy",
        "top1_agreement",
        "completion_length",
        "ended_rate",
        "truncated_rate",
        "artefact_rate",
        "rollout_seconds",
        "grad_norm",
        "learning_rate",
        "tokens_per_second",
        "step_seconds",
        "memory",
    }
    assert all(math.isfinite(value) for value in metrics.values.values())
    assert 0 <= metrics.values["top1_agreement"] <= 1
    assert metrics.values["ended_rate"] + metrics.values["truncated_rate"] == pytest.approx(1)
    assert 0 < metrics.values["student_entropy"] < math.log(512)


def test_that_completions_are_kept_with_their_divergence(tmp_path: Path) -> None:
    place = stand(tmp_path)
    degraded(place)

    train(place, "degraded", max_steps=5)

    kept = place.of(CompletionSampled)
    assert [event.step for event in kept] == [1, 2, 4]
    for event in kept:
        assert len(event.tokens) == len(event.divergence)
        assert event.divergence[:3] == (None,) * min(3, len(event.tokens))
        counted = [value for value in event.divergence if value is not None]
        assert event.kl == pytest.approx(sum(counted) / max(1, len(counted)))
        assert 0 <= event.teacher_top1_agreement <= 1
        assert event.prompt.startswith("weather in")
        assert "getWeather" in event.demonstration
        assert event.item.startswith("item-")


def test_that_a_stopped_and_resumed_training_ends_bitwise_equal(tmp_path: Path) -> None:
    place = stand(tmp_path)
    degraded(place)
    whole = train(place, "degraded", "whole", max_steps=4)
    losses = [event.values["loss"] for event in place.of(Metrics)]
    place.events.clear()
    looks = 0

    def stop() -> bool | None:
        return True if len(place.of(Metrics)) == 2 and looking() > 5 else None

    def looking() -> int:
        nonlocal looks
        looks += 1
        return looks

    # The stop comes while the third step samples its fourth token or so.
    with pytest.raises(StopRequested):
        sdft.run(
            spec(max_steps=4),
            place.checkpoints["degraded"],
            replace(place.context("halves"), stop=stop),
        )
    torch.rand(3)
    halves = train(place, "degraded", "halves", max_steps=4)

    assert [event.values["loss"] for event in place.of(Metrics)] == losses
    assert weights(halves.path) == weights(whole.path)


def test_that_a_stop_is_heeded_within_a_token(tmp_path: Path) -> None:
    place = stand(tmp_path, count=2)
    degraded(place)
    # Two looks while encoding, one before the step, then one for each token.
    with pytest.raises(StopRequested):
        sdft.run(
            spec(max_completion_length=500),
            place.checkpoints["degraded"],
            replace(place.context("made"), stop=stop_at_look(6)),
        )
    assert place.of(Metrics) == []


def test_that_the_cut_into_micro_batches_changes_no_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand(tmp_path)
    degraded(place)
    found = []
    for size in (1, 2, 3):
        settings = spec(per_device_train_batch_size=size)
        student, sut = objective(place, settings, ANSWERS, monkeypatch)
        report = sut.report(1, [sut.accumulate(1, FixedPlan(ITEMS), lambda loss: loss.backward())])
        gradients = [p.grad for p in student.model.parameters() if p.grad is not None]
        found.append((report.loss, gradients))
    for loss, gradients in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-5)
        torch.testing.assert_close(gradients, found[0][1], atol=1e-5, rtol=1e-4)


def differs(first: nn.Module, second: nn.Module) -> bool:
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    mask = torch.ones_like(ids)
    return not torch.allclose(
        hidden_states(first, ids, mask), hidden_states(second, ids, mask), atol=1e-4
    )


def test_that_over_long_prompts_count_for_the_teacher_too(tmp_path: Path) -> None:
    place = stand(tmp_path, count=4)
    degraded(place)
    long = weather(1, demonstration="Action: getWeather " * 40).examples
    mixed = weather(3).examples + long
    place.datasets["weather"] = Dataset("weather", "memory", "test", "fingerprint", mixed)

    made = train(place, "degraded", max_steps=1, max_prompt_length=120)

    (warning, *_) = place.of(GuardWarning)
    assert warning.code == "samples_dropped"
    assert warning.values == {"dropped": 1.0, "kept": 3.0}
    assert made.facts["items"] == 3
    with pytest.raises(UserError, match="max_prompt_length"):
        train(place, "degraded", "none", max_completion_length=2040)


def test_that_items_without_demonstration_are_refused(tmp_path: Path) -> None:
    place = stand(tmp_path)
    degraded(place)
    place.datasets["weather"] = weather(4, demonstration="")

    with pytest.raises(UserError, match="Dataset weather has no demonstration for 4"):
        train(place, "degraded")


def test_that_a_teacher_with_other_tokens_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand(tmp_path)
    degraded(place)
    real: Callable[..., Any] = teachers.load_tokenizer

    def other(checkpoint: Checkpoint) -> Any:
        tokenizer = real(checkpoint)
        tokenizer.add_tokens(["<new>"])
        return tokenizer

    monkeypatch.setattr(teachers, "load_tokenizer", other)

    with pytest.raises(UserError, match="number their tokens differently"):
        train(place, "degraded")
