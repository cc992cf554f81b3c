"""Live measurement: due at the right steps, and without a trace in the training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.data.load import load
from core.errors import StopRequested
from core.events import CkaMeasured, GuardWarning, ItemsEvaluated, Metrics, TaskEvaluated
from core.lm.load import load_model, load_tokenizer
from core.recipe.sources import DatasetSource, ModelSource, Task
from core.recipe.spec import LiveCka, Measure, Recipe
from core.recipe.stage_specs import CkaSpec, EvaluateSpec
from core.recipe.training_specs import SdftSpec, SftSpec
from core.stages import cka, evaluate, reference, sdft, sft
from core.stages import live as module
from core.stages.live import Live, live
from core.stages.training_state import RandomState
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32, tiny_base, write_datasets

MEASURE = Measure(
    tasks=["mmlu"],
    every_steps=2,
    live_items=3,
    cka=LiveCka(probe="tooluse", samples=5, every_steps=3, token="answer_mean", max_share=1),
)
SPEC = SdftSpec(
    id="back",
    dataset="tooluse",
    max_steps=4,
    per_device_train_batch_size=2,
    gradient_accumulation_steps=1,
    max_completion_length=8,
    lora_r=4,
    lora_alpha=8,
    learning_rate=1e-2,
    save_steps=0,
    logging_completions=1,
)

MACHINE = ("_seconds", "_per_second", "memory")
"""Endings of the metrics that tell of the machine, not of the training."""


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    reference.forget_reference()
    yield
    reference.forget_reference()


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    """A base, a probe and a task."""
    base = tiny_base(tmp_path / "checkpoints")
    files = write_datasets(tmp_path / "data", n=8)
    datasets = {
        name: load(name, DatasetSource(file=str(path)), tmp_path)
        for name, path in (("mmlu", files.mmlu), ("tooluse", files.tooluse))
    }
    tasks = {"mmlu": Task(scorer="multiple_choice_v1", dataset="mmlu")}
    return Stand(tmp_path, checkpoints={"base": base}, datasets=datasets, tasks=tasks)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_that_a_measured_training_ends_bitwise_like_an_unmeasured_one(stand: Stand) -> None:
    files, losses = [], []
    for name in ("alone", "measured"):
        stand.events.clear()
        context = stand.context(name)
        if name == "measured":
            context = replace(context, measure=Live(context, MEASURE))
        made = sdft.run(SPEC, stand.checkpoints["base"], context)
        files.append((made.path / "adapter_model.safetensors").read_bytes())
        losses.append([event.values["loss"] for event in stand.of(Metrics)])
    assert files[0] == files[1]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    assert [(e.stage, e.subject, e.step) for e in stand.of(TaskEvaluated)] == [
        ("measured", "measured", step) for step in (0, 2, 4)
    ]
    compared = stand.of(CkaMeasured)
    assert [(e.stage, e.subject, e.step) for e in compared] == [
        ("measured", "measured", step) for step in (0, 3)
    ]
    start = np.diagonal(np.array(compared[0].values).reshape(4, 4))
    np.testing.assert_allclose(start, 1.0, atol=1e-6)  # nothing trained yet
    assert compared[1].values != compared[0].values


LOOKS = {
    "per_sample": LiveCka(
        probe="tooluse", samples=5, every_steps=1, max_share=1, second_opinions=True
    ),
    "per_sequence": LiveCka(
        probe="tooluse",
        samples=4,
        every_steps=1,
        max_share=1,
        mode="per_sequence",
        second_opinions=True,
    ),
}
TRAININGS: dict[str, SdftSpec | SftSpec] = {
    "sdft, LoRA": SPEC,
    "sdft, LoRA, EMA teacher": SPEC.model_copy(update={"teacher": "ema"}),
    "sdft, all weights, EMA teacher": SPEC.model_copy(
        update={"teacher": "ema", "method": "full", "learning_rate": 1e-3}
    ),
    "sft, LoRA": SftSpec(
        id="back",
        dataset="tooluse",
        max_steps=4,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=1,
        max_completion_length=64,
        lora_r=4,
        lora_alpha=8,
        learning_rate=1e-2,
        save_steps=0,
    ),
}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("training", TRAININGS)
def test_that_a_look_at_every_step_changes_no_number_of_the_training(
    stand: Stand, training: str
) -> None:
    spec = TRAININGS[training]
    run: Any = sdft.run if isinstance(spec, SdftSpec) else sft.run
    files, numbers = [], []
    for name in ("alone", *LOOKS):
        stand.events.clear()
        context = stand.context(name)
        if name in LOOKS:
            settings = Measure(tasks=["mmlu"], every_steps=1, live_items=2, cka=LOOKS[name])
            context = replace(context, measure=Live(context, settings))
        made = run(spec, stand.checkpoints["base"], context)
        (file,) = made.path.glob("*.safetensors")
        files.append(file.read_bytes())
        numbers.append(
            [
                {key: it for key, it in event.values.items() if not key.endswith(MACHINE)}
                for event in stand.of(Metrics)
            ]
        )
        looks = stand.of(CkaMeasured)
        assert [event.step for event in looks] == ([0, 1, 2, 3, 4] if name in LOOKS else [])
        assert all(event.opinions and event.probe_kl is not None for event in looks)
        if looks:
            assert looks[0].probe_kl == pytest.approx(0, abs=1e-6)
            assert looks[-1].probe_kl > 1e-4
    assert files[0] == files[1] == files[2]
    assert numbers[0] == numbers[1] == numbers[2]
    assert len(numbers[0]) == 4
    assert {"loss", "grad_norm"} <= set(numbers[0][0])


def test_that_mode_gradients_and_random_states_are_as_before(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(stand.checkpoints["base"], CPU32).train()
    model.requires_grad_(True)
    model.model.layers[1].eval()
    model(input_ids=torch.arange(12)[None]).logits.square().mean().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    modes = [part.training for part in model.modules()]
    before = RandomState.capture()
    seen: list[bool] = []
    real = module.score_task

    def careless(net: Any, *args: Any, **kwargs: Any) -> None:
        seen.extend((net.training, torch.is_grad_enabled()))
        random.random()
        np.random.random()
        torch.rand(3)
        real(net, *args, **kwargs)

    monkeypatch.setattr(module, "score_task", careless)
    tokenizer = load_tokenizer(stand.checkpoints["base"])
    Live(stand.context("back"), MEASURE)(model, tokenizer, 6, 6)
    assert stand.of(TaskEvaluated)
    assert stand.of(CkaMeasured)
    assert seen == [False, False]
    assert [part.training for part in model.modules()] == modes
    assert torch.is_grad_enabled()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, gradients[name])
        assert torch.equal(parameter, weights[name])
    after = RandomState.capture()
    assert after.python == before.python
    assert torch.equal(after.torch, before.torch)
    assert np.array_equal(after.numpy[1], before.numpy[1])
    assert after.numpy[2] == before.numpy[2]


def test_that_everything_is_restored_after_a_stop_too(stand: Stand) -> None:
    model = load_model(stand.checkpoints["base"], CPU32).train()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    stand.stop = lambda: True
    with pytest.raises(StopRequested):
        Live(stand.context("back"), MEASURE)(model, load_tokenizer(stand.checkpoints["base"]), 0, 6)
    assert all(part.training for part in model.modules())
    assert torch.equal(torch.get_rng_state(), before)
    assert stand.events == []


def test_that_live_figures_equal_those_of_the_stages_on_the_same_weights(stand: Stand) -> None:
    base = stand.checkpoints["base"]
    whole = MEASURE.model_copy(update={"live_items": 100})
    Live(stand.context("back"), whole)(load_model(base, CPU32), load_tokenizer(base), 0, 6)
    evaluate.run(EvaluateSpec(id="e", tasks=["mmlu"]), base, stand.context("e"))
    cka.run(
        CkaSpec(id="c", probe="tooluse", samples=5, token="answer_mean"), base, stand.context("c")
    )
    one, two = stand.of(TaskEvaluated)
    assert (one.protocol, one.n, one.correct) == (two.protocol, two.n, two.correct)
    assert (one.checkpoint, two.checkpoint) == (None, base.identity)
    first, second = stand.of(CkaMeasured)
    assert first.values == second.values


def test_that_a_short_look_has_a_protocol_of_its_own(stand: Stand) -> None:
    base = stand.checkpoints["base"]
    measure = Live(stand.context("back"), MEASURE)
    measure(load_model(base, CPU32), load_tokenizer(base), 2, 6)
    evaluate.run(EvaluateSpec(id="e", tasks=["mmlu"]), base, stand.context("e"))
    look, whole = stand.of(TaskEvaluated)
    assert (look.n, whole.n) == (3, 8)
    assert look.protocol != whole.protocol
    assert {items.step for items in stand.of(ItemsEvaluated)} == {2, None}


def test_that_live_cka_keeps_within_its_budget_and_reading_the_reference_is_told_but_not_counted(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def passes(seconds: float) -> None:
        nonlocal now
        now += seconds

    real_measure, real_reference, real_score = (
        module.measure,
        module.reference_of,
        module.score_task,
    )

    def measure(*args: Any, **kwargs: Any) -> None:
        real_measure(*args, **kwargs)
        passes(3.0)

    def reference_of(*args: Any) -> Any:
        if reference._Kept.reference is None:
            passes(500.0)
        return real_reference(*args)

    def score_task(*args: Any, **kwargs: Any) -> None:
        real_score(*args, **kwargs)
        passes(70.0)

    monkeypatch.setattr(module, "measure", measure)
    monkeypatch.setattr(module, "reference_of", reference_of)
    monkeypatch.setattr(module, "score_task", score_task)
    base = stand.checkpoints["base"]
    settings = MEASURE.model_copy(
        update={"cka": LiveCka(probe="tooluse", samples=5, every_steps=3, max_share=0.25)}
    )
    look = Live(stand.context("back"), settings, clock=lambda: now)
    model, tokenizer = load_model(base, CPU32), load_tokenizer(base)
    for step in range(25):
        if step:
            passes(1.0)
        look(model, tokenizer, step, 24)
    assert [event.step for event in stand.of(CkaMeasured)] == [0, 18, 24]
    (warning,) = [it for it in stand.of(GuardWarning) if it.code == "probe_budget"]
    assert (warning.stage, warning.step) == ("back", 3)
    assert warning.values == {
        "every_steps": 3,
        "interval": 9,
        "next_step": 18,
        "measurement_seconds": 3.0,
        "step_seconds": 1.0,
        "reference_seconds": 500.0,
    }
    scored = [event.step for event in stand.of(TaskEvaluated)]
    assert scored == list(range(0, 25, 2))  # tasks are not part of the budget


def _recipe(measure: Measure) -> Recipe:
    return Recipe(name="r", base=ModelSource(folder="x"), measure=measure)


def test_that_nothing_asked_for_means_no_measurement(stand: Stand) -> None:
    context = stand.context("back")
    assert live(_recipe(Measure()), context) is None
    assert live(_recipe(Measure(tasks=["mmlu"])), context) is None
    silent = LiveCka(probe="tooluse", every_steps=0)
    assert live(_recipe(Measure(tasks=["mmlu"], cka=silent)), context) is None


def test_that_cka_waits_for_its_reference_to_exist(stand: Stand) -> None:
    base = stand.checkpoints["base"]
    absent = Measure(cka=LiveCka(probe="tooluse", reference="expert", samples=5))
    assert live(_recipe(absent), stand.context("expert")) is None
    both = absent.model_copy(update={"tasks": ["mmlu"], "every_steps": 1})
    measure = live(_recipe(both), stand.context("expert"))
    assert measure is not None
    measure(load_model(base, CPU32), load_tokenizer(base), 0, 6)
    assert len(stand.of(TaskEvaluated)) == 1
    assert stand.of(CkaMeasured) == []
    stand.checkpoints["expert"] = base
    later = live(_recipe(absent), stand.context("forgot"))
    assert later is not None
    later(load_model(base, CPU32), load_tokenizer(base), 0, 6)
    assert len(stand.of(CkaMeasured)) == 1
