"""A training that is stopped anywhere and taken up again ends bitwise as one that was not stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from core.errors import StopRequested
from core.events import CompletionSampled, Event, GuardWarning, Metrics, Progress
from core.lm.checkpoint import Checkpoint
from core.recipe.training_specs import BootstrapSpec, SdftSpec, SftSpec, TrainSpec
from core.stages import bootstrap, sdft, sft, training
from core.stages.training_state import saved_step
from tests.helpers.contexts import Stand
from tests.helpers.fake_engine import ListLog
from tests.helpers.training import degraded, stand, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

STEPS = 5
CLOCK = {"tokens_per_second", "step_seconds", "rollout_seconds", "memory"}
"""Metrics that are measured in seconds or in bytes of this process, which nobody can repeat."""

MEASURED = {"eval_steps": 1, "held_out_items": 2, "save_steps": 0}
KEPT = {"distillation_topk": 8, "teacher_cache_steps": 2}
CKA = {"cka_loss": "attract", "cka_weight": 1.0, "cka_ramp_steps": 3, "num_loss_tokens_to_skip": 0}
LOOKS_AT_CKA = {
    **MEASURED,
    "held_out_items": 8,
    "early_stopping_criterion": "loss_and_cka",
    "early_stopping_patience": 3,
    "early_stopping_threshold": 50.0,
    "max_steps": 9,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "lora": {},
    "full": {"method": "full", "learning_rate": 1e-3},
    "lora, ema": {"teacher": "ema", "teacher_update_rate": 0.3},
    "full, ema": {
        "method": "full",
        "learning_rate": 1e-3,
        "teacher": "ema",
        "teacher_update_rate": 0.3,
        "teacher_sync_steps": 2,
    },
    "live": {"teacher": "live"},
    "completions used twice": {"num_iterations": 2, "max_steps": 6},
    "scores kept": KEPT,
    "scores kept, completions used twice": {
        **KEPT,
        "teacher_cache_steps": 4,
        "num_iterations": 2,
        "max_steps": 6,
    },
    "best weights": MEASURED,
    "best weights, ema": {**MEASURED, "teacher": "ema", "teacher_update_rate": 0.3},
    "best weights, scores kept": {**MEASURED, **KEPT},
    "stops early": {
        **MEASURED,
        "early_stopping_patience": 3,
        "early_stopping_threshold": 50.0,
        "max_steps": 9,
    },
    "half off-policy, two answers": {"lmbda": 0.5, "num_generations": 2},
    "half off-policy, used twice": {
        "lmbda": 0.5,
        "num_generations": 2,
        "num_iterations": 2,
        "max_steps": 6,
    },
    "two teachers": {"teacher": ["base", "degraded"], "teacher_weighting": "likelihood"},
    "two teachers, one moves": {"teacher": ["base", "ema"], "teacher_weighting": "likelihood"},
    "cka": CKA,
    "cka, ema": {
        **CKA,
        "teacher": "ema",
        "teacher_update_rate": 0.3,
        "num_iterations": 2,
        "max_steps": 6,
    },
    "cka alone, full": {
        **CKA,
        "cka_loss": "only",
        "method": "full",
        "learning_rate": 1e-3,
        "gradient_checkpointing": True,
    },
    "stops early by loss and cka": LOOKS_AT_CKA,
    "cka to the teacher and on held-out items, ema": {
        **CKA,
        **LOOKS_AT_CKA,
        "cka_loss": "repel",
        "teacher": "ema",
        "teacher_update_rate": 0.3,
    },
    "sft": {"kind": "sft", **MEASURED},
    "bootstrap": {"kind": "bootstrap", **MEASURED},
    "bootstrap, sampled": {
        "kind": "bootstrap",
        **MEASURED,
        "completions": "teacher",
        "max_completion_length": 6,
    },
}

LONG = {"cka", "cka alone, full", "stops early by loss and cka"}
"""What the other variants with CKA hold as well, if less plainly."""

Moment = Literal["soon", "gradients", "measuring"]
"""When a session is stopped: at the third look after a step (in the held-out measurement, or while sampling),
with the gradients of one micro-batch of two, or in a live measurement."""


def spec_of(variant: str) -> TrainSpec:
    settings: dict[str, Any] = {
        "id": "made",
        "kind": "sdft",
        "dataset": "weather",
        "max_steps": STEPS,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 32,
        "learning_rate": 0.005,
        "lora_r": 4,
        "lora_alpha": 8,
        "save_steps": 0,
        **VARIANTS[variant],
    }
    if settings["kind"] == "sft":
        return SftSpec(**settings)
    settings.setdefault("teacher", "base")
    settings["logging_completions"] = 1
    if settings["kind"] == "bootstrap":
        return BootstrapSpec(**settings)
    settings["max_completion_length"] = 6
    settings.setdefault("num_loss_tokens_to_skip", 1)
    return SdftSpec(**settings)


class Interruption:
    """Asks one session to stop around one step.

    Args:
        step: finished steps.
        moment: after that.
        monkeypatch: to see the gradients come.
    """

    def __init__(self, step: int, moment: Moment, monkeypatch: pytest.MonkeyPatch) -> None:
        self._step, self._moment = step, moment
        self._now = -1  # finished steps, once the loop has begun
        self._seen = 0
        self._gradients = 0
        self.measured: list[int] = []
        real: Callable[..., None] = training._Loop._backward

        def backward(loop: Any, loss: torch.Tensor) -> None:
            real(loop, loss)
            self._gradients += loop.step == step

        monkeypatch.setattr(training._Loop, "_backward", backward)

    def hear(self, event: Event) -> None:
        """Follow the steps of this session."""
        if isinstance(event, Progress) and event.unit == "step":
            self._now = event.done

    def stop(self) -> bool | None:
        """The flag that is looked at."""
        if self._now != self._step:
            return None
        self._seen += 1
        due = {"soon": self._seen > 2, "gradients": self._gradients > 0, "measuring": False}
        return True if due[self._moment] else None

    def measure(self, model: Any, tokenizer: Any, step: int, steps: int) -> None:
        """A live measurement, which looks for a stop as all of them do."""
        if self._moment == "measuring" and step == self._step:
            raise StopRequested(keep=True)
        self.measured.append(step)


def session(
    spec: TrainSpec, place: Stand, name: str, interruption: Interruption | None = None
) -> Checkpoint:
    """One session of the training; the generators are somewhere else in every one."""
    torch.rand(len(place.events) + 3)
    context = place.context(name)
    if interruption is not None:

        def emit(event: Event) -> None:
            interruption.hear(event)
            place.events.append(event)

        context = replace(context, stop=interruption.stop, measure=interruption.measure, emit=emit)
    run: Any = {"sdft": sdft.run, "sft": sft.run, "bootstrap": bootstrap.run}[spec.kind]
    made: Checkpoint = run(spec, place.checkpoints["degraded"], context)
    return made


def rewound(place: Stand, name: str) -> None:
    """Forget what the log forgets before the next session (`core.engine.resume`)."""
    log = ListLog([*place.events])
    step = saved_step(place.folder / "checkpoints" / name)
    if step is None:
        log.purge_stage(name)
    else:
        log.purge_after(name, step)
    place.events[:] = log.events


def story(place: Stand) -> list[Any]:
    """Everything that was measured, in order, without times."""
    found: list[Any] = []
    for event in place.events:
        match event:
            case Metrics():
                values = {key: it for key, it in event.values.items() if key not in CLOCK}
                found.append((event.step, event.tokens, values))
            case CompletionSampled():
                found.append((event.step, event.item, event.tokens, event.divergence, event.kl))
            case GuardWarning():
                found.append((event.step, event.code, event.values))
    return found


class Whole:
    """Uninterrupted trainings, one a variant, run when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, tuple[list[Any], dict[str, bytes], dict[str, Any]]] = {}
        self._checkpoints: dict[str, Checkpoint] = {}

    def place(self, folder: Path) -> Stand:
        """A stand that starts from the same checkpoints."""
        if not self._checkpoints:
            first = stand(self._folder, count=80)
            degraded(first)
            self._checkpoints = first.checkpoints
        place = stand(folder, count=80)
        place.checkpoints = self._checkpoints
        return place

    def __call__(self, variant: str) -> tuple[list[Any], dict[str, bytes], dict[str, Any]]:
        """Story, weights and facts."""
        if variant not in self._found:
            place = self.place(self._folder / variant.replace(" ", "_"))
            made = session(spec_of(variant), place, "whole")
            self._found[variant] = story(place), weights(made.path), dict(made.facts)
        return self._found[variant]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole"))


