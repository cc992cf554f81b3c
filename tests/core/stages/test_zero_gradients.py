"""Tokens that do not count have no influence at all, through the whole path of a stage: not a small one, none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from core.distill import head
from core.distill.batch import Batch
from core.lm.generate import Generated
from core.stages import distilling
from core.stages.distilling import Distiller, Shown
from tests.helpers.contexts import Stand
from tests.helpers.distilling import ANSWERS, ITEMS, MEASURES, objective, spec
from tests.helpers.training import FixedPlan, degraded, stand

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

Gradients = dict[str, Tensor]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    found = stand(tmp_path_factory.mktemp("zero"))
    degraded(found)
    return found


def step(
    place: Stand,
    monkeypatch: pytest.MonkeyPatch,
    items: Sequence[Shown],
    answers: Sequence[Generated],
    method: str = "lora",
    pad_id: int | None = None,
    **changes: Any,
) -> tuple[Any, Gradients]:
    """What the first step finds, and the gradients of all trained weights."""
    settings = spec(method=method, per_device_train_batch_size=3, **changes)
    student, sut = objective(place, settings, answers, monkeypatch)
    if pad_id is not None:
        sut.distiller._pad_id = pad_id
    found = sut.accumulate(1, FixedPlan(items), lambda loss: loss.backward())  # type: ignore[no-untyped-call]
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in student.model.named_parameters()
        if parameter.grad is not None
    }
    return found.scores, gradients


@pytest.mark.parametrize("measure", MEASURES)
def test_that_states_of_masked_padded_and_skipped_tokens_get_exactly_no_gradient(
    place: Stand, monkeypatch: pytest.MonkeyPatch, measure: str
) -> None:
    states: list[Tensor] = []
    batches: list[Batch] = []
    whole: Callable[..., Tensor] = head.hidden_states
    collated: Callable[..., Batch] = Distiller._collated

    def hidden_states(*given: Any) -> Tensor:
        found = whole(*given)
        found.retain_grad()
        states.append(found)
        return found

    def remembered(*given: Any) -> Batch:
        batches.append(collated(*given))
        return batches[-1]

    monkeypatch.setattr(distilling, "hidden_states", hidden_states)
    monkeypatch.setattr(Distiller, "_collated", remembered)
    scores, _ = step(place, monkeypatch, ITEMS, ANSWERS, **MEASURES[measure])

    (seen,), batch = states, batches[-1]
    assert seen.grad is not None
    touched = seen.grad.abs().amax(-1) > 0  # (B, T)
    for row, place_in_batch in enumerate(batch.places):
        count = int(batch.present[row].sum())
        counted = set(place_in_batch[3:count].tolist())
        found = set(touched[row].nonzero().flatten().tolist())
        if measure == "clipped":
            assert found <= counted
        else:
            assert found == counted
    assert scores.counted == int(touched.sum()) or measure == "clipped"


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_that_what_padding_is_changes_not_one_bit(
    place: Stand, monkeypatch: pytest.MonkeyPatch, measure: str, method: str
) -> None:
    one, two = (
        step(place, monkeypatch, ITEMS, ANSWERS, method, pad_id, **MEASURES[measure])
        for pad_id in (0, 77)
    )
    assert one[0].loss == two[0].loss > 0
    assert one[1].keys() == two[1].keys()
    assert all(torch.equal(gradient, two[1][name]) for name, gradient in one[1].items())


SHORT = [Generated([20, 21, 2], True), Generated([30], False), Generated([50, 2], True)]
"""All shorter than what is skipped."""


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("answers", [SHORT, SHORT[1:2] * 3], ids=["short", "one token"])
def test_that_answers_shorter_than_the_skip_have_no_loss_and_no_gradient(
    place: Stand,
    monkeypatch: pytest.MonkeyPatch,
    measure: str,
    method: str,
    answers: list[Generated],
) -> None:
    scores, gradients = step(place, monkeypatch, ITEMS, answers, method, **MEASURES[measure])
    assert scores.loss == 0
    assert scores.counted == 0
    assert scores.means() == {}
    assert all(math.isnan(value) for row in scores.kl for value in row)
    assert all(not gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("measure", MEASURES)
def test_that_a_batch_of_one_equals_the_same_sample_in_a_padded_batch(
    place: Stand, monkeypatch: pytest.MonkeyPatch, measure: str
) -> None:
    together, gradients = step(place, monkeypatch, ITEMS, ANSWERS, **MEASURES[measure])

    added: Gradients = {}
    losses = []
    for index, (item, answer) in enumerate(zip(ITEMS, ANSWERS, strict=True)):
        alone, own = step(place, monkeypatch, [item], [answer], **MEASURES[measure])
        assert alone.kl[0] == pytest.approx(together.kl[index], rel=1e-4, abs=1e-5, nan_ok=True)
        losses.append(alone.loss)
        for name, gradient in own.items():
            added[name] = added.get(name, torch.zeros_like(gradient)) + gradient / len(ITEMS)

    assert together.loss == pytest.approx(sum(losses) / len(ITEMS), rel=1e-5)
    assert together.loss > 0
    assert gradients.keys() == added.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(added[name], gradient, atol=1e-5, rtol=1e-3)
