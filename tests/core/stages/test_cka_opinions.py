"""How sure a comparison is, and what other measures say of it, against plain computations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from core.analysis.cka import Variant, grams, kept_tokens
from core.analysis.cka import cka as value_of
from core.analysis.jackknife import interval
from core.analysis.second_opinions import opinions
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model
from core.stages import reference
from tests.helpers.comparing import NAMES, World, make_world, measured, pooled, states_of, token_ids
from tests.helpers.tiny import CPU32


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    reference.forget_reference()
    yield
    reference.forget_reference()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("layout", ["map", "diagonal"])
@pytest.mark.parametrize("variant", ["biased", "debiased"])
def test_that_every_layer_has_its_interval_over_samples(
    world: World, layout: str, variant: Variant
) -> None:
    event, _ = measured(world, token="answer_mean", layout=layout, variant=variant)
    examples = world[0].datasets["probe"].examples
    own, other = (grams(pooled(it, examples), variant=variant) for it in (world[2], world[1]))
    expected = interval(own, other)
    np.testing.assert_allclose(event.low, expected.low, atol=1e-3)
    np.testing.assert_allclose(event.high, expected.high, atol=1e-3)
    values = np.array(event.values)
    diagonal = np.diagonal(values.reshape(4, 4)) if layout == "map" else values
    assert (np.array(event.low) < diagonal)[1:].all()
    assert (np.array(event.high) > diagonal)[1:].all()


def test_that_the_interval_per_sequence_is_students_over_the_sequences(
    world: World,
) -> None:
    event, _ = measured(world, samples=6, mode="per_sequence", layout="diagonal")
    single = []
    for example in world[0].datasets["probe"].examples[:6]:
        ids, _ = token_ids(example, True)
        own, other = (states_of(checkpoint, ids) for checkpoint in (world[2], world[1]))
        kept = kept_tokens([*own.values(), *other.values()])
        single.append([value_of(own[name][kept], other[name][kept]) for name in NAMES])
    sequences = np.array(single)
    low, high = stats.t.interval(0.95, 5, loc=sequences.mean(0), scale=stats.sem(sequences))
    np.testing.assert_allclose(event.low, low, atol=5e-4)
    np.testing.assert_allclose(event.high, np.minimum(high, 1.0), atol=5e-4)


def _log_probs(checkpoint: Checkpoint, ids: list[int]) -> NDArray[np.float64]:
    """(T, V) by transformers' own logits, in float64."""
    model = load_model(checkpoint, CPU32)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    return logits.log_softmax(-1).numpy()


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    kl: NDArray[np.float64] = (np.exp(p) * (p - q)).sum(-1)
    return kl


@pytest.mark.parametrize("token", ["last_prompt", "answer_mean"])
def test_that_second_opinions_are_of_the_same_layers_and_kl_is_at_the_last_prompt_token(
    world: World, token: str
) -> None:
    event, _ = measured(world, token=token, second_opinions=True)
    plain, _ = measured(world, token=token)
    np.testing.assert_array_equal(event.values, plain.values)
    assert (plain.opinions, plain.probe_kl) == ({}, None)
    examples = world[0].datasets["probe"].examples
    if token == "answer_mean":
        expected = opinions(*(pooled(it, examples) for it in (world[2], world[1])))
        assert set(event.opinions) == set(expected) == {"procrustes", "mutual_knn", "rsa"}
        for name, values in expected.items():
            np.testing.assert_allclose(event.opinions[name], values, atol=1e-3)
    found = []
    for example in examples:
        ids, prompt = token_ids(example, False)
        own, other = (_log_probs(it, ids)[prompt - 1] for it in (world[2], world[1]))
        found.append(_kl(other, own))
    assert event.probe_kl == pytest.approx(np.mean(found), rel=1e-3)
    assert event.probe_kl > 0.01


def test_that_second_opinions_per_sequence_are_means_and_kl_is_at_every_kept_token_but_the_last(
    world: World,
) -> None:
    event, _ = measured(world, samples=5, mode="per_sequence", second_opinions=True)
    seconded: list[dict[str, NDArray[Any]]] = []
    found: list[float] = []
    for example in world[0].datasets["probe"].examples[:5]:
        ids, _ = token_ids(example, True)
        own, other = (states_of(it, ids) for it in (world[2], world[1]))
        kept = kept_tokens([*own.values(), *other.values()])
        pair = [{name: it[name][kept] for name in NAMES} for it in (own, other)]
        seconded.append(opinions(*pair))
        kept[-1] = False
        theirs, ours = (_log_probs(it, ids)[kept] for it in (world[1], world[2]))
        found.extend(_kl(theirs, ours))
    for name in seconded[0]:
        mean = np.mean([it[name] for it in seconded], axis=0)
        np.testing.assert_allclose(event.opinions[name], mean, atol=5e-3)
    assert event.probe_kl == pytest.approx(np.mean(found), rel=1e-3)


@pytest.mark.parametrize("mode", ["per_sample", "per_sequence"])
def test_that_the_reference_agrees_with_itself_in_every_opinion(world: World, mode: str) -> None:
    event, _ = measured(
        world, world[1], mode=mode, token="answer_mean", layout="diagonal", second_opinions=True
    )
    for values in event.opinions.values():
        np.testing.assert_allclose(values, 1.0, atol=1e-6)
    assert event.probe_kl == 0.0
    np.testing.assert_allclose(event.high, 1.0, atol=1e-6)
