"""Offline self-distillation: what the teacher makes of foreign demonstrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UserError
from core.events import GuardWarning, Metrics, Progress
from core.recipe.training_specs import SftSpec
from core.stages import sft
from core.stages.rewrite import rewritten
from tests.helpers.contexts import Stand
from tests.helpers.small import demo, small_base

SPEC = SftSpec(
    id="offline",
    dataset="science",
    teacher="base",
    method="full",
    max_steps=1,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=1,
    max_completion_length=48,
)


def place(folder: Path) -> Stand:
    made = Stand(folder)
    made.checkpoints["base"] = small_base(folder)
    made.datasets["science"] = demo("science", "new-foreign", "train", 20)
    return made


def test_that_foreign_demonstrations_become_the_models_own(tmp_path: Path) -> None:
    stand = place(tmp_path)
    foreign = list(stand.datasets["science"].examples)
    sources = [(example, 0) for example in foreign]
    found = rewritten(sources, stand.checkpoints["base"], SPEC, stand.context("offline"))
    own = demo("science", "new-own", "train", 20).examples
    assert [it.demonstration for it, _ in found] == [it.demonstration for it in own]
    assert [it.messages for it, _ in found] == [it.messages for it in foreign]
    assert [(it.done, it.total) for it in stand.of(Progress)] == [(16, 20), (20, 20)]


def test_that_answers_that_never_end_are_left_out_with_a_warning(tmp_path: Path) -> None:
    stand = place(tmp_path)
    short = SPEC.model_copy(update={"max_completion_length": 24})
    longer = demo("tooluse", "known-foreign", "train", 6).examples
    tools = [(example, 1) for example in longer]
    science = [(example, 0) for example in stand.datasets["science"].examples[:4]]
    found = rewritten(science + tools, stand.checkpoints["base"], short, stand.context("offline"))
    assert 0 < len(found) < 10
    (warning,) = stand.of(GuardWarning)
    assert warning.values == {"dropped": 10.0 - len(found), "kept": float(len(found))}
    with pytest.raises(UserError, match="no answer that ends within 2 tokens"):
        rewritten(
            science,
            stand.checkpoints["base"],
            SPEC.model_copy(update={"max_completion_length": 2}),
            stand.context("offline"),
        )


def test_that_sft_learns_the_rewrites_and_says_whose_they_are(tmp_path: Path) -> None:
    stand = place(tmp_path)
    made = sft.run(SPEC, stand.checkpoints["base"], stand.context("offline"))
    assert made.facts["rewritten_by"] == "base"
    assert made.facts["teacher_identity"] == stand.checkpoints["base"].identity
    rewrites = stand.of(Metrics)[0].values["loss"]

    foreign = place(tmp_path / "foreign")
    plain = SPEC.model_copy(update={"teacher": None})
    sft.run(plain, foreign.checkpoints["base"], foreign.context("offline"))
    # Its own words surprise the model less than foreign ones.
    assert rewrites < 0.6 * foreign.of(Metrics)[0].values["loss"]
