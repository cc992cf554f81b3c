"""Whose completions a step learns from, how often, and what corrects for a student that has moved on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.data.chat import prompt_ids, teacher_messages
from core.distill.rollout import Rollout
from core.events import Metrics
from core.lm.generate import Generated
from core.lm.load import load_model, load_tokenizer
from core.recipe.training_specs import SdftSpec
from core.stages import sdft
from core.stages.distilling import Completion, Distiller
from core.stages.student import prepare
from core.stages.training_state import load_state
from tests.helpers.contexts import Stand
from tests.helpers.distilling import spec
from tests.helpers.tiny import CPU32, VOCAB, tiny_base
from tests.helpers.training import degraded, stand, weather

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    place = stand(tmp_path_factory.mktemp("rollouts"), count=8)
    place.datasets["more"] = replace(weather(8, demonstration="Use it for"), name="more")
    degraded(place)
    folder = place.folder / "checkpoints" / "external"
    place.checkpoints["external"] = tiny_base(folder, seed=3, vocabulary=VOCAB + 512)
    return place


@dataclass
class Sampled:
    """One call of `Rollout.sample`."""

    model: Any
    prompts: list[list[int]]
    answers: list[Generated]
    with_log_probs: bool


@dataclass
class Scored:
    """The completions of one step, as they were scored."""

    completions: list[Completion]
    sequences: int
    weights: Mapping[str, Tensor]  # the student's, saved after the step before; empty in the first


@dataclass
class Seen:
    """What a training did."""

    sampled: list[Sampled]
    scored: list[Scored]
    metrics: list[Metrics]
    spec: SdftSpec

    @property
    def ids(self) -> list[list[list[int]]]:
        """Of each step, the tokens of its completions."""
        return [[it.ids for it in scored.completions] for scored in self.scored]


Train = Callable[..., Seen]


@pytest.fixture
def train(world: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains the degraded checkpoint and tells what was sampled and scored."""
    sampled: list[Sampled] = []
    scored: list[Scored] = []
    sample: Callable[..., list[Generated]] = Rollout.sample
    score: Callable[..., Any] = Distiller.score

    def remembered(self: Any, model: Any, prompts: Any, *given: Any, **named: Any) -> Any:
        answers = sample(self, model, prompts, *given, **named)
        asked = bool(named.get("with_log_probs"))
        sampled.append(Sampled(model, [list(it) for it in prompts], answers, asked))
        return answers

    def looked_at(self: Any, completions: Any, sequences: int, *given: Any) -> Any:
        state = load_state(self._context.folder)
        weights = {} if state is None else dict(state.tensors)
        scored.append(Scored(list(completions), sequences, weights))
        return score(self, completions, sequences, *given)

    monkeypatch.setattr(Rollout, "sample", remembered)
    monkeypatch.setattr(Distiller, "score", looked_at)

    def run(name: str = "made", source: str = "degraded", **changes: Any) -> Seen:
        sampled.clear()
        scored.clear()
        place = replace(world, folder=tmp_path, events=[])
        settings = spec(
            **{"save_steps": 1, "held_out_items": 0, "num_loss_tokens_to_skip": 1, **changes}
        )
        sdft.run(settings, place.checkpoints[source], place.context(name))
        return Seen([*sampled], [*scored], place.of(Metrics), settings)

    return run


def prompts(world: Stand) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    """All prompts of the datasets, without and with the demonstration."""
    tokenizer = load_tokenizer(world.checkpoints["base"])
    examples = [it for name in ("weather", "more") for it in world.datasets[name].examples]
    return (
        {tuple(prompt_ids(tokenizer, it.messages)) for it in examples},
        {tuple(prompt_ids(tokenizer, teacher_messages(it))) for it in examples},
    )


def test_that_the_share_of_the_students_own_completions_is_lmbda(train: Train) -> None:
    found = train(lmbda=0.3, max_steps=6, gradient_accumulation_steps=16, max_completion_length=2)
    flags = [it.by_student for scored in found.scored for it in scored.completions]
    assert len(flags) == 6 * 32
    # Five standard deviations of a binomial: 0.165.
    assert np.mean(flags) == pytest.approx(0.3, abs=0.165)
    rates = [it.values["on_policy_rate"] for it in found.metrics]
    assert rates == [
        np.mean([it.by_student for it in scored.completions]) for scored in found.scored
    ]
    assert len(set(rates)) > 1  # prompts are drawn one by one, not steps


@pytest.mark.parametrize(("lmbda", "own"), [(0.0, False), (1.0, True)])
def test_that_the_ends_are_all_the_teachers_and_all_the_students(
    train: Train, lmbda: float, own: bool
) -> None:
    found = train(lmbda=lmbda)
    assert {it.by_student for scored in found.scored for it in scored.completions} == {own}
    assert ("on_policy_rate" in found.metrics[0].values) is not own


