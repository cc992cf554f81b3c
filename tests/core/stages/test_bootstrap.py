"""Off-policy distillation: both networks read the demonstration, and the tokens are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.data.chat import answer_ids, prompt_ids, teacher_messages
from core.distill.batch import Batch
from core.distill.rollout import Rollout
from core.events import Metrics, Progress
from core.lm.checkpoint import Checkpoint
from core.lm.generate import Generated
from core.lm.load import load_model, load_tokenizer
from core.recipe.training_specs import BootstrapSpec
from core.stages import bootstrap
from core.stages.distilling import Completion, Distiller
from tests.helpers.contexts import Stand
from tests.helpers.distilling import MEASURES
from tests.helpers.tiny import CPU32, VOCAB, tiny_base
from tests.helpers.training import degraded, stand, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SKIP, TEMPERATURE = 2, 0.8


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    place = stand(tmp_path_factory.mktemp("bootstrap"), count=6)
    degraded(place)
    folder = place.folder / "checkpoints" / "external"
    place.checkpoints["external"] = tiny_base(folder, seed=3, layers=3, vocabulary=VOCAB + 512)
    return place


def train(world: Stand, folder: Path, **changes: Any) -> tuple[Checkpoint, Stand]:
    settings: dict[str, Any] = {
        "id": "made",
        "dataset": "weather",
        "teacher": "base",
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 32,
        "num_loss_tokens_to_skip": SKIP,
        "temperature": TEMPERATURE,
        "learning_rate": 0.01,
        "lora_r": 8,
        "lora_alpha": 16,
    }
    place = replace(world, folder=folder, events=[])
    spec = BootstrapSpec(**{**settings, **changes})
    return bootstrap.run(spec, place.checkpoints["degraded"], place.context("made")), place


@dataclass
class Spied:
    """What networks read, and who was sampled."""

    scored: list[Completion]
    batches: list[Batch]
    sampled: list[tuple[Any, list[list[int]], list[Generated]]]


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Spied:
    found = Spied([], [], [])
    score: Callable[..., Any] = Distiller.score
    collated: Callable[..., Batch] = Distiller._collated
    sample: Callable[..., list[Generated]] = Rollout.sample

    def scores(self: Any, completions: Sequence[Completion], *given: Any) -> Any:
        found.scored.extend(completions)
        return score(self, completions, *given)

    def remembered(self: Any, *given: Any) -> Batch:
        found.batches.append(collated(self, *given))
        return found.batches[-1]

    def sampled(self: Any, model: Any, prompts: Any, *given: Any, **named: Any) -> Any:
        answers = sample(self, model, prompts, *given, **named)
        found.sampled.append((model, [list(it) for it in prompts], answers))
        return answers

    monkeypatch.setattr(Distiller, "score", scores)
    monkeypatch.setattr(Distiller, "_collated", remembered)
    monkeypatch.setattr(Rollout, "sample", sampled)
    return found


def expected(world: Stand) -> list[tuple[list[int], list[int]]]:
    """Of each item: the prompt with the demonstration, and the demonstration's tokens."""
    tokenizer = load_tokenizer(world.checkpoints["base"])
    return [
        (prompt_ids(tokenizer, teacher_messages(it)), answer_ids(tokenizer, it.demonstration))
        for it in world.datasets["weather"].examples
    ]


def test_that_both_networks_read_the_demonstration_and_learn_its_tokens(
    world: Stand, tmp_path: Path, spied: Spied
) -> None:
    train(world, tmp_path)

    pairs = expected(world)
    assert {(*it.shown.teacher, -1, *it.ids) for it in spied.scored} == {
        (*prompt, -1, *ids) for prompt, ids in pairs
    }
    whole = {(*prompt, *ids) for prompt, ids in pairs}
    # Teacher and student, in turn, of every micro-batch.
    for asked, learned in zip(spied.batches[::2], spied.batches[1::2], strict=True):
        assert torch.equal(asked.input_ids, learned.input_ids)
        for row, length in zip(asked.input_ids, asked.attention_mask.sum(-1), strict=True):
            assert tuple(row[:length].tolist()) in whole
    assert spied.sampled == []


