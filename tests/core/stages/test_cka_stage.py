"""The cka stage: what is read, what is compared, and what is reported, against plain computations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.analysis.cka import cka as value_of
from core.analysis.cka import kept_tokens
from core.data.chat import answer_ids, prompt_ids
from core.data.example import Dataset, Example, Message, ToolCall
from core.data.load import load
from core.errors import StopRequested, UserError
from core.events import CkaMeasured, GuardWarning, Progress
from core.lm.checkpoint import Checkpoint
from core.lm.load import load_model
from core.recipe.sources import DatasetSource, Task
from core.recipe.stage_specs import CkaSpec, PruneSpec, QuantizeSpec
from core.stages import cka, probe, prune, quantize
from core.stages.probe import ground_truth, inputs_of
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32, tiny_base, tiny_tokenizer, write_datasets

NAMES = ("embeddings", "block_0", "block_1", "final_norm")


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    cka.forget_reference()
    yield
    cka.forget_reference()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stand, Checkpoint, Checkpoint]:
    """A base, its quantized checkpoint, and a probe of tool-use items."""
    folder = tmp_path_factory.mktemp("world")
    base = tiny_base(folder / "checkpoints")
    files = write_datasets(folder / "data")
    dataset = load("probe", DatasetSource(file=str(files.tooluse)), folder)
    stand = Stand(folder, checkpoints={"base": base}, datasets={"probe": dataset})
    made = quantize.run(QuantizeSpec(id="nf4"), base, stand.context("nf4"))
    return stand, base, made


def _measured(
    world: tuple[Stand, Checkpoint, Checkpoint], subject: Checkpoint | None = None, **settings: Any
) -> tuple[CkaMeasured, Stand]:
    stand = replace(world[0], events=[])
    spec = CkaSpec(id="geometry", probe="probe", **settings)
    subject = subject or world[2]
    assert cka.run(spec, subject, stand.context("geometry", subject="nf4")) is subject
    (event,) = stand.of(CkaMeasured)
    return event, stand


def _states(checkpoint: Checkpoint, ids: list[int]) -> dict[str, NDArray[Any]]:
    """All positions of one unpadded sequence, by hooks of our own and transformers' own output."""
    model = load_model(checkpoint, CPU32)
    blocks: dict[str, torch.Tensor] = {}
    for index, layer in enumerate(model.model.layers):
        layer.register_forward_hook(
            lambda _, __, out, index=index: blocks.__setitem__(
                f"block_{index}", out[0] if isinstance(out, tuple) else out
            )
        )
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    named = {"embeddings": hidden[0], **blocks, "final_norm": hidden[-1]}
    return {name: state.reshape(len(ids), -1).numpy() for name, state in named.items()}


def _ids(example: Example, answer: bool) -> tuple[list[int], int]:
    tokenizer = tiny_tokenizer()
    prompt = prompt_ids(tokenizer, example.messages)
    return [*prompt, *(answer_ids(tokenizer, example.demonstration) if answer else [])], len(prompt)


@pytest.mark.parametrize("token", ["last_prompt", "last", "answer_mean"])
def test_that_each_reading_takes_its_token_and_compares_every_pair_of_layers(
    world: tuple[Stand, Checkpoint, Checkpoint], token: str
) -> None:
    event, _ = _measured(world, samples=7, token=token)
    features: list[dict[str, list[NDArray[Any]]]] = []
    for checkpoint in (world[2], world[1]):
        kept: dict[str, list[NDArray[Any]]] = {name: [] for name in NAMES}
        for example in world[0].datasets["probe"].examples[:7]:
            ids, prompt = _ids(example, token != "last_prompt")
            for name, states in _states(checkpoint, ids).items():
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
    world: tuple[Stand, Checkpoint, Checkpoint],
) -> None:
    whole, _ = _measured(world, variant="biased", token="answer_mean")
    line, _ = _measured(world, variant="biased", token="answer_mean", layout="diagonal")
    assert line.values == tuple(np.diagonal(np.array(whole.values).reshape(4, 4)))
    assert whole.null_floor == line.null_floor
    assert all(0 < floor < value for floor, value in zip(line.null_floor, line.values, strict=True))
    debiased, _ = _measured(world, token="answer_mean", layout="diagonal")
    assert debiased.null_floor == (0.0,) * 4
    scaled, _ = _measured(
        world, variant="biased", token="answer_mean", layout="diagonal", preprocessing="paper_5_4"
    )
    assert scaled.preprocessing == "paper_5_4"
    assert scaled.values != line.values


