"""The cka stage: what is read, what is compared, and what is reported, against plain computations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analysis import streaming
from core.analysis.cka import cka as value_of
from core.analysis.cka import kept_tokens
from core.data.example import Dataset, Example, Message, ToolCall
from core.errors import UserError
from core.events import GuardWarning, Progress
from core.recipe.stage_specs import CkaSpec, PruneSpec
from core.stages import probe, prune, reference
from core.stages.probe import ground_truth, inputs_of
from tests.helpers.comparing import NAMES, World, make_world, measured, pooled, states_of, token_ids
from tests.helpers.tiny import tiny_tokenizer


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    reference.forget_reference()
    yield
    reference.forget_reference()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("token", ["last_prompt", "last", "answer_mean"])
def test_that_each_reading_takes_its_token_and_compares_every_pair_of_layers(
    world: World, token: str
) -> None:
    event, _ = measured(world, samples=7, token=token)
    features: list[dict[str, list[NDArray[Any]]]] = []
    for checkpoint in (world[2], world[1]):
        kept: dict[str, list[NDArray[Any]]] = {name: [] for name in NAMES}
        for example in world[0].datasets["probe"].examples[:7]:
            ids, prompt = token_ids(example, token != "last_prompt")
            for name, states in states_of(checkpoint, ids).items():
                part = states[prompt:].mean(0) if token == "answer_mean" else states[-1]
                kept[name].append(part)
        features.append(kept)
    expected = [
        [value_of(np.stack(features[0][a]), np.stack(features[1][b])) for b in NAMES] for a in NAMES
    ]
    assert event.rows == event.cols == NAMES
    found = np.array(event.values).reshape(4, 4)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert (event.n, event.layout, event.mode, event.token) == (7, "map", "per_sample", token)
    assert (event.subject, event.reference, event.step) == ("nf4", "base", None)
    # The last token is the same in all items, so before any attention nothing tells them apart.
    assert math.isnan(found[0, 0]) == (token != "answer_mean")
    assert 0.3 < found[1, 1] < 0.99999


def test_that_a_diagonal_is_the_maps_and_the_null_floor_belongs_to_it(
    world: World,
) -> None:
    whole, _ = measured(world, variant="biased", token="answer_mean")
    line, _ = measured(world, variant="biased", token="answer_mean", layout="diagonal")
    assert line.values == tuple(np.diagonal(np.array(whole.values).reshape(4, 4)))
    assert whole.null_floor == line.null_floor
    assert all(0 < floor < value for floor, value in zip(line.null_floor, line.values, strict=True))
    debiased, _ = measured(world, token="answer_mean", layout="diagonal")
    assert debiased.null_floor == (0.0,) * 4
    scaled, _ = measured(
        world, variant="biased", token="answer_mean", layout="diagonal", preprocessing="paper_5_4"
    )
    assert scaled.preprocessing == "paper_5_4"
    assert scaled.values != line.values


def test_that_the_reference_against_itself_is_one(
    world: World,
) -> None:
    for mode in ("per_sample", "per_sequence"):
        event, _ = measured(
            world, world[1], samples=5, mode=mode, layout="diagonal", token="answer_mean"
        )
        np.testing.assert_allclose(event.values, 1.0, atol=1e-6)


def test_that_a_pruned_model_is_compared_although_its_width_differs(
    world: World,
) -> None:
    stand, base, _ = world
    made = prune.run(PruneSpec(id="pruned", round_to=32), base, stand.context("pruned"))
    event, _ = measured(world, made, layout="diagonal", token="answer_mean")
    assert event.values[0] == pytest.approx(1.0)
    assert 0.1 < event.values[1] < 0.9999


@pytest.mark.parametrize("drop", [True, False])
def test_that_sequences_are_compared_token_by_token_without_their_sinks(
    world: World, drop: bool
) -> None:
    event, stand = measured(world, samples=5, mode="per_sequence", drop_sinks=drop)
    per_sequence, dropped = [], 0
    for example in world[0].datasets["probe"].examples[:5]:
        ids, _ = token_ids(example, True)
        own, other = (states_of(checkpoint, ids) for checkpoint in (world[2], world[1]))
        kept = np.ones(len(ids), dtype=bool)
        if drop:
            kept = kept_tokens([*own.values(), *other.values()])
        dropped += int((~kept).sum())
        per_sequence.append(
            [[value_of(own[a][kept], other[b][kept]) for b in NAMES] for a in NAMES]
        )
    stacked = np.array(per_sequence)
    found = np.array(event.values).reshape(4, 4)
    np.testing.assert_allclose(found, stacked.mean(0), atol=2e-4)
    low, high = np.percentile(stacked, [25, 75], axis=0)
    np.testing.assert_allclose(event.spread, np.diagonal(high - low), atol=2e-4)
    assert (event.n, event.mode, event.token) == (5, "per_sequence", "all")
    assert event.null_floor == (0.0,) * 4
    warnings = stand.of(GuardWarning)
    assert [warning.code for warning in warnings] == (["sink_tokens_dropped"] if drop else [])
    if drop:
        assert warnings[0].values["dropped"] == dropped >= 5


def test_that_batches_do_not_change_what_is_measured(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, _ = measured(world, token="answer_mean")
    reference.forget_reference()
    monkeypatch.setattr(probe, "BATCH_TOKENS", 1)
    alone, stand = measured(world, token="answer_mean")
    np.testing.assert_allclose(alone.values, together.values, atol=2e-4)
    assert len(stand.of(Progress)) > 24


def test_that_vectors_of_length_one_can_be_asked_for(
    world: World,
) -> None:
    event, _ = measured(
        world, token="answer_mean", layout="diagonal", preprocessing="row_normalise"
    )
    own, other = (pooled(it, world[0].datasets["probe"].examples) for it in (world[2], world[1]))
    unit = [
        {name: x / np.linalg.norm(x, axis=1, keepdims=True) for name, x in it.items()}
        for it in (own, other)
    ]
    expected = [value_of(unit[0][name], unit[1][name]) for name in NAMES]
    np.testing.assert_allclose(event.values, expected, atol=2e-4)
    assert event.preprocessing == "row_normalise"


def test_that_streaming_a_large_probe_changes_no_value(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = replace(  # more items than dimensions: else the Grams are the smaller of the two
        world[0].datasets["probe"],
        fingerprint="d" * 64,
        examples=tuple(
            Example(str(i), (Message("user", f"weather in {i} {i * 7 % 11}"),)) for i in range(80)
        ),
    )
    big = (replace(world[0], datasets={"probe": many}), *world[1:])
    kept, _ = measured(big, samples=80)
    reference.forget_reference()
    monkeypatch.setattr(streaming, "GRAM_BYTES", 1)
    made: list[str] = []
    real = streaming.streamed

    def streamed(*args: Any, **kwargs: Any) -> Any:
        made.append("streamed")
        return real(*args, **kwargs)

    monkeypatch.setattr(streaming, "streamed", streamed)
    let_go, _ = measured(big, samples=80)
    assert made == ["streamed"] * 2
    np.testing.assert_allclose(let_go.values, kept.values, atol=1e-5)
    np.testing.assert_allclose(let_go.low, kept.low, atol=1e-4)
    assert kept.n == let_go.n == 80


def _dataset(examples: list[Example]) -> Dataset:
    return Dataset("probe", "memory", "test", "f" * 64, tuple(examples))


def test_that_inputs_cover_each_item_once_and_in_batches_of_bounded_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "BATCH_TOKENS", 500)
    spec = CkaSpec(id="c", probe="probe", token="last")
    inputs = inputs_of(spec, world[0].datasets["probe"], tiny_tokenizer())
    batches = list(inputs.batches())
    assert [index for batch in batches for index in batch] == list(range(12))
    assert len(batches) > 2
    for batch in batches:
        width = max(len(inputs.sequences[index]) for index in batch)
        assert len(batch) == 1 or width * len(batch) <= 500


def test_that_too_few_items_or_items_without_answers_are_refused(
    world: World,
) -> None:
    ask = (Message("user", "hello"),)
    with pytest.raises(UserError, match="at least 4 probe items, and dataset probe gives 3"):
        inputs_of(
            CkaSpec(id="c", probe="probe"),
            _dataset([Example(str(i), ask) for i in range(3)]),
            tiny_tokenizer(),
        )
    silent = _dataset([Example(str(i), ask) for i in range(5)])
    with pytest.raises(UserError, match="Item 0 of dataset probe has no answer") as error:
        inputs_of(CkaSpec(id="c", probe="probe", token="last"), silent, tiny_tokenizer())
    assert "last_prompt" in error.value.hint


def test_that_the_ground_truth_is_the_demonstration_else_the_key() -> None:
    ask = (Message("user", "hello"),)
    call = ToolCall("f", "{}")
    assert ground_truth(Example("1", ask, demonstration="shown", gold="A")) == "shown"
    assert ground_truth(Example("1", ask, calls=(call,))) == "Action: f\nAction Input: {}"
    assert ground_truth(Example("1", ask, gold="B")) == "B"
    assert ground_truth(Example("1", ask, choices=("x", "y"), gold_choice=1)) == "B"
    assert ground_truth(Example("1", ask)) == ""