def test_that_the_teachers_answers_are_sampled_once_and_never_change(
    world: Stand, tmp_path: Path, spied: Spied
) -> None:
    _, place = train(world, tmp_path, completions="teacher", max_steps=3, max_completion_length=8)

    prompts = [prompt for _, asked, _ in spied.sampled for prompt in asked]
    assert prompts == [prompt for prompt, _ in expected(world)]
    said = {tuple(it.ids) for _, _, answers in spied.sampled for it in answers}
    assert {tuple(it.ids) for it in spied.scored} == said
    assert not {it.by_student for it in spied.scored} - {False}
    assert len(spied.scored) > 2 * len(prompts)
    for model, _, _ in spied.sampled:
        assert not any(it.requires_grad for it in model.parameters())
    assert (6, 6) in [(it.done, it.total) for it in place.of(Progress) if it.unit == "item"]


@pytest.mark.parametrize("completions", ["demonstration", "teacher"])
def test_that_a_larger_vocabulary_is_cropped_and_never_said(
    world: Stand, tmp_path: Path, spied: Spied, completions: str
) -> None:
    made, place = train(
        world, tmp_path, teacher="external", completions=completions, max_completion_length=32
    )
    assert max(token for it in spied.scored for token in it.ids) < VOCAB
    loss = dense_loss(world, "external", spied.scored)
    assert place.of(Metrics)[0].values["loss"] == pytest.approx(loss, rel=1e-4)
    (teacher,) = made.facts["teachers"]
    assert teacher["identity"] == world.checkpoints["external"].identity
    assert teacher["network"] == "own"


def dense_loss(world: Stand, teacher: str, completions: Sequence[Completion]) -> float:
    """Forward KL from whole logits, cropped to the student's entries before the softmax."""
    networks = [load_model(world.checkpoints[name], CPU32) for name in ("degraded", teacher)]
    losses = []
    for it in completions:
        rows = []
        for network in networks:
            with torch.no_grad():
                ids = torch.tensor([[*it.shown.teacher, *it.ids]])
                logits = network(input_ids=ids).logits[0, :, :VOCAB].double()
            kept = logits[len(it.shown.teacher) - 1 : -1] / TEMPERATURE
            rows.append(kept.log_softmax(-1))
        log_q, log_p = rows
        kl = (log_p.exp() * (log_p - log_q)).sum(-1)[SKIP:]
        losses.append(float(kl.mean()) if len(kl) else 0.0)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("teacher", ["base", "degraded"])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_that_the_first_loss_equals_an_independent_dense_computation(
    world: Stand, tmp_path: Path, spied: Spied, teacher: str, method: str
) -> None:
    made, place = train(world, tmp_path, teacher=teacher, method=method)
    loss = dense_loss(world, teacher, spied.scored)
    (metrics,) = place.of(Metrics)
    assert metrics.values["loss"] == pytest.approx(loss, rel=1e-4, abs=1e-5)
    assert (loss > 0.01) is (teacher == "base")  # its own parent teaches it nothing yet
    (fact,) = made.facts["teachers"]
    shared = teacher == "degraded" and method == "lora"
    assert fact["network"] == ("parent" if shared else "own")


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("completions", ["demonstration", "teacher"])
def test_that_the_student_comes_to_predict_what_the_teacher_does(
    world: Stand, tmp_path: Path, method: str, completions: str
) -> None:
    before = weights(world.folder / "checkpoints" / "tiny")
    made, place = train(
        world,
        tmp_path,
        method=method,
        completions=completions,
        max_steps=12,
        max_completion_length=32 if completions == "demonstration" else 12,
        learning_rate=0.01 if method == "lora" else 0.002,
    )
    kl = [it.values["kl"] for it in place.of(Metrics)]
    assert kl[-1] < 0.5 * kl[0]
    assert weights(world.folder / "checkpoints" / "tiny") == before
    assert made.kind == "bootstrap"


@pytest.mark.parametrize("measure", [it for it in MEASURES if it not in ("kept", "mixture")])
def test_that_every_distance_is_lowered(world: Stand, tmp_path: Path, measure: str) -> None:
    changes = {**MEASURES[measure]}
    if measure == "clipped":
        changes["distillation_clip"] = 20.0
    _, place = train(world, tmp_path, max_steps=6, **changes)
    losses = [it.values["loss"] for it in place.of(Metrics)]
    assert losses[-1] < 0.8 * losses[0]
    values = place.of(Metrics)[0].values
    assert ("covered_mass" in values) is ("distillation_topk" in changes)
    assert ("clipped_rate" in values) is ("distillation_clip" in changes)
    assert "importance_ratio" not in values


def test_that_a_demonstration_longer_than_allowed_is_left_out(world: Stand, tmp_path: Path) -> None:
    lengths = sorted(len(ids) for _, ids in expected(world))
    made, _ = train(world, tmp_path, max_completion_length=lengths[2])
    assert made.facts["items"] == sum(length <= lengths[2] for length in lengths) < 6