def test_that_a_teacher_that_samples_sees_the_demonstration_and_the_student_does_not(
    world: Stand, train: Train
) -> None:
    bare, shown = prompts(world)
    found = train(lmbda=0.5, dataset=["weather", "more"], max_steps=4)
    students = {tuple(it) for call in found.sampled if own(call) for it in call.prompts}
    teachers = {tuple(it) for call in found.sampled if not own(call) for it in call.prompts}
    assert students
    assert teachers
    assert students <= bare
    assert teachers <= shown
    for scored in found.scored:
        for it in scored.completions:  # whoever sampled: the student learns it after its own prompt
            assert tuple(it.shown.student) in bare
            assert tuple(it.shown.teacher) in shown


def own(call: Sampled) -> bool:
    """Whether the trained network sampled."""
    return any(parameter.requires_grad for parameter in call.model.parameters())


def test_that_a_teacher_samples_for_its_own_dataset(world: Stand, train: Train) -> None:
    teachers = ["base", "external"]
    found = train(lmbda=0.0, dataset=["weather", "more"], teacher=teachers, teacher_pool="routed")
    demonstrations = {
        name: {it.demonstration for it in world.datasets[name].examples}
        for name in ("weather", "more")
    }
    tokenizer = load_tokenizer(world.checkpoints["base"])
    for call in found.sampled:
        larger = call.model.config.vocab_size > VOCAB
        for prompt in call.prompts:
            text = str(tokenizer.decode(prompt))
            name = "more" if larger else "weather"
            assert any(it in text for it in demonstrations[name])
    assert {it.model.config.vocab_size for it in found.sampled} == {VOCAB, VOCAB + 512}


def test_that_several_teachers_take_turns_by_their_weights(train: Train) -> None:
    found = train(
        lmbda=0.0,
        teacher=["base", "degraded"],
        teacher_weights=[1.0, 9.0],
        max_steps=4,
        gradient_accumulation_steps=16,
        max_completion_length=2,
    )
    counts = {False: 0, True: 0}
    for call in found.sampled:
        counts[own(call)] += len(call.prompts)  # the degraded one is the student's own network
    assert sum(counts.values()) == 4 * 32
    # Five standard deviations of a binomial: 0.133.
    assert counts[True] / (4 * 32) == pytest.approx(0.9, abs=0.133)
    assert counts[False] > 0


@pytest.mark.parametrize(
    ("student", "teacher", "lmbda"),
    [("degraded", "external", 0.0), ("degraded", "external", 0.5), ("external", "base", 1.0)],
)
def test_that_nobody_says_what_a_smaller_vocabulary_cannot_read(
    train: Train, student: str, teacher: str, lmbda: float
) -> None:
    found = train(source=student, lmbda=lmbda, teacher=teacher, num_loss_tokens_to_skip=0)
    assert max(token for step in found.ids for ids in step for token in ids) < VOCAB
    assert all(np.isfinite(it.values["loss"]) for it in found.metrics)


def test_that_chance_repeats_itself(train: Train) -> None:
    changes = {"lmbda": 0.5, "num_generations": 2}
    first, second = train("first", **changes), train("second", **changes)
    assert first.ids == second.ids
    assert [it.values["loss"] for it in first.metrics] == [
        it.values["loss"] for it in second.metrics
    ]
    assert first.ids[0] != first.ids[1]


def test_that_the_completions_of_a_prompt_lie_together_and_the_mean_is_over_all(
    world: Stand, train: Train
) -> None:
    one = train("one", max_steps=1)
    three = train("three", max_steps=1, num_generations=3)

    (scored,) = three.scored
    assert scored.sequences == len(scored.completions) == 3 * len(one.scored[0].completions)
    for place, it in enumerate(scored.completions):
        assert it.shown is scored.completions[place - place % 3].shown
    assert three.ids[0][::3] == one.ids[0]
    groups = [three.ids[0][place : place + 3] for place in range(0, len(three.ids[0]), 3)]
    assert any(group[0] != group[1] for group in groups)
    assert three.metrics[0].values["loss"] == pytest.approx(dense_loss(world, three, 1), abs=1e-5)


def network(world: Stand, found: Seen, step: int) -> Any:
    """The student as it was before a step: opened anew, with the weights that were saved then."""
    context = replace(world, folder=world.folder / "again").context("made")
    model = prepare(found.spec, world.checkpoints["degraded"], context).model
    model.train(False)
    saved = found.scored[step - 1].weights
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if step > 1 and parameter.requires_grad:
                parameter.copy_(saved[f"weight.{name}"])
    return model


def log_p(model: Any, prompt: Sequence[int], ids: Sequence[int], temperature: float) -> Any:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0].double()
    return (logits[len(prompt) - 1 : -1] / temperature).log_softmax(-1).numpy()


