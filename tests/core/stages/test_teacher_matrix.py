"""Every teacher with every student that may have it (methods.md A3): who scores is who was named.

What the teacher says in a real training is compared with networks opened here on their own, at the very tokens
of the student's completions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.chat import answer_ids, prompt_ids
from core.distill.batch import Batch
from core.distill.taught import TeacherTokens
from core.errors import UserError
from core.events import Metrics
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model, load_tokenizer
from core.recipe.stage_specs import PruneSpec, QuantizeSpec
from core.recipe.training_specs import BootstrapSpec, SdftSpec
from core.recipe.validate import check, parse
from core.stages import bootstrap, prune, quantize, sdft
from core.stages.distilling import Completion, Distiller, Shown
from core.stages.student import prepare
from core.stages.training_state import load_state
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32, ROUND_TO, VOCAB, tiny_base
from tests.helpers.training import degraded, stand, weather

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

LogP = NDArray[np.float64]  # (tokens, V)

STUDENTS = {
    "lora": ("degraded", "lora"),
    "lora on pruned": ("pruned", "lora"),
    "qlora": ("nf4", "lora"),
    "qlora on pruned": ("pruned_nf4", "lora"),
    "full": ("degraded", "full"),
    "full on pruned": ("pruned", "full"),
}
"""Student -> the checkpoint it starts from, and how it is trained."""

STEPS, SKIP, TEMPERATURE, RATE = 2, 1, 0.8, 0.3
DATA = ("few", "more")


@dataclass
class World:
    """Checkpoints that all tests read, and their networks, opened apart from any training."""

    place: Stand
    networks: dict[str, Any]

    def __call__(self, name: str, prompt: Sequence[int], ids: Sequence[int]) -> LogP:
        """What a checkpoint's network says at the tokens of a completion."""
        return spoken(self.networks[name], prompt, ids)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    place = stand(tmp_path_factory.mktemp("matrix"))
    place.datasets = {
        "few": replace(weather(2), name="few"),
        "more": replace(weather(4, demonstration="Use getWeather for"), name="more"),
    }
    base = place.checkpoints["base"]
    degraded(place, "degraded")
    degraded(place, "expert", seed=6)
    cut = PruneSpec(id="pruned", ratio=0.1, round_to=ROUND_TO)
    place.checkpoints["pruned"] = prune.run(cut, base, place.context("pruned"))
    for source, name in (("base", "nf4"), ("pruned", "pruned_nf4")):
        place.checkpoints[name] = quantize.run(
            QuantizeSpec(id=name), place.checkpoints[source], place.context(name)
        )
    folder = place.folder / "checkpoints" / "external"
    place.checkpoints["external"] = tiny_base(folder, seed=3, layers=3, vocabulary=VOCAB + 64)
    networks = {name: load_model(it, CPU32) for name, it in place.checkpoints.items()}
    return World(place, networks)


def spoken(network: Any, prompt: Sequence[int], ids: Sequence[int]) -> LogP:
    """Log-probabilities (tokens, VOCAB) at a completion, from whole logits, cropped before the softmax."""
    with torch.no_grad():
        logits = network(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, :, :VOCAB]
    return normalised(logits[len(prompt) - 1 : -1].double().numpy() / TEMPERATURE)


def normalised(scores: LogP) -> LogP:
    return scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True)


@dataclass
class Asked:
    """One micro-batch as the teacher was asked about it."""

    step: int
    completions: Sequence[Completion]
    said: list[LogP]  # of each completion
    trained: Mapping[str, Tensor]  # the student's float32 weights then, from its saved state


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """All that teachers are asked in this test, one step after the other."""
    found: list[Asked] = []
    real: Callable[..., tuple[TeacherTokens, Batch]] = Distiller.ask

    def ask(
        self: Any, route: int | None, part: Sequence[Completion]
    ) -> tuple[TeacherTokens, Batch]:
        taught, batch = real(self, route, part)
        rows = torch.arange(batch.completion.numel())
        log_p = taught.log_probabilities(rows, VOCAB, TEMPERATURE).double().numpy()
        by_row = log_p.reshape(*batch.completion.shape, VOCAB).copy()
        said = [by_row[row, : len(it.ids)] for row, it in enumerate(part)]
        state = load_state(self._context.folder)
        found.append(
            Asked(
                1 if state is None else state.step + 1,
                part,
                said,
                {} if state is None else dict(state.tensors),
            )
        )
        return taught, batch

    monkeypatch.setattr(Distiller, "ask", ask)
    return found


@dataclass
class Trained:
    """What one training of the matrix left."""

    spec: SdftSpec
    source: Checkpoint
    made: Checkpoint
    metrics: list[Metrics]
    place: Stand


