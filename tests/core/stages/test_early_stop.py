"""The held-out loss: when it ends a training, which weights it keeps, and that its items are never learned."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distill.divergence import Divergence, divergence
from core.errors import Diverged, UserError
from core.events import GuardWarning, Metrics
from core.lm.checkpoint import Checkpoint, read_manifest
from core.lm.load import load_model
from core.recipe.training_specs import BootstrapSpec, SdftSpec, SftSpec, TrainSpec
from core.stages import bootstrap, distilling, sdft, sft
from core.stages.bootstrap import Bootstrap
from core.stages.distilling import Distiller
from core.stages.sdft import SelfDistillation
from core.stages.sft import AnswerLikelihood
from core.stages.training_state import load_state, saved_step
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32
from tests.helpers.training import degraded, stand, weather, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

KINDS: dict[str, tuple[type[Any], Any, type[Any]]] = {
    "sft": (SftSpec, sft.run, AnswerLikelihood),
    "sdft": (SdftSpec, sdft.run, SelfDistillation),
    "bootstrap": (BootstrapSpec, bootstrap.run, Bootstrap),
}
LOSSES = [5.0, 4.0, 3.0, 3.5, 2.9, 3.1, 3.2, 3.3, 1.0]
"""At steps 0, 1, …: lowest at 4, and again at 8 where patience of 3 has run out before."""
IDS = torch.tensor([[5, 6, 7, 8, 9]])


def spec(kind: str, **changes: Any) -> TrainSpec:
    settings: dict[str, Any] = {
        "id": "made",
        "dataset": "weather",
        "max_steps": 8,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 6 if kind == "sdft" else 32,
        "learning_rate": 0.01,
        "lora_r": 4,
        "lora_alpha": 8,
        "eval_steps": 1,
        "save_steps": 0,
        **({} if kind == "sft" else {"teacher": "base", "num_loss_tokens_to_skip": 1}),
    }
    made: TrainSpec = KINDS[kind][0](**{**settings, **changes})
    return made


@pytest.fixture
def place(tmp_path: Path) -> Stand:
    found = stand(tmp_path, count=20)
    degraded(found)
    return found


def train(place: Stand, settings: TrainSpec, name: str = "made", **context: Any) -> Checkpoint:
    run = KINDS[settings.kind][1]
    made: Checkpoint = run(
        settings, place.checkpoints["degraded"], replace(place.context(name), **context)
    )
    return made


def logits(network: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(input_ids=IDS).logits
    return found


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The student's logits at each measurement, whose losses are given instead of measured."""
    found: list[Tensor] = []

    def loss(self: Any) -> float:
        found.append(logits(self._student.model))
        return LOSSES[len(found) - 1]

    for _, _, objective in KINDS.values():
        monkeypatch.setattr(objective, "held_out_loss", loss)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_that_the_checkpoint_holds_the_weights_of_the_lowest_loss(
    place: Stand, seen: list[Tensor], kind: str, method: str
) -> None:
    made = train(place, spec(kind, method=method, early_stopping_patience=3))

    assert len(seen) == 8  # three measurements in vain after step 4
    torch.testing.assert_close(logits(load_model(made, CPU32)), seen[4], atol=1e-5, rtol=1e-5)
    assert (logits(load_model(made, CPU32)) - seen[7]).abs().max() > 1e-3
    assert made.facts["best_step"] == 4
    assert made.facts["best_held_out_loss"] == 2.9
    assert made.facts["trained_steps"] == 7
    (warning,) = [it for it in place.of(GuardWarning) if it.code == "stopped_early"]
    assert warning.step == 7
    assert dict(warning.values) == {"best_step": 4, "held_out_loss": 2.9, "measurements": 3}


def test_that_the_last_weights_are_kept_where_that_is_asked_for(
    place: Stand, seen: list[Tensor]
) -> None:
    settings = spec("sdft", early_stopping_patience=3, load_best_model_at_end=False)
    made = train(place, settings)
    torch.testing.assert_close(logits(load_model(made, CPU32)), seen[7], atol=1e-5, rtol=1e-5)
    assert (seen[7] - seen[4]).abs().max() > 1e-3
    assert made.facts["best_step"] == 4
    assert made.facts["trained_steps"] == 7


def test_that_without_patience_a_late_best_is_found(place: Stand, seen: list[Tensor]) -> None:
    made = train(place, spec("sdft"))
    assert len(seen) == 9
    torch.testing.assert_close(logits(load_model(made, CPU32)), seen[8], atol=1e-5, rtol=1e-5)
    assert made.facts["best_step"] == made.facts["trained_steps"] == 8
    assert "stopped_early" not in [it.code for it in place.of(GuardWarning)]


