"""The check before SDFT: does the demonstration help the teacher?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import StopRequested
from core.events import GuardWarning, Metrics
from core.lm.load import load_tokenizer
from core.recipe.training_specs import SdftSpec
from core.stages import sdft
from core.stages.demonstration_check import _helps
from tests.helpers.contexts import Stand
from tests.helpers.distilling import spec
from tests.helpers.small import demo, small_base
from tests.helpers.tiny import CHATML
from tests.helpers.training import degraded, stand

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

ITEMS = 16


def small(folder: Path, task: str, config: str) -> tuple[dict[str, float], list[GuardWarning]]:
    """What the check finds for the small model that teaches itself with demo items."""
    place = Stand(folder)
    place.checkpoints["base"] = small_base(folder)
    place.datasets[task] = demo(task, config, "train", 10 * ITEMS)
    settings = SdftSpec(
        id="made",
        dataset=task,
        max_steps=1,
        per_device_train_batch_size=ITEMS,
        gradient_accumulation_steps=1,
        max_completion_length=32 if task == "science" else 48,
        lora_r=2,
        lora_alpha=4,
        held_out_items=ITEMS,
    )
    made = sdft.run(settings, place.checkpoints["base"], place.context("made"))
    first = place.of(Metrics)[0]
    assert first.step == 0
    assert made.facts["demonstration_check"] == first.values
    return dict(first.values), place.of(GuardWarning)


def test_that_a_demonstration_of_something_new_lifts_the_teacher_and_nobody_is_warned(
    tmp_path: Path,
) -> None:
    values, warnings = small(tmp_path, "science", "new-foreign")
    assert values["demonstration_items"] == ITEMS
    without = values["accuracy_without_demonstration"]
    assert values["accuracy_with_demonstration"] >= without + 0.3
    assert values["teacher_accuracy"] == values["accuracy_with_demonstration"]  # it is the student
    assert values["kl_with_demonstration"] > 0.1
    # Before any step the student is its teacher, where that is not shown the demonstration either.
    assert values["kl_without_demonstration"] == pytest.approx(0, abs=1e-4)
    assert warnings == []


@pytest.mark.parametrize(
    ("task", "config"), [("science", "all-unseen"), ("tooluse", "known-unseen")]
)
def test_that_a_style_that_the_teacher_cannot_read_gives_a_warning(
    tmp_path: Path, task: str, config: str
) -> None:
    values, warnings = small(tmp_path, task, config)
    (warning,) = [it for it in warnings if it.code == "demonstration_no_help"]
    assert warning.step == 0
    assert values["teacher_accuracy"] < values["accuracy_without_demonstration"] + 0.1
    assert values["kl_with_demonstration"] > values["kl_without_demonstration"]
    assert dict(warning.values) == {**values, "least_lift": 0.1}


@pytest.mark.parametrize(
    ("before", "taught", "helps"),
    [
        (0.2, 0.5, True),
        (0.2, 0.25, False),
        (0.5, 0.2, False),
        (0.95, 1.0, True),  # nothing is left to lift
        (1.0, 0.95, True),
        (1.0, 0.2, False),  # it can only be led astray
    ],
)
def test_that_no_help_is_a_small_lift_where_there_is_room_and_any_fall(
    before: float, taught: float, helps: bool
) -> None:
    values = {"accuracy_without_demonstration": before, "teacher_accuracy": taught}
    assert _helps(values) is helps


def test_that_without_an_answer_key_nothing_is_said_about_help() -> None:
    assert _helps({"kl_with_demonstration": 0.1})


def tiny(folder: Path, count: int = 80) -> Stand:
    place = stand(folder, count=count)
    degraded(place)
    return place


def train(place: Stand, name: str = "made", stop: Any = None, **changes: Any) -> Any:
    context = place.context(name)
    settings = spec(**{"max_steps": 2, "held_out_items": 8, **changes})
    if stop is not None:
        context = replace(context, stop=stop)
    return sdft.run(settings, place.checkpoints["degraded"], context)


def test_that_fewer_than_eight_items_are_not_asked(tmp_path: Path) -> None:
    place = tiny(tmp_path)
    made = train(place, held_out_items=7)
    assert "demonstration_check" not in made.facts
    assert [it.step for it in place.of(Metrics)] == [1, 2]


def test_that_items_without_a_key_are_compared_by_divergence_alone(tmp_path: Path) -> None:
    place = tiny(tmp_path)
    train(place)
    values = place.of(Metrics)[0].values
    assert set(values) == {
        "demonstration_items",
        "kl_with_demonstration",
        "kl_without_demonstration",
    }
    assert [it for it in place.of(GuardWarning) if it.step == 0] == []


@pytest.mark.parametrize("thinks", [True, False])
def test_that_a_template_that_thinks_is_warned_of(tmp_path: Path, thinks: bool) -> None:
    place = tiny(tmp_path)
    tokenizer = load_tokenizer(place.checkpoints["degraded"])
    tokenizer.chat_template = CHATML + ("{#- <think> -#}" if thinks else "")
    tokenizer.save_pretrained(place.checkpoints["degraded"].path)
    train(place)
    codes = [it.code for it in place.of(GuardWarning) if it.step == 0]
    assert codes == (["thinking_model"] if thinks else [])


def test_that_the_check_is_made_once_and_its_result_outlives_a_stop(tmp_path: Path) -> None:
    place = tiny(tmp_path)
    whole = train(place, "whole")
    checks = [it for it in place.of(Metrics) if it.step == 0]
    place.events.clear()

    def stop() -> bool | None:
        return True if [it for it in place.of(Metrics) if it.step == 1] else None

    with pytest.raises(StopRequested):
        train(place, "halves", stop)
    halves = train(place, "halves")

    assert [it.values for it in place.of(Metrics) if it.step == 0] == [it.values for it in checks]
    assert halves.facts == whole.facts
