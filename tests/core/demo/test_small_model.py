"""The shipped small model: the file that was trained, and what it can do before any recovery."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.data.chat import answer_ids, prompt_ids, teacher_messages
from core.data.example import Dataset, Message
from core.evaluation.evaluate import evaluate
from core.evaluation.exam import Exam
from core.evaluation.scorer import Examinee
from core.recipe.sources import Task
from tests.helpers.small import SMALL, demo, small_model

TOOLUSE, SCIENCE = "tooluse_official_v1", "science_exact_v1"
ITEMS = 100
LIFT = 30.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return small_model(tmp_path_factory.mktemp("small"))


def accuracy(model: Any, dataset: Dataset, scorer: Any) -> float:
    task = Task(scorer=scorer, dataset=dataset.name, max_new_tokens=48, batch_size=50)
    score = evaluate(Examinee(*model), Exam(dataset.name, task, dataset))
    return 100 * score.correct / score.n


def shown(dataset: Dataset) -> Dataset:
    examples = tuple(replace(it, messages=teacher_messages(it)) for it in dataset.examples)
    return replace(dataset, examples=examples)


def test_that_the_files_are_those_that_were_recorded_and_small() -> None:
    record = json.loads((SMALL / "training.json").read_text())
    for name, digest in record["sha256"].items():
        assert hashlib.sha256((SMALL / name).read_bytes()).hexdigest() == digest
    assert sum(it.stat().st_size for it in SMALL.iterdir()) < 8_000_000


def test_that_plain_transformers_opens_it() -> None:
    network = AutoModelForCausalLM.from_pretrained(SMALL)
    tokenizer = AutoTokenizer.from_pretrained(SMALL)
    assert network.config.model_type == "qwen2"
    assert sum(it.numel() for it in network.parameters()) == 985_728
    assert 512 <= len(tokenizer) <= 1024
    turns = (Message("user", "How many protons are in iron? 26"),)
    text = "<|im_start|>user\nHow many protons are in iron? 26<|im_end|>\n<|im_start|>assistant\n"
    ids = prompt_ids(tokenizer, turns)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(answer_ids(tokenizer, "<answer>26</answer>")).endswith("<|im_end|>")
    digits = [tokenizer.decode([it]) for it in tokenizer("128").input_ids]
    assert digits == ["1", "2", "8"]


@pytest.mark.parametrize(
    ("task", "config", "scorer", "least", "most"),
    [
        ("tooluse", "known-own", TOOLUSE, 95, 100),
        ("tooluse", "new-own", TOOLUSE, 0, 35),
        ("science", "known-own", SCIENCE, 95, 100),
        ("science", "new-own", SCIENCE, 0, 35),
        ("retention", "all", SCIENCE, 95, 100),
        ("general", "all", "option_likelihood_v1", 90, 100),
    ],
)
def test_that_it_knows_what_it_was_taught_and_nothing_else(
    model: Any, task: str, config: str, scorer: str, least: float, most: float
) -> None:
    assert least <= accuracy(model, demo(task, config, "eval", ITEMS), scorer) <= most


@pytest.mark.parametrize(("task", "scorer"), [("tooluse", TOOLUSE), ("science", SCIENCE)])
def test_that_a_demonstration_lifts_accuracy_unless_its_style_cannot_be_read(
    model: Any, task: str, scorer: str
) -> None:
    alone = accuracy(model, demo(task, "all-own", "eval", ITEMS), scorer)
    for style in ("own", "foreign"):
        lifted = accuracy(model, shown(demo(task, f"all-{style}", "eval", ITEMS)), scorer)
        assert lifted >= max(95, alone + LIFT)
    unread = accuracy(model, shown(demo(task, "all-unseen", "eval", ITEMS)), scorer)
    assert unread < alone + 5


def test_that_the_record_tells_the_accuracies_of_the_tune_split(model: Any) -> None:
    told = json.loads((Path(SMALL) / "training.json").read_text())["accuracy"]
    found = accuracy(model, demo("science", "known-own", "tune", 200), SCIENCE)
    assert found == pytest.approx(told["science_known"], abs=1)