def test_that_a_training_that_only_harms_ends_with_the_weights_it_began_with(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(SelfDistillation, "held_out_loss", lambda self: next(losses))
    made = train(place, spec("sdft", early_stopping_patience=2))
    before = logits(load_model(place.checkpoints["degraded"], CPU32))
    torch.testing.assert_close(logits(load_model(made, CPU32)), before)
    assert made.facts["best_step"] == 0


def test_that_a_gain_below_the_threshold_does_not_count(place: Stand, seen: list[Tensor]) -> None:
    made = train(place, spec("sdft", early_stopping_patience=3, early_stopping_threshold=0.2))
    # 2.9 is not 0.2 below the 3.0 of step 2.
    assert made.facts["best_step"] == 2
    assert made.facts["trained_steps"] == 5
    torch.testing.assert_close(logits(load_model(made, CPU32)), seen[2], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("every", "steps"), [(1, 9), (3, 4), (5, 3), (0, 0)])
def test_that_it_is_measured_at_the_start_when_due_and_at_the_end(
    place: Stand, seen: list[Tensor], every: int, steps: int
) -> None:
    made = train(place, spec("sft", eval_steps=every))
    found = [it.step for it in place.of(Metrics) if "held_out_loss" in it.values]
    assert found == sorted({*range(0, 9, every), 8} if every else [])
    assert len(seen) == steps
    assert ("best_step" in made.facts) is (every > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_that_a_held_out_item_is_never_trained_on(
    place: Stand, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    trained: list[Any] = []
    measured: dict[int, Any] = {}
    objective = KINDS[kind][2]
    real: Callable[..., Any] = objective.accumulate

    def accumulate(self: Any, step: int, plan: Any, backward: Any) -> Any:
        trained.extend(plan.at(step).items)
        measured.update((id(it), it) for it in self._kept_out)
        return real(self, step, plan, backward)

    monkeypatch.setattr(objective, "accumulate", accumulate)
    made = train(place, spec(kind, max_steps=None, num_train_epochs=2))

    assert len(measured) == made.facts["held_out"] == 2
    assert made.facts["items"] == 18
    assert sorted(Counter(map(id, trained)).values()) == [2] * 18
    assert measured.keys().isdisjoint(map(id, trained))


def test_that_no_gradient_comes_from_the_measurement(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    real: Callable[..., Any] = Distiller.score

    def score(
        self: Any, completions: Sequence[Any], sequences: int, backward: Any, *more: Any
    ) -> Any:
        found = real(self, completions, sequences, backward, *more)
        if backward is None:
            parameters = [it for it in self._student.model.parameters() if it.requires_grad]
            calls.append(any(it.grad is not None and bool(it.grad.any()) for it in parameters))
        return found

    monkeypatch.setattr(Distiller, "score", score)
    measured = train(place, spec("sdft", max_steps=2, load_best_model_at_end=False), "measured")
    assert calls[0] is False
    assert len(calls) == 3
    plain = train(place, spec("sdft", max_steps=2, eval_steps=0), "plain")
    assert weights(measured.path) == weights(plain.path)


@pytest.mark.parametrize("teacher", ["base", "ema"])
def test_that_a_step_that_is_no_number_ends_it_and_the_last_good_step_can_be_taken_up(
    place: Stand, monkeypatch: pytest.MonkeyPatch, teacher: str
) -> None:
    settings = spec("sdft", max_steps=4, teacher=teacher, num_iterations=2)
    whole = train(place, settings, "whole")
    losses = [it.values for it in place.of(Metrics) if "held_out_loss" in it.values]
    place.events.clear()

    with monkeypatch.context() as patch:
        real = divergence

        def broken(*given: Any, **named: Any) -> Divergence:
            found = real(*given, **named)
            third = [it.step for it in place.of(Metrics) if "loss" in it.values] == [1, 2]
            at_work = torch.is_grad_enabled()
            return replace(found, loss=found.loss * math.nan) if third and at_work else found

        patch.setattr(distilling, "divergence", broken)
        with pytest.raises(Diverged, match="In step 3 of stage halves the loss is nan"):
            train(place, settings, "halves")

    folder = place.folder / "checkpoints" / "halves"
    assert saved_step(folder) == 2
    assert read_manifest(folder) is None
    state = load_state(folder)
    assert state is not None
    assert all(bool(torch.isfinite(it.float()).all()) for it in state.tensors.values())
    made = train(place, settings, "halves")
    assert weights(made.path) == weights(whole.path)
    again = [it.values for it in place.of(Metrics) if "held_out_loss" in it.values]
    assert again == losses


def test_that_a_held_out_loss_that_is_no_number_ends_it_and_keeps_the_state_before(
    place: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, math.nan])
    monkeypatch.setattr(SelfDistillation, "held_out_loss", lambda self: next(losses))
    with pytest.raises(Diverged, match="After step 2 of stage made the held-out loss is nan"):
        train(place, spec("sdft", save_steps=1))
    folder = place.folder / "checkpoints" / "made"
    assert saved_step(folder) == 1  # the weights of step 2 are not worth a state
    assert read_manifest(folder) is None


@pytest.mark.parametrize("kind", KINDS)
def test_that_what_a_held_out_item_asks_is_not_trained_on_in_another_row(
    place: Stand, kind: str
) -> None:
    once = weather(20)
    place.datasets["weather"] = replace(once, examples=once.examples * 2)
    made = train(place, spec(kind, max_steps=1))
    assert made.facts["held_out"] == 4
    assert made.facts["items"] in (32, 34)  # two of four may be rows of the same question


@pytest.mark.parametrize("kind", KINDS)
def test_that_too_few_items_to_hold_any_out_are_refused_where_their_loss_is_wanted(
    place: Stand, kind: str
) -> None:
    place.datasets["weather"] = weather(9)
    with pytest.raises(UserError, match="of its 9 items none can be held out"):
        train(place, spec(kind, eval_steps=1))
    assert train(place, spec(kind, eval_steps=0, early_stopping_patience=None)).facts["items"] == 9