def dense_loss(world: Stand, found: Seen, step: int) -> float:
    """The loss of a step from whole logits, with importance ratios against the student of the first step."""
    settings = found.spec
    teacher = load_model(world.checkpoints["base"], CPU32)
    before, now = network(world, found, 1), network(world, found, step)
    losses = []
    for it in found.scored[step - 1].completions:
        target = log_p(teacher, it.shown.teacher, it.ids, settings.temperature)
        student = log_p(now, it.shown.student, it.ids, settings.temperature)
        old = log_p(before, it.shown.student, it.ids, settings.temperature)
        places = np.arange(len(it.ids)), it.ids
        ratio = np.exp(student[places] - old[places])
        if settings.distillation_is_clip is None or not it.by_student:
            ratio = np.ones_like(ratio)
        else:
            ratio = np.minimum(ratio, settings.distillation_is_clip)
        kl = (np.exp(target) * (target - student)).sum(-1)
        kept = (ratio * kl)[settings.num_loss_tokens_to_skip :]
        losses.append(kept.mean() if len(kept) else 0.0)
    return float(np.mean(losses))


FAST = {"learning_rate": 0.05, "warmup_ratio": 0.0}
"""So that a student has moved by the next step."""


@pytest.mark.parametrize("clip", [1.05, 2.0, None])
@pytest.mark.parametrize("lmbda", [1.0, 0.5])
def test_that_steps_that_share_completions_equal_an_independent_computation(
    world: Stand, train: Train, clip: float | None, lmbda: float
) -> None:
    found = train(
        num_iterations=3,
        max_steps=6,
        distillation_is_clip=clip,
        lmbda=lmbda,
        temperature=0.8,
        **FAST,
    )

    assert found.ids[0] == found.ids[1] == found.ids[2]
    assert found.ids[3] == found.ids[4] == found.ids[5]
    assert found.ids[0] != found.ids[3]
    for step in (1, 2, 3):
        assert found.metrics[step - 1].values["loss"] == pytest.approx(
            dense_loss(world, found, step), rel=1e-4
        )


def test_that_the_ratio_is_one_where_the_student_sampled_itself_and_never_above_the_clip(
    train: Train,
) -> None:
    found = train(num_iterations=2, max_steps=4, distillation_is_clip=1.05, **FAST)

    ratios = [it.values["importance_ratio"] for it in found.metrics]
    largest = [it.values["largest_importance_ratio"] for it in found.metrics]
    assert ratios[0] == ratios[2] == 1
    assert ratios[1] != 1
    assert ratios[3] != 1
    assert largest[0] == largest[2] == 1
    assert largest[1] == largest[3] == pytest.approx(1.05)


def test_that_without_a_clip_the_ratio_is_free_of_it_only_where_it_is_larger(train: Train) -> None:
    narrow = train("narrow", num_iterations=2, max_steps=2, distillation_is_clip=1.05, **FAST)
    wide = train("wide", num_iterations=2, max_steps=2, distillation_is_clip=1000.0, **FAST)
    assert narrow.metrics[0].values["loss"] == wide.metrics[0].values["loss"]
    assert narrow.metrics[1].values["importance_ratio"] < wide.metrics[1].values["importance_ratio"]
    assert wide.metrics[1].values["largest_importance_ratio"] > 1.05


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, False),
        ({"num_generations": 2}, False),
        ({"num_iterations": 2, "max_steps": 2}, True),
        ({"num_iterations": 2, "max_steps": 2, "distillation_is_clip": None}, False),
        ({"teacher_cache_steps": 2, "distillation_topk": 8}, True),
        ({"teacher_cache_steps": 1, "distillation_topk": 8}, False),
    ],
)
def test_that_log_probabilities_are_asked_for_only_where_completions_grow_old(
    train: Train, changes: dict[str, Any], asked: bool
) -> None:
    found = train(**changes)
    assert {it.with_log_probs for it in found.sampled} == {asked}
    assert ("importance_ratio" in found.metrics[0].values) is asked
    fresh = [it.log_probs is None for it in found.scored[0].completions]
    assert all(fresh)
    later = [it.log_probs is None for it in found.scored[1].completions]
    assert any(later) is not asked


def test_that_log_probabilities_are_those_of_the_student_that_sampled(
    world: Stand, train: Train
) -> None:
    found = train(num_iterations=2, max_steps=2, temperature=0.7)
    student = network(world, found, 1)
    for it in found.scored[1].completions:
        expected = log_p(student, it.shown.student, it.ids, 0.7)[np.arange(len(it.ids)), it.ids]
        assert it.log_probs is not None
        np.testing.assert_allclose(it.log_probs, expected, atol=1e-4)
