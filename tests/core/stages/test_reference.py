"""What is read of the reference: which items, once, and within memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.analysis.cka import cka as value_of
from core.errors import StopRequested, UserError
from core.events import CkaMeasured, GuardWarning, Progress
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model
from core.recipe.sources import Task
from core.recipe.stage_specs import CkaSpec
from core.stages import cka, probe, reference
from tests.helpers.comparing import NAMES, World, make_world, measured, states_of, token_ids
from tests.helpers.contexts import Stand


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    reference.forget_reference()
    yield
    reference.forget_reference()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


def test_that_the_reference_is_read_once_for_equal_settings_and_again_for_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = load_model

    def counted(checkpoint: Checkpoint, compute: Any) -> Any:
        opened.append(checkpoint.kind)
        return real(checkpoint, compute)

    for module in (cka, reference):
        monkeypatch.setattr(module, "load_model", counted)
    first, one = measured(world)
    second, two = measured(world, layout="diagonal")
    assert opened == ["base", "quantize", "quantize"]
    assert second.values == pytest.approx(
        np.diagonal(np.array(first.values).reshape(4, 4)), nan_ok=True
    )
    assert {p.total for p in one.of(Progress)} == {24}
    assert {p.total for p in two.of(Progress)} == {12}
    for stand in (one, two):
        last = stand.of(Progress)[-1]
        assert (last.done, last.unit) == (last.total, "sample")
    measured(world, samples=6)
    measured(world, variant="biased", samples=6)
    assert opened[3:] == ["base", "quantize"] * 2


def test_that_a_stop_while_reading_leaves_nothing_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "BATCH_TOKENS", 1)
    stand = replace(world[0], events=[])
    stand.stop = lambda: True if len(stand.events) > 3 else None
    spec = CkaSpec(id="geometry", probe="probe")
    with pytest.raises(StopRequested):
        cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    stand.stop = lambda: None
    stand.events.clear()
    cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    (event,) = stand.of(CkaMeasured)
    assert event.n == 12


def _scoring(world: World, limit: int) -> Stand:
    """A recipe whose task scores the first items of a copy of the probe."""
    stand = world[0]
    copy = replace(stand.datasets["probe"], name="copy", fingerprint="e" * 64)
    task = Task(scorer="tooluse_official_v1", dataset="copy", limit=limit)
    return replace(
        stand, events=[], datasets={**stand.datasets, "copy": copy}, tasks={"tools": task}
    )


def test_that_items_which_a_task_scores_are_left_out_and_others_take_their_place(
    world: World,
) -> None:
    stand = _scoring(world, limit=4)
    spec = CkaSpec(id="geometry", probe="probe", samples=5, token="answer_mean", layout="diagonal")
    cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    (event,) = stand.of(CkaMeasured)
    assert event.n == 5
    (warning,) = stand.of(GuardWarning)
    assert (warning.code, warning.values) == ("probe_overlap", {"dropped": 4, "kept": 5})
    features: list[dict[str, list[NDArray[Any]]]] = []
    for checkpoint in (world[2], world[1]):
        kept: dict[str, list[NDArray[Any]]] = {name: [] for name in NAMES}
        for example in world[0].datasets["probe"].examples[4:9]:
            ids, prompt = token_ids(example, True)
            for name, states in states_of(checkpoint, ids).items():
                kept[name].append(states[prompt:].mean(0))
        features.append(kept)
    expected = [value_of(np.stack(features[0][a]), np.stack(features[1][a])) for a in NAMES]
    np.testing.assert_allclose(event.values, expected, atol=2e-4)


def test_that_scored_items_stay_where_a_person_wants_them_as_in_the_paper(
    world: World,
) -> None:
    stand = _scoring(world, limit=4)
    settings = {"samples": 5, "token": "answer_mean", "layout": "diagonal"}
    spec = CkaSpec(id="geometry", probe="probe", disjoint=False, **settings)
    cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    (event,) = stand.of(CkaMeasured)
    assert stand.of(GuardWarning) == []
    alone, _ = measured(world, **settings)
    assert event.values == alone.values


def test_that_the_reference_is_read_again_when_other_items_are_scored(
    world: World,
) -> None:
    spec = CkaSpec(id="geometry", probe="probe", samples=4, token="answer_mean", layout="diagonal")
    found = []
    for limit in (4, 6):
        stand = _scoring(world, limit)
        cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
        found.append(stand.of(CkaMeasured)[0].values)
    assert found[0] != found[1]


def test_that_a_probe_with_too_few_items_of_its_own_is_refused_with_what_to_do(
    world: World,
) -> None:
    stand = _scoring(world, limit=9)  # the eleventh item asks the same as the third
    spec = CkaSpec(id="geometry", probe="probe", samples=5)
    with pytest.raises(UserError, match="score 10 of the 12 items of probe probe; 2 are") as error:
        cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    assert "disjoint" in error.value.hint
    assert stand.of(CkaMeasured) == []


def test_that_sequences_that_do_not_fit_into_memory_are_refused_with_a_number_that_fits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = replace(world[0], events=[])
    free = type("Memory", (), {"available": 2**20})
    monkeypatch.setattr(reference.psutil, "virtual_memory", lambda: free)
    spec = CkaSpec(id="geometry", probe="probe", samples=8, mode="per_sequence")
    with pytest.raises(UserError, match="would keep") as error:
        cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    assert "per_sample" in error.value.hint
    assert stand.of(CkaMeasured) == []


@pytest.mark.parametrize("second_opinions", [False, True])
def test_that_samples_whose_states_do_not_fit_are_refused_with_a_number_that_does(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    second_opinions: bool,
) -> None:
    def needed(
        n: int,
    ) -> float:  # four layers of width 64: two Grams each, and one or two of states
        return 4 * 4 * (2 * n * n + (2 if second_opinions else 1) * n * 64)

    free = type("Memory", (), {"available": 2 * needed(8)})
    monkeypatch.setattr(reference.psutil, "virtual_memory", lambda: free)
    with pytest.raises(UserError, match="Per-sample CKA of 12 items") as error:
        measured(world, second_opinions=second_opinions)
    assert error.value.hint == "Set samples to about 8 or fewer."
    event, _ = measured(world, samples=8, second_opinions=second_opinions)
    assert event.n == 8


def test_that_the_memory_of_4096_samples_of_a_large_network_is_bounded_by_its_states() -> None:
    layers, width = 38, 2048
    states = 4096 * layers * width * 4
    assert reference._pooled_bytes(4096, layers, width, opinions=False) == 3 * states
    assert reference._pooled_bytes(507, layers, width, opinions=False) < 0.3 * states