def trained(world: World, folder: Path, student: str, **changes: Any) -> Trained:
    """A short training of one student; its state is saved after every step."""
    source, method = STUDENTS[student]
    place = replace(world.place, folder=folder, events=[])
    settings: dict[str, Any] = {
        "id": "made",
        "dataset": list(DATA),
        "max_steps": STEPS,
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 6,
        "num_loss_tokens_to_skip": SKIP,
        "temperature": TEMPERATURE,
        "learning_rate": 0.02 if method == "lora" else 0.005,
        "lora_r": 4,
        "lora_alpha": 8,
        "method": method,
        "save_steps": 1,
        "teacher_update_rate": RATE,
    }
    spec = SdftSpec(**{**settings, **changes})
    made = sdft.run(spec, place.checkpoints[source], place.context("made"))
    metrics = place.of(Metrics)
    assert [it.step for it in metrics] == list(range(1, STEPS + 1))
    assert all(it.values["grad_norm"] > 0 for it in metrics)
    return Trained(spec, place.checkpoints[source], made, metrics, place)


def compare(asked: Sequence[Asked], expected: Callable[[Completion], LogP]) -> None:
    """Every completion of every step was scored as `expected` says."""
    assert {it.step for it in asked} == set(range(1, STEPS + 1))
    for it in asked:
        for completion, said in zip(it.completions, it.said, strict=True):
            np.testing.assert_allclose(said, expected(completion), atol=2e-4, rtol=0)


def first_loss(
    world: World, source: str, asked: Sequence[Asked], expected: Callable[[Completion], LogP]
) -> float:
    """The loss of step 1, whose student still is its parent: mean over sequences of the mean over tokens."""
    losses = []
    for completion in (it for seen in asked if seen.step == 1 for it in seen.completions):
        log_p = expected(completion)
        log_q = world(source, completion.shown.student, completion.ids)
        kl = (np.exp(log_p) * (log_p - log_q)).sum(-1)[SKIP:]
        losses.append(kl.mean() if len(kl) else 0.0)
    return float(np.mean(losses))


def alone(world: World, name: str) -> Callable[[Completion], LogP]:
    return lambda it: world(name, it.shown.teacher, it.ids)


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("teacher", ["base", "from", "expert", "external"])
def test_that_a_frozen_teacher_is_the_checkpoint_that_was_named(
    world: World, tmp_path: Path, asked: list[Asked], student: str, teacher: str
) -> None:
    source, method = STUDENTS[student]
    name = source if teacher == "from" else teacher

    found = trained(world, tmp_path, student, teacher=name)

    compare(asked, alone(world, name))
    loss = first_loss(world, source, asked, alone(world, name))
    assert found.metrics[0].values["loss"] == pytest.approx(loss, abs=1e-4)
    checkpoint = world.place.checkpoints[name]
    (fact,) = found.made.facts["teachers"]
    assert fact["identity"] == checkpoint.identity
    assert fact["storage"] == checkpoint.storage
    # Only the student's own parent may be its network without the adapter.
    shared = teacher == "from" and method == "lora"
    assert fact["network"] == ("parent" if shared else "own")
    if teacher != "from":
        completion = asked[0].completions[0]
        parent = world(source, completion.shown.teacher, completion.ids)
        assert np.abs(asked[0].said[0] - parent).max() > 0.01


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("teacher", ["live", "ema"])
def test_that_a_teacher_that_follows_is_the_student_or_its_average(
    world: World, tmp_path: Path, asked: list[Asked], student: str, teacher: str
) -> None:
    found = trained(world, tmp_path, student, teacher=teacher)

    place = replace(world.place, folder=tmp_path / "again", events=[])
    network = prepare(found.spec, found.source, place.context("made")).model
    network.train(False)
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    start = {name: p.detach().clone() for name, p in parameters.items()}
    assert {it.step for it in asked} == {1, 2}
    for it in asked:
        for name, parameter in parameters.items():
            then = start[name] if it.step == 1 else it.trained[f"weight.{name}"]
            with torch.no_grad():
                if teacher == "ema":  # after one update
                    parameter.copy_((1 - RATE) * start[name] + RATE * then)
                else:
                    parameter.copy_(then)
        for completion, said in zip(it.completions, it.said, strict=True):
            expected = spoken(network, completion.shown.teacher, completion.ids)
            np.testing.assert_allclose(said, expected, atol=2e-4, rtol=0)
    # The step had moved the student, and so its teacher.
    last = next(it for it in asked if it.step == 2)
    completion = last.completions[0]
    before = world(STUDENTS[student][0], completion.shown.teacher, completion.ids)
    assert np.abs(last.said[0] - before).max() > 0.002
    assert found.made.facts["teachers"] == [{"name": teacher, "network": teacher}]