def steps_of(variant: str) -> int:
    return int(VARIANTS[variant].get("max_steps", STEPS))


def check_equal(whole: Whole, variant: str, place: Stand, made: Checkpoint) -> None:
    expected, bytes_, facts = whole(variant)
    assert story(place) == expected
    assert weights(made.path) == bytes_
    assert made.facts == facts


@pytest.mark.parametrize(
    "variant",
    [pytest.param(it, marks=pytest.mark.slow) if it in LONG else it for it in VARIANTS],
)
@pytest.mark.parametrize(
    "moments",
    [
        ["gradients"],
        pytest.param(["measuring", "soon", "gradients"], marks=pytest.mark.slow),
    ],
    ids=["in every step", "three times a step"],
)
def test_that_a_training_stopped_again_and_again_ends_bitwise_equal(
    whole: Whole,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    moments: list[Moment],
) -> None:
    place = whole.place(tmp_path)
    spec = spec_of(variant)
    made, stops = None, 0
    for step, moment in product(range(steps_of(variant)), moments):
        with monkeypatch.context() as patch:
            try:
                made = session(spec, place, "halves", Interruption(step, moment, patch))
            except StopRequested:
                stops += 1
                rewound(place, "halves")
            else:
                break  # it has stopped early
    assert stops >= 3 * len(moments)
    made = made or session(spec, place, "halves")

    check_equal(whole, variant, place, made)
    assert not (made.path / "state").exists()


