"""Supervised fine-tuning on a tiny network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from core.data.chat import answer_ids, prompt_ids
from core.data.example import Dataset
from core.errors import UserError
from core.events import GuardWarning, Metrics
from core.lm.load import load_model, load_tokenizer
from core.recipe.training_specs import SftSpec
from core.stages import sft
from core.stages.held_out import held_out
from tests.helpers.contexts import Stand
from tests.helpers.tiny import CPU32
from tests.helpers.training import stand, weather, weights

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def spec(**changes: Any) -> SftSpec:
    settings: dict[str, Any] = {
        "id": "made",
        "dataset": "weather",
        "max_steps": 3,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 0.005,
        "lora_r": 8,
        "lora_alpha": 16,
    }
    return SftSpec(**{**settings, **changes})


def train(place: Stand, name: str = "made", **changes: Any) -> Any:
    return sft.run(spec(**changes), place.checkpoints["base"], place.context(name))


@pytest.mark.parametrize("method", ["lora", "full"])
def test_that_the_answers_become_likelier_in_the_written_checkpoint(
    tmp_path: Path, method: str
) -> None:
    place = stand(tmp_path)

    made = train(place, method=method, max_steps=8)

    metrics = place.of(Metrics)
    assert metrics[-1].values["loss"] < 0.8 * metrics[0].values["loss"]
    assert 0 <= metrics[-1].values["token_accuracy"] <= 1
    assert metrics[-1].values["student_entropy"] > 0
    assert made.storage == ("adapter" if method == "lora" else "full")
    tokenizer = load_tokenizer(made)
    example = place.datasets["weather"].examples[0]
    prompt = prompt_ids(tokenizer, example.messages)
    answer = answer_ids(tokenizer, example.demonstration)
    ids = torch.tensor([[*prompt, *answer]])
    nll = []
    for checkpoint in (place.checkpoints["base"], made):
        logits = load_model(checkpoint, CPU32)(input_ids=ids).logits[0, len(prompt) - 1 : -1]
        nll.append(float(functional.cross_entropy(logits, torch.tensor(answer)).detach()))
    assert nll[1] < 0.8 * nll[0]


def test_that_the_first_loss_is_the_token_mean_over_the_answers_of_the_step(
    tmp_path: Path,
) -> None:
    place = stand(tmp_path, count=4)

    train(place, max_steps=1)

    base = place.checkpoints["base"]
    model, tokenizer = load_model(base, CPU32), load_tokenizer(base)
    losses = []
    for example in place.datasets["weather"].examples:
        prompt = prompt_ids(tokenizer, example.messages)
        answer = answer_ids(tokenizer, example.demonstration)
        logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
        losses.append(
            functional.cross_entropy(
                logits[len(prompt) - 1 : -1], torch.tensor(answer), reduction="none"
            )
        )
    expected = torch.cat(losses)
    (metrics,) = place.of(Metrics)
    assert metrics.tokens == len(expected)
    assert metrics.values["loss"] == pytest.approx(float(expected.mean().detach()), rel=1e-5)


def test_that_the_cut_into_micro_batches_changes_no_result(tmp_path: Path) -> None:
    place = stand(tmp_path)
    shapes = [(1, 4), (4, 1), (2, 2)]

    for size, accumulation in shapes:
        train(
            place,
            f"by_{size}",
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
        )

    losses = [event.values["loss"] for event in place.of(Metrics)]
    assert losses[:3] == pytest.approx(losses[3:6], rel=1e-5)
    assert losses[:3] == pytest.approx(losses[6:], rel=1e-5)


def test_that_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    place = stand(tmp_path)

    first, second = train(place, "first"), train(place, "second")

    assert weights(first.path) == weights(second.path)


def test_that_a_second_adapter_is_stacked_on_the_first(tmp_path: Path) -> None:
    place = stand(tmp_path)
    first = train(place, "first")
    place.events.clear()

    second = sft.run(spec(), first, place.context("second"))

    # It starts where the first one ended, and is opened over it again.
    assert second.parent == first.identity
    ids = torch.tensor([[5, 6, 7, 8]])
    one = load_model(first, CPU32)(input_ids=ids).logits
    two = load_model(second, CPU32)(input_ids=ids).logits
    assert not torch.allclose(one, two, atol=1e-3)


def test_that_long_items_are_left_out_counted_and_never_cut(tmp_path: Path) -> None:
    place = stand(tmp_path, count=8)
    tokenizer = load_tokenizer(place.checkpoints["base"])
    lengths = [
        len(prompt_ids(tokenizer, example.messages))
        for example in place.datasets["weather"].examples
    ]
    limit = sorted(lengths)[4]

    made = train(place, max_prompt_length=limit, max_steps=1)

    (warning,) = place.of(GuardWarning)
    kept = sum(length <= limit for length in lengths)
    assert warning.code == "samples_dropped"
    assert warning.values == {"dropped": 8.0 - kept, "kept": float(kept)}
    assert made.facts["items"] == kept


@pytest.mark.parametrize("limit", [{"max_prompt_length": 8}, {"max_completion_length": 3}])
def test_that_an_error_says_what_to_do_when_nothing_fits(
    tmp_path: Path, limit: dict[str, int]
) -> None:
    with pytest.raises(UserError, match="max_prompt_length"):
        train(stand(tmp_path), **limit)


def test_that_items_without_demonstration_are_refused_by_the_datasets_name(tmp_path: Path) -> None:
    place = stand(tmp_path)
    some = weather(3).examples + weather(2, demonstration="").examples
    place.datasets["bare"] = Dataset("bare", "memory", "test", "fingerprint", some)

    with pytest.raises(UserError, match="Dataset bare has no demonstration for 2 of its 5 items"):
        train(place, dataset=["weather", "bare"])


def spied(
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[list[int], list[int]]]:
    """Prompts and answers of all items of the training that follows, held-out ones among them."""
    found: list[tuple[list[int], list[int]]] = []

    def split(items: Any, settings: Any, seed: int, question: Any) -> Any:
        found[:] = [(it.prompt, it.answer) for it in items]
        return held_out(items, settings, seed, question)

    monkeypatch.setattr(sft, "held_out", split)
    return found


@pytest.mark.parametrize(("ratio", "replayed"), [(0.2, 2), (0.5, 8), (0.1, 1), (0.9, 12)])
def test_that_earlier_items_are_that_share_of_all_and_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ratio: float, replayed: int
) -> None:
    place = stand(tmp_path, count=8)
    earlier = weather(12, demonstration="Once I said")
    rows = tuple(
        replace(it, demonstration=f"{it.demonstration} {it.id}") for it in earlier.examples
    )
    place.datasets["earlier"] = replace(earlier, name="earlier", examples=rows)
    found = spied(monkeypatch)

    made = train(place, max_steps=1, replay="earlier", replay_ratio=ratio)

    tokenizer = load_tokenizer(made)
    old = [str(tokenizer.decode(answer)) for _, answer in found]
    old = [text for text in old if text.startswith("Once")]
    # As many as there are, where the share asks for more.
    assert len(old) == len(set(old)) == made.facts["replayed"] == replayed
    assert len(found) == 8 + replayed


def test_that_what_is_replayed_depends_on_the_seed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = stand(tmp_path, count=8)
    place.datasets["earlier"] = replace(weather(40, demonstration="Once"), name="earlier")
    found = spied(monkeypatch)
    drawn = []
    for name, seed in (("first", 7), ("second", 7), ("third", 8)):
        torch.rand(3)
        context = replace(place.context(name), seed=seed)
        settings = spec(max_steps=1, replay=["earlier"], replay_ratio=0.5)
        sft.run(settings, place.checkpoints["base"], context)
        drawn.append([*found])
    assert drawn[0] == drawn[1] != drawn[2]
    assert weights(tmp_path / "checkpoints" / "first") == weights(
        tmp_path / "checkpoints" / "second"
    )


def test_that_replayed_items_too_need_a_demonstration(tmp_path: Path) -> None:
    place = stand(tmp_path, count=4)
    place.datasets["earlier"] = replace(weather(4, demonstration=""), name="earlier")
    with pytest.raises(UserError, match="Dataset earlier has no demonstration for 4"):
        train(place, replay="earlier")


def test_that_without_replay_nothing_is_replayed(tmp_path: Path) -> None:
    assert train(stand(tmp_path, count=4), max_steps=1).facts["replayed"] == 0
