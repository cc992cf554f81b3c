"""The loop that training stages share, driven by an objective of one line."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import Diverged, OutOfMemory, StopRequested, UserError
from core.events import CheckpointSaved, Metrics, Progress
from core.lm.checkpoint import read_manifest
from core.recipe.training_specs import SftSpec
from core.stages import training
from core.stages.context import StageContext
from core.stages.objective import Plan, StepReport
from core.stages.student import prepare
from core.stages.training import train
from core.stages.training_state import TrainingState, load_state, save_state, saved_step
from tests.helpers.contexts import Stand
from tests.helpers.training import stand, stop_at_look, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SPEC = SftSpec(
    id="made",
    dataset="weather",
    max_steps=6,
    per_device_train_batch_size=2,
    gradient_accumulation_steps=1,
    lora_r=4,
    lora_alpha=8,
    learning_rate=0.01,
    save_steps=0,
)


@dataclass
class Pull:
    """Pulls every weight to a random number, by one random factor for each item: uses all generators."""

    model: torch.nn.Module
    seen: list[list[int]]
    check: Callable[[], None] = lambda: None
    fail_in: int = 0
    error: BaseException | None = None
    factor: float = 1.0
    remembered: int = 0

    held_out: Sequence[float] = ()
    trace: Tensor | None = None

    def accumulate(
        self, step: int, plan: Plan[int], backward: Callable[[Tensor], None]
    ) -> tuple[float, int]:
        items = plan.at(step).items
        self.seen.append(list(items))
        total = 0.0
        for _ in items:
            self.check()
            scale = torch.rand(()) + float(np.random.rand()) + random.random()
            loss = scale * sum(
                (parameter - 0.3).square().mean()
                for parameter in self.model.parameters()
                if parameter.requires_grad
            )
            backward(loss * self.factor)
            total += float(loss.detach())
        if step == self.fail_in and self.error is not None:
            raise self.error
        self.remembered += len(items)
        return total, len(items)

    def report(self, step: int, found: Sequence[tuple[float, int]]) -> StepReport:
        total, count = (sum(values) for values in zip(*found, strict=True))
        return StepReport(total if step != self.fail_in else float("nan"), int(count))

    def notes(self) -> dict[str, Any]:
        return {"remembered": self.remembered}

    def updated(self, step: int, weights: Callable[[], dict[str, Tensor]]) -> None:
        self.trace = next(iter(weights().values())).flatten()[:3] * step

    def held_out_loss(self) -> float | None:
        return self.held_out[len(self.seen)] if self.held_out else None

    def tensors(self) -> dict[str, Tensor]:
        return {} if self.trace is None else {"trace": self.trace}

    def recall(self, notes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.remembered, self.trace = notes["remembered"], tensors["trace"]


def run(
    place: Stand, context: StageContext, spec: SftSpec = SPEC, **settings: Any
) -> tuple[Pull, Any]:
    """Prepare a student, train it on the numbers 0 … 9, return the objective and the checkpoint."""
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    student = prepare(spec, place.checkpoints["base"], context)
    pull = Pull(student.model, [], context.check_stop, **settings)
    made = train(spec, place.checkpoints["base"], context, student, range(10), pull, {"a": 1})
    return pull, made


def test_that_it_reports_and_writes_a_finished_checkpoint(tmp_path: Path) -> None:
    place = stand(tmp_path)
    context = place.context("made")

    pull, made = run(place, context)

    assert [event.step for event in place.of(Metrics)] == [1, 2, 3, 4, 5, 6]
    assert [event.tokens for event in place.of(Metrics)] == [2, 4, 6, 8, 10, 12]
    assert place.of(Metrics)[-1].values["loss"] < place.of(Metrics)[0].values["loss"]
    assert set(place.of(Metrics)[0].values) == {
        "loss",
        "grad_norm",
        "learning_rate",
        "tokens_per_second",
        "step_seconds",
        "memory",
    }
    assert [(event.done, event.total) for event in place.of(Progress)] == [
        (step, 6) for step in range(7)
    ]
    assert place.of(Progress)[-1].eta == 0
    assert read_manifest(context.folder) == made
    assert made.storage == "adapter"
    assert made.parent == place.checkpoints["base"].identity
    assert made.facts["trained_steps"] == 6
    assert made.facts["trained_tokens"] == 12
    assert made.facts["trainable_parameters"] > 0
    assert made.facts["a"] == 1
    (saved,) = place.of(CheckpointSaved)
    assert saved.final
    assert saved.path == "checkpoints/made"
    assert saved.bytes > 1000
    assert not (context.folder / "state").exists()
    assert sorted(item for step in pull.seen for item in step)[:2] == [0, 0]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_that_a_stopped_and_resumed_training_ends_bitwise_equal(
    tmp_path: Path, method: str
) -> None:
    place = stand(tmp_path)
    spec = SPEC.model_copy(update={"method": method, "max_steps": 4, "learning_rate": 1e-3})
    run(place, place.context("whole"), spec)
    whole = [event.values["loss"] for event in place.of(Metrics)]
    place.events.clear()

    # Looks: one before each step, one for each of its two items. The 9th is inside step 3.
    stopped = replace(place.context("halves"), stop=stop_at_look(9))
    with pytest.raises(StopRequested):
        run(place, stopped, spec)
    assert saved_step(stopped.folder) == 2
    assert read_manifest(stopped.folder) is None
    (saved,) = place.of(CheckpointSaved)
    assert (saved.final, saved.step, saved.path) == (False, 2, "checkpoints/halves/state")

    torch.rand(5)  # the resumed session has other random states …
    pull, made = run(place, place.context("halves"), spec)

    assert [event.values["loss"] for event in place.of(Metrics)] == whole
    assert weights(made.path) == weights(tmp_path / "checkpoints" / "whole")
    assert pull.remembered == 8
    assert made.facts["trained_tokens"] == 8


def test_that_a_discarded_training_leaves_no_state(tmp_path: Path) -> None:
    place = stand(tmp_path)
    context = replace(place.context("made"), stop=stop_at_look(9, keep=False))

    with pytest.raises(StopRequested):
        run(place, context)

    assert list(context.folder.iterdir()) == []


def test_that_states_are_saved_when_due_and_when_asked(tmp_path: Path) -> None:
    place = stand(tmp_path)
    asked = iter([False, False, True, False, False, False])
    context = replace(place.context("made"), save_now=lambda: next(asked))

    run(place, context, SPEC.model_copy(update={"save_steps": 2}))

    states = [event.step for event in place.of(CheckpointSaved) if not event.final]
    assert states == [2, 3, 4]  # step 6 is the end, which is saved as the checkpoint


def test_that_no_state_is_ever_ahead_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand(tmp_path)
    on_disk: list[int] = []
    seen: list[tuple[int, int]] = []

    def save(folder: Path, state: TrainingState) -> int:
        seen.append((state.step, on_disk[-1]))
        return save_state(folder, state)

    monkeypatch.setattr(training, "save_state", save)
    context = replace(place.context("made"), settle=lambda: on_disk.append(len(place.of(Metrics))))
    run(place, context, SPEC.model_copy(update={"save_steps": 2}))
    assert seen == [(2, 2), (4, 4)]


def test_that_only_the_newest_state_is_kept_and_is_whole(tmp_path: Path) -> None:
    place = stand(tmp_path)
    context = replace(place.context("made"), stop=stop_at_look(14))

    with pytest.raises(StopRequested):
        run(place, context, SPEC.model_copy(update={"save_steps": 1}))

    names = sorted(file.name for file in (context.folder / "state").iterdir())
    assert names == ["state.json", "step-00000004.safetensors"]
    state = load_state(context.folder)
    assert state is not None
    assert state.step == 4
    record = json.loads((context.folder / "state" / "state.json").read_text())
    assert record["file"] == names[1]


@pytest.mark.parametrize("factor", [1.0, float("inf")])
def test_that_divergence_is_named_and_the_last_good_state_kept(
    tmp_path: Path, factor: float
) -> None:
    place = stand(tmp_path)
    context = place.context("made")

    with pytest.raises(Diverged, match="learning_rate") as caught:
        run(place, context, fail_in=3 if factor == 1 else 0, factor=factor)

    assert ("step 3" if factor == 1 else "step 1") in str(caught.value)
    assert saved_step(context.folder) == (2 if factor == 1 else None)
    assert read_manifest(context.folder) is None


def test_that_running_out_of_memory_names_the_knobs(tmp_path: Path) -> None:
    place = stand(tmp_path)
    context = place.context("made")

    with pytest.raises(OutOfMemory, match="per_device_train_batch_size"):
        run(place, context, fail_in=2, error=torch.OutOfMemoryError("out of memory"))

    assert saved_step(context.folder) == 1


def test_that_nothing_to_train_on_is_an_error_of_the_input(tmp_path: Path) -> None:
    place = stand(tmp_path)
    context = place.context("made")
    student = prepare(SPEC, place.checkpoints["base"], context)

    with pytest.raises(UserError, match="no items"):
        train(SPEC, place.checkpoints["base"], context, student, [], Pull(student.model, []), {})


def test_that_live_measurement_sees_every_step_but_not_twice_after_a_resume(tmp_path: Path) -> None:
    place = stand(tmp_path)
    steps: list[int] = []

    def measure(model: Any, tokenizer: Any, step: int, total: int) -> None:
        assert model.training
        assert total == 6
        steps.append(step)

    context = replace(place.context("made"), measure=measure, stop=stop_at_look(8))
    with pytest.raises(StopRequested):
        run(place, context)
    assert steps == [0, 1, 2]

    run(place, replace(place.context("made"), measure=measure))

    assert steps == [0, 1, 2, 3, 4, 5, 6]


def test_that_a_step_without_counted_tokens_leaves_the_weights_alone(tmp_path: Path) -> None:
    place = stand(tmp_path)
    context = place.context("made")
    student = prepare(SPEC, place.checkpoints["base"], context)
    before = {name: value.clone() for name, value in student.model.state_dict().items()}

    class Nothing(Pull):
        def accumulate(
            self, step: int, plan: Plan[int], backward: Callable[[Tensor], None]
        ) -> tuple[float, int]:
            return super().accumulate(step, plan, backward)[0], 0

    train(
        SPEC, place.checkpoints["base"], context, student, range(10), Nothing(student.model, []), {}
    )

    for name, value in student.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_that_full_training_of_a_quantized_network_is_refused(tmp_path: Path) -> None:
    place = stand(tmp_path)
    packed = replace(place.checkpoints["base"], storage="nf4")

    with pytest.raises(UserError, match="quantized"):
        prepare(SPEC.model_copy(update={"method": "full"}), packed, place.context("made"))


def test_that_gradient_checkpointing_changes_no_gradient(tmp_path: Path) -> None:
    place = stand(tmp_path)
    found = []
    for on in (False, True):
        spec = SPEC.model_copy(update={"gradient_checkpointing": on})
        model = prepare(spec, place.checkpoints["base"], place.context("made")).model
        model(input_ids=torch.tensor([[5, 6, 7]])).logits.square().mean().backward()
        found.append(
            {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        )

    assert found[0].keys() == found[1].keys()
    assert any(float(gradient.abs().max()) > 0 for gradient in found[1].values())
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name])