def test_that_the_reference_against_itself_is_one(
    world: tuple[Stand, Checkpoint, Checkpoint],
) -> None:
    for mode in ("per_sample", "per_sequence"):
        event, _ = _measured(
            world, world[1], samples=5, mode=mode, layout="diagonal", token="answer_mean"
        )
        np.testing.assert_allclose(event.values, 1.0, atol=1e-6)


def test_that_a_pruned_model_is_compared_although_its_width_differs(
    world: tuple[Stand, Checkpoint, Checkpoint],
) -> None:
    stand, base, _ = world
    made = prune.run(PruneSpec(id="pruned", round_to=32), base, stand.context("pruned"))
    event, _ = _measured(world, made, layout="diagonal", token="answer_mean")
    assert event.values[0] == pytest.approx(1.0)
    assert 0.1 < event.values[1] < 0.9999


@pytest.mark.parametrize("drop", [True, False])
def test_that_sequences_are_compared_token_by_token_without_their_sinks(
    world: tuple[Stand, Checkpoint, Checkpoint], drop: bool
) -> None:
    event, stand = _measured(world, samples=5, mode="per_sequence", drop_sinks=drop)
    per_sequence, dropped = [], 0
    for example in world[0].datasets["probe"].examples[:5]:
        ids, _ = _ids(example, True)
        own, other = (_states(checkpoint, ids) for checkpoint in (world[2], world[1]))
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