@pytest.mark.parametrize("variant", ["lora", "best weights"])
@pytest.mark.parametrize("step", range(STEPS))
@pytest.mark.parametrize("moment", ["soon", "gradients", "measuring"])
def test_that_one_stop_at_any_step_changes_nothing(
    whole: Whole,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    step: int,
    moment: Moment,
) -> None:
    place = whole.place(tmp_path)
    interruption = Interruption(step, moment, monkeypatch)
    with pytest.raises(StopRequested):
        session(spec_of(variant), place, "halves", interruption)
    assert saved_step(place.folder / "checkpoints" / "halves") == (step or None)
    rewound(place, "halves")

    again = Interruption(STEPS + 1, moment, monkeypatch)
    made = session(spec_of(variant), place, "halves", again)

    check_equal(whole, variant, place, made)
    # Every step was measured once; before the first is a state, all begins anew.
    first = interruption.measured if step else []
    assert first + again.measured == list(range(STEPS + 1))


@pytest.mark.parametrize("variant", ["lora, ema", "scores kept", "best weights", "sft"])
@pytest.mark.parametrize("step", [3, 4])
def test_that_a_crash_costs_the_steps_since_the_last_state_and_no_more(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, step: int
) -> None:
    place = whole.place(tmp_path)
    spec = spec_of(variant).model_copy(update={"save_steps": 2})
    with monkeypatch.context() as patch:

        def crash(loop: Any, loss: torch.Tensor) -> None:
            loss.backward()  # type: ignore[no-untyped-call]
            if loop.step == step:
                raise ValueError("boom")

        patch.setattr(training._Loop, "_backward", crash)
        with pytest.raises(ValueError, match="boom"):
            session(spec, place, "halves")
    assert saved_step(place.folder / "checkpoints" / "halves") == step // 2 * 2
    assert max(it.step for it in place.of(Metrics)) == step
    rewound(place, "halves")

    made = session(spec, place, "halves")

    check_equal(whole, variant, place, made)