PAIR = ["base", "expert"]


def likelihoods(world: World, completion: Completion) -> list[float]:
    """Mean log-likelihood of the demonstration under each of the pair, who are not shown it."""
    tokenizer = load_tokenizer(world.place.checkpoints["base"])
    example = completion.shown.example
    prompt = prompt_ids(tokenizer, example.messages)
    answer = answer_ids(tokenizer, example.demonstration)
    found = []
    for name in PAIR:
        with torch.no_grad():
            logits = world.networks[name](input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        log_p = normalised(logits[len(prompt) - 1 : -1].double().numpy())
        found.append(float(log_p[np.arange(len(answer)), answer].mean()))
    return found


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("kind", ["linear", "log_linear", "routed", "likelihood"])
def test_that_several_teachers_are_the_mixture_that_was_asked_for(
    world: World, tmp_path: Path, asked: list[Asked], student: str, kind: str
) -> None:
    settings: dict[str, dict[str, Any]] = {
        "linear": {"teacher_weights": [1.0, 3.0]},
        "log_linear": {"teacher_pool": "log_linear", "teacher_weights": [1.0, 3.0]},
        "routed": {"teacher_pool": "routed"},
        "likelihood": {"teacher_weighting": "likelihood"},
    }

    def expected(completion: Completion) -> LogP:
        both = np.stack([world(name, completion.shown.teacher, completion.ids) for name in PAIR])
        if kind == "routed":
            mine: LogP = both[completion.shown.dataset]
            return mine
        shares = np.array([0.25, 0.75])
        if kind == "likelihood":
            shares = np.exp(normalised(np.array(likelihoods(world, completion))))
        if kind == "log_linear":
            return normalised((shares[:, None, None] * both).sum(0))
        mixed: LogP = np.log((shares[:, None, None] * np.exp(both)).sum(0))
        return mixed

    found = trained(world, tmp_path, student, teacher=PAIR, **settings[kind])

    compare(asked, expected)
    loss = first_loss(world, STUDENTS[student][0], asked, expected)
    assert found.metrics[0].values["loss"] == pytest.approx(loss, abs=1e-4)
    assert [it["name"] for it in found.made.facts["teachers"]] == PAIR
    if kind == "routed":
        routes = {it.shown.dataset for seen in asked for it in seen.completions}
        assert routes == {0, 1}
        assert all(len({it.shown.dataset for it in seen.completions}) == 1 for seen in asked)


def test_that_likelihood_tells_the_teachers_apart(world: World) -> None:
    for example in world.place.datasets["few"].examples:
        first, second = likelihoods(world, Completion(Shown(example, [], []), [], True))
        assert abs(first - second) > 0.01


@pytest.mark.parametrize("student", STUDENTS)
@pytest.mark.parametrize("teacher", ["base", PAIR])
def test_that_a_teacher_whose_scores_are_kept_teaches_what_a_loaded_one_does(
    world: World, tmp_path: Path, student: str, teacher: str | list[str]
) -> None:
    top: dict[str, Any] = {"teacher": teacher, "distillation_topk": 20}

    loaded = trained(world, tmp_path / "loaded", student, **top)
    kept = trained(world, tmp_path / "kept", student, **top, teacher_cache_steps=STEPS)

    for name in ("loss", "grad_norm", "covered_mass", "completion_length"):
        once, ahead = loaded.metrics[0].values[name], kept.metrics[0].values[name]
        assert ahead == pytest.approx(once, rel=1e-5)
    # In step 2 the one samples anew, the other learns from what was sampled before step 1.
    assert kept.metrics[1].values["loss"] != loaded.metrics[1].values["loss"]
    assert kept.metrics[1].values["importance_ratio"] != 1
    assert kept.made.facts["teachers"] == loaded.made.facts["teachers"]


def test_that_more_kept_tokens_than_there_are_is_the_whole_vocabulary(
    world: World, tmp_path: Path
) -> None:
    whole = trained(world, tmp_path / "whole", "lora")
    kept = trained(
        world, tmp_path / "kept", "lora", distillation_topk=VOCAB + 1, teacher_cache_steps=STEPS
    )
    for name in ("loss", "kl"):
        assert kept.metrics[0].values[name] == pytest.approx(
            whole.metrics[0].values[name], rel=1e-5
        )


STAGES: dict[str, Any] = {
    "sdft": sdft.run,
    "bootstrap": bootstrap.run,
}


@pytest.mark.parametrize("kind", STAGES)
def test_that_a_teacher_with_another_tokenizer_is_refused_before_any_step(
    world: World, tmp_path: Path, kind: str
) -> None:
    place = replace(world.place, folder=tmp_path, events=[])
    place.checkpoints = {**place.checkpoints, "foreign": tiny_base(tmp_path / "foreign")}
    folder = tmp_path / "foreign" / "tiny"
    tokenizer = load_tokenizer(place.checkpoints["foreign"])
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    kinds: dict[str, Any] = {"sdft": SdftSpec, "bootstrap": BootstrapSpec}
    spec = kinds[kind](id="made", dataset="few", teacher="foreign", max_steps=1)

    with pytest.raises(UserError, match="foreign and the student of stage made number") as caught:
        STAGES[kind](spec, place.checkpoints["degraded"], place.context("made"))

    assert "same tokenizer" in caught.value.hint
    assert place.events == []


NF4 = {"kind": "quantize", "id": "nf4"}
CUT = {"kind": "prune", "id": "cut"}


def recipe(*stages: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    data = {name: {"file": f"{name}.jsonl"} for name in DATA}
    return {
        "name": "A",
        "base": {"name": "rekindle-1m"},
        "datasets": data,
        "stages": [*stages],
        **more,
    }


def stage(kind: str = "sdft", **changes: Any) -> dict[str, Any]:
    own = {"teacher": "base"} if kind == "bootstrap" else {}
    return {"kind": kind, "id": "back", "dataset": "few", **own, **changes}


CACHED: dict[str, Any] = {"teacher_cache_steps": 4, "distillation_topk": 100}

FORBIDDEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "full training of packed weights": (
        recipe(NF4, stage(method="full")),
        "stages.1.method",
        "packed by nf4, and packed weights cannot be trained",
    ),
    "full training of pruned and packed weights": (
        recipe(CUT, NF4, stage("bootstrap", method="full")),
        "stages.2.method",
        "packed by nf4, and packed weights cannot be trained",
    ),
    "full training over an adapter on packed weights": (
        recipe(NF4, stage("sft", id="first"), stage("sft", method="full")),
        "stages.2.method",
        "packed by nf4, and packed weights cannot be trained",
    ),
    "two weights for one teacher": (
        recipe(stage(teacher_weights=[1, 2])),
        "stages.0.teacher_weights",
        "There are 1 teachers and 2 weights",
    ),
    "one weight for two teachers": (
        recipe(NF4, stage(teacher=["base", "nf4"], teacher_weights=[1])),
        "stages.1.teacher_weights",
        "There are 2 teachers and 1 weights",
    ),
    "a weight of zero": (
        recipe(NF4, stage(teacher=["base", "nf4"], teacher_weights=[1, 0])),
        "stages.1.teacher_weights",
        "not above zero",
    ),
    "weights that are given and computed": (
        recipe(
            NF4,
            stage(teacher=["base", "nf4"], teacher_weights=[1, 1], teacher_weighting="likelihood"),
        ),
        "stages.1.teacher_weights",
        "also to follow from the demonstrations",
    ),
    "a teacher named twice": (
        recipe(NF4, stage(teacher=["base", "nf4", "base"])),
        "stages.1.teacher.2",
        "base is named twice",
    ),
    "no teacher": (recipe(stage(teacher=[])), "stages.0.teacher", "There is no teacher"),
    "more teachers than datasets": (
        recipe(NF4, stage(teacher=["base", "nf4"], teacher_pool="routed")),
        "stages.1.teacher",
        "2 teachers for 1 datasets",
    ),
    "fewer teachers than datasets": (
        recipe(stage(dataset=list(DATA), teacher_pool="routed")),
        "stages.0.teacher",
        "1 teachers for 2 datasets",
    ),
    "keeping scores over the whole vocabulary": (
        recipe(stage(teacher_cache_steps=4)),
        "stages.0.teacher_cache_steps",
        "forward KL over them alone",
    ),
    "keeping scores for reverse KL": (
        recipe(stage(**CACHED, divergence="reverse_kl")),
        "stages.0.teacher_cache_steps",
        "forward KL over them alone",
    ),
    "keeping scores for a JSD": (
        recipe(stage(**CACHED, divergence="jsd")),
        "stages.0.teacher_cache_steps",
        "forward KL over them alone",
    ),
    "keeping scores for part of an iteration": (
        recipe(stage(**CACHED, num_iterations=3)),
        "stages.0.teacher_cache_steps",
        "4 steps are no multiple of the 3",
    ),
    "part of an iteration at the end": (
        recipe(stage(max_steps=5, num_iterations=2)),
        "stages.0.max_steps",
        "5 steps are no multiple of the 2",
    ),
    "an unknown teacher": (
        recipe(stage(teacher="expert")),
        "stages.0.teacher",
        "No earlier stage is called expert",
    ),
    "an unknown teacher among several": (
        recipe(stage(teacher=["base", "expert"])),
        "stages.0.teacher.1",
        "No earlier stage is called expert",
    ),
}
for name, who in (("live", "the student itself"), ("ema", "running average")):
    for kind in ("sft", "bootstrap"):
        FORBIDDEN[f"{name} in {kind}"] = (
            recipe(stage(kind, teacher=name)),
            "stages.0.teacher",
            f"{who}, who cannot teach in a stage of kind {kind}",
        )
    FORBIDDEN[f"keeping the scores of {name}"] = (
        recipe(stage(teacher=name, **CACHED)),
        "stages.0.teacher_cache_steps",
        f"{name} follows the student",
    )
    FORBIDDEN[f"keeping the scores of {name} among others"] = (
        recipe(stage(teacher=["base", name], **CACHED)),
        "stages.0.teacher_cache_steps",
        f"{name} follows the student",
    )
for name, who in (
    ("base", "the base model"),
    ("live", "the student itself"),
    ("ema", "the student's running average"),
):
    FORBIDDEN[f"a stage called {name}"] = (
        recipe(stage(id=name)),
        "stages.0.id",
        f"The id {name} is taken by {who}",
    )
    FORBIDDEN[f"a model called {name}"] = (
        recipe(stage(), models={name: {"folder": "x"}}),
        f"models.{name}",
        f"The name {name} is taken by {who}",
    )
FORBIDDEN["a stage called like a model"] = (
    recipe(stage(id="large"), models={"large": {"folder": "x"}}),
    "stages.0.id",
    "taken by the model large",
)
for kind in ("sft", "bootstrap", "sdft"):
    FORBIDDEN[f"measuring no held-out items in {kind}"] = (
        recipe(stage(kind, eval_steps=5, held_out_items=0)),
        "stages.0.held_out_items",
        "no items are held out",
    )
    FORBIDDEN[f"patience without measurements in {kind}"] = (
        recipe(stage(kind, early_stopping_patience=2)),
        "stages.0.eval_steps",
        "never measured",
    )


@pytest.mark.parametrize("case", FORBIDDEN)
def test_that_what_cannot_be_is_refused_at_its_field_with_the_reason(case: str) -> None:
    raw, path, reason = FORBIDDEN[case]
    parsed, wrong = parse(raw)
    assert parsed is not None, wrong
    problems = check(parsed)
    assert [it.path for it in problems] == [path]
    assert reason in problems[0].message
    assert problems[0].hint


@pytest.mark.parametrize("kind", ["sft", "bootstrap", "sdft"])
@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{question} and no more", "{demonstration} has to stand in it once"),
        ("{demonstration} and no more", "{question} has to stand in it once"),
        ("{question} {demonstration} {question}", "2 times"),
    ],
)
def test_that_a_template_without_its_places_is_refused(
    kind: str, template: str, reason: str
) -> None:
    parsed, problems = parse(recipe(stage(kind, teacher_template=template)))
    assert parsed is None
    assert [it.path for it in problems] == ["stages.0.teacher_template"]
    assert reason in problems[0].message


ALLOWED = {
    "any frozen teacher of a packed student": recipe(NF4, stage(teacher="base")),
    "a packed student's own parent": recipe(NF4, stage(teacher="nf4")),
    "an average over a packed student": recipe(NF4, stage(teacher="ema")),
    "a packed student that teaches itself": recipe(NF4, stage(teacher="live")),
    "full training of pruned weights": recipe(CUT, stage(method="full", teacher="ema")),
    "a model of the recipe": recipe(stage(teacher="large"), models={"large": {"folder": "x"}}),
    "the same teacher for two datasets": recipe(
        stage(dataset=list(DATA), teacher=["base", "base"], teacher_pool="routed")
    ),
    "kept scores of several teachers": recipe(NF4, stage(teacher=["base", "nf4"], **CACHED)),
    "kept scores of several iterations": recipe(stage(**CACHED, num_iterations=2)),
    "live beside base": recipe(stage(teacher=["base", "live", "ema"])),
    "patience with measurements": recipe(stage(eval_steps=5, early_stopping_patience=2)),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_that_what_can_be_is_allowed(case: str) -> None:
    parsed, wrong = parse(ALLOWED[case])
    assert parsed is not None, wrong
    assert check(parsed) == []