def test_that_the_reference_is_read_once_for_equal_settings_and_again_for_others(
    world: tuple[Stand, Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = cka.load_model

    def counted(checkpoint: Checkpoint, compute: Any) -> Any:
        opened.append(checkpoint.kind)
        return real(checkpoint, compute)

    monkeypatch.setattr(cka, "load_model", counted)
    first, one = _measured(world)
    second, two = _measured(world, layout="diagonal")
    assert opened == ["base", "quantize", "quantize"]
    assert second.values == pytest.approx(
        np.diagonal(np.array(first.values).reshape(4, 4)), nan_ok=True
    )
    assert {p.total for p in one.of(Progress)} == {24}
    assert {p.total for p in two.of(Progress)} == {12}
    for stand in (one, two):
        last = stand.of(Progress)[-1]
        assert (last.done, last.unit) == (last.total, "sample")
    _measured(world, samples=6)
    _measured(world, variant="biased", samples=6)
    assert opened[3:] == ["base", "quantize"] * 2


def test_that_batches_do_not_change_what_is_measured(
    world: tuple[Stand, Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    together, _ = _measured(world, token="answer_mean")
    cka.forget_reference()
    monkeypatch.setattr(probe, "BATCH_TOKENS", 1)
    alone, stand = _measured(world, token="answer_mean")
    np.testing.assert_allclose(alone.values, together.values, atol=2e-4)
    assert len(stand.of(Progress)) > 24


def _dataset(examples: list[Example]) -> Dataset:
    return Dataset("probe", "memory", "test", "f" * 64, tuple(examples))


def test_that_inputs_cover_each_item_once_and_in_batches_of_bounded_size(
    world: tuple[Stand, Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
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
    world: tuple[Stand, Checkpoint, Checkpoint],
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


def _scoring(world: tuple[Stand, Checkpoint, Checkpoint], limit: int) -> Stand:
    """A recipe whose task scores the first items of a copy of the probe."""
    stand = world[0]
    copy = replace(stand.datasets["probe"], name="copy", fingerprint="e" * 64)
    task = Task(scorer="tooluse_official_v1", dataset="copy", limit=limit)
    return replace(
        stand, events=[], datasets={**stand.datasets, "copy": copy}, tasks={"tools": task}
    )


def test_that_items_which_a_task_scores_are_left_out_and_others_take_their_place(
    world: tuple[Stand, Checkpoint, Checkpoint],
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
            ids, prompt = _ids(example, True)
            for name, states in _states(checkpoint, ids).items():
                kept[name].append(states[prompt:].mean(0))
        features.append(kept)
    expected = [value_of(np.stack(features[0][a]), np.stack(features[1][a])) for a in NAMES]
    np.testing.assert_allclose(event.values, expected, atol=2e-4)


def test_that_scored_items_stay_where_a_person_wants_them_as_in_the_paper(
    world: tuple[Stand, Checkpoint, Checkpoint],
) -> None:
    stand = _scoring(world, limit=4)
    settings = {"samples": 5, "token": "answer_mean", "layout": "diagonal"}
    spec = CkaSpec(id="geometry", probe="probe", disjoint=False, **settings)
    cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    (event,) = stand.of(CkaMeasured)
    assert stand.of(GuardWarning) == []
    alone, _ = _measured(world, **settings)
    assert event.values == alone.values


def test_that_the_reference_is_read_again_when_other_items_are_scored(
    world: tuple[Stand, Checkpoint, Checkpoint],
) -> None:
    spec = CkaSpec(id="geometry", probe="probe", samples=4, token="answer_mean", layout="diagonal")
    found = []
    for limit in (4, 6):
        stand = _scoring(world, limit)
        cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
        found.append(stand.of(CkaMeasured)[0].values)
    assert found[0] != found[1]


def test_that_a_probe_with_too_few_items_of_its_own_is_refused_with_what_to_do(
    world: tuple[Stand, Checkpoint, Checkpoint],
) -> None:
    stand = _scoring(world, limit=9)  # the eleventh item asks the same as the third
    spec = CkaSpec(id="geometry", probe="probe", samples=5)
    with pytest.raises(UserError, match="score 10 of the 12 items of probe probe; 2 are") as error:
        cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    assert "disjoint" in error.value.hint
    assert stand.of(CkaMeasured) == []


def test_that_the_ground_truth_is_the_demonstration_else_the_key() -> None:
    ask = (Message("user", "hello"),)
    call = ToolCall("f", "{}")
    assert ground_truth(Example("1", ask, demonstration="shown", gold="A")) == "shown"
    assert ground_truth(Example("1", ask, calls=(call,))) == "Action: f\nAction Input: {}"
    assert ground_truth(Example("1", ask, gold="B")) == "B"
    assert ground_truth(Example("1", ask, choices=("x", "y"), gold_choice=1)) == "B"
    assert ground_truth(Example("1", ask)) == ""


def test_that_sequences_that_do_not_fit_into_memory_are_refused_with_a_number_that_fits(
    world: tuple[Stand, Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = replace(world[0], events=[])
    free = type("Memory", (), {"available": 2**20})
    monkeypatch.setattr(cka.psutil, "virtual_memory", lambda: free)
    spec = CkaSpec(id="geometry", probe="probe", samples=8, mode="per_sequence")
    with pytest.raises(UserError, match="would keep") as error:
        cka.run(spec, world[2], stand.context("geometry", subject="nf4"))
    assert "per_sample" in error.value.hint
    assert stand.of(CkaMeasured) == []


def test_that_a_stop_while_reading_leaves_nothing_kept(
    world: tuple[Stand, Checkpoint, Checkpoint], monkeypatch: pytest.MonkeyPatch
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
