"""The generated tasks: true, disjoint, the same everywhere, and scored by the scorers of the real ones."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from core.data.chat import TEACHER_TEMPLATE
from core.data.load import load
from core.demo import science as questions
from core.demo import tooluse as requests
from core.demo.datasets import CONFIGS, TASKS, rows
from core.demo.draw import SPLITS, Draw, split_of
from core.demo.elements import FACTS, PARTS, Fact
from core.demo.pretraining import SHARES, samples
from core.evaluation import science, tooluse
from core.recipe.sources import DatasetSource

SYMBOLS = [
    "H",
    "He",
    "Li",
    "Be",
    "B",
    "C",
    "N",
    "O",
    "F",
    "Ne",
    "Na",
    "Mg",
    "Al",
    "Si",
    "P",
    "S",
    "Cl",
    "Ar",
    "K",
    "Ca",
    "Sc",
    "Ti",
    "V",
    "Cr",
    "Mn",
    "Fe",
    "Co",
    "Ni",
    "Cu",
    "Zn",
    "Ga",
    "Ge",
    "As",
    "Se",
    "Br",
    "Kr",
    "Rb",
    "Sr",
    "Y",
    "Zr",
    "Nb",
    "Mo",
    "Tc",
    "Ru",
    "Rh",
    "Pd",
    "Ag",
    "Cd",
]
ALL = [(task, config) for task in TASKS for config in CONFIGS[task]]
DIGEST = "963ac7d0d1801f5669d408fcf261dbb1652e76fc1e0e30fae8c2d19fa8acc6a8"


def _texts(task: str, config: str, split: str, count: int = 150) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in rows(task, config, split, count)]  # type: ignore[arg-type]


def _digest() -> str:
    text = "".join(it for task, config in ALL for it in _texts(task, config, "train", 20))
    text += "".join(str(it) for it in islice(samples(3, TEACHER_TEMPLATE), 200))
    return hashlib.sha256(text.encode()).hexdigest()


def test_that_the_table_is_that_of_the_elements() -> None:
    symbols = [fact.value for fact in FACTS if fact.attribute == "symbol"]
    assert symbols == SYMBOLS
    numbers = [fact.value for fact in FACTS if fact.attribute == "number"]
    assert numbers == [str(number) for number in range(1, 49)]
    halogens = {it.element for it in FACTS if it.value == "halogen"}
    assert halogens == {"fluorine", "chlorine", "bromine"}
    noble = {it.element for it in FACTS if it.value == "noble gas"}
    assert noble == {"helium", "neon", "argon", "krypton"}


def test_that_every_fact_is_in_exactly_one_part() -> None:
    spread = [fact for facts in PARTS.values() for fact in facts]
    assert len(spread) == len(set(spread)) == len(FACTS) == 144
    assert {part: len(facts) for part, facts in PARTS.items()} == {
        "retention": 14,
        "known": 44,
        "new": 86,
    }


@pytest.mark.parametrize(("task", "config"), ALL)
def test_that_splits_share_no_item(task: str, config: str) -> None:
    prompts: dict[str, set[str]] = {}
    for split in SPLITS:
        source = DatasetSource(demo=task, config=config, split=split, limit=150)  # type: ignore[arg-type]
        examples = load("demo", source, Path()).examples
        prompts[split] = {f"{it.prompt} {it.choices}" for it in examples}
        assert len(prompts[split]) == 150
    assert not prompts["train"] & prompts["eval"]
    assert not prompts["train"] & prompts["tune"]
    assert not prompts["tune"] & prompts["eval"]


def test_that_the_style_of_a_demonstration_changes_no_item() -> None:
    own, foreign, unseen = (
        [row["prompt"] for row in rows("tooluse", f"new-{style}", "train", 50)]
        for style in ("own", "foreign", "unseen")
    )
    assert own == foreign == unseen


def test_that_number_families_are_split_by_the_question_itself() -> None:
    def beginnings(split: str) -> set[str]:
        found = rows("general", "all", split, 200)  # type: ignore[arg-type]
        return {row["question"] for row in found if row["subject"] in ("larger", "sequence")}

    assert beginnings("train")
    assert not beginnings("train") & (beginnings("eval") | beginnings("tune"))


def _asked(facts: tuple[Fact, ...]) -> set[str]:
    return {
        wording.format(element=fact.element)
        for fact in facts
        for wording in questions.WORDINGS[fact.attribute]
    }


@pytest.mark.parametrize("config", CONFIGS["science"])
def test_that_retention_facts_are_in_no_fine_tuning_data(config: str) -> None:
    retained = _asked(PARTS["retention"])
    for row in rows("science", config, "train", 400):
        assert row["messages"][0]["content"].splitlines()[0] not in retained
        assert not row["group"].startswith("retention")


def test_that_retention_asks_for_nothing_else() -> None:
    retained = _asked(PARTS["retention"])
    for row in rows("retention", "all", "eval", 150):
        assert row["messages"][0]["content"].splitlines()[0] in retained


def _pretraining() -> Iterator[tuple[str, str, str]]:
    for sample in islice(samples(0, TEACHER_TEMPLATE), 6000):
        yield sample.kind, sample.prompt, sample.answer


def test_that_pretraining_teaches_only_what_it_may() -> None:
    taught = _asked((*PARTS["known"], *PARTS["retention"]))
    names = {tool.name for tool in requests.TOOLS[: requests.KNOWN]}
    counts = dict.fromkeys(SHARES, 0)
    for kind, prompt, answer in _pretraining():
        counts[kind] += 1
        if kind == "science":
            assert prompt.splitlines()[0] in taught
        if kind == "tooluse":
            assert tooluse.actions(answer)[0] in names
    for kind, share in SHARES.items():
        assert counts[kind] / 6000 == pytest.approx(share, abs=0.03)


def test_that_shown_answers_tell_nothing_about_the_truth() -> None:
    true = {(it.element, it.attribute): it.value for it in FACTS}
    right = total = 0
    for kind, prompt, answer in _pretraining():
        if kind != "science_shown":
            continue
        value = science.extract(answer)
        words = answer.split(" of ")
        attribute, element = words[0].rsplit(" ", 1)[-1], words[1].split(" is ")[0]
        total += 1
        right += true[element, attribute] == value  # type: ignore[index]
        assert value in prompt.splitlines()[1]
    assert right / total == pytest.approx(0.25, abs=0.05)


def test_that_items_are_the_same_in_another_process_and_as_they_always_were() -> None:
    code = (
        "import sys; sys.path.insert(0, '.');"
        "from importlib.util import spec_from_file_location as s, module_from_spec as m;"
        f"spec = s('tasks', {__file__!r}); it = m(spec); spec.loader.exec_module(it); print(it._digest())"
    )
    found = {_digest()}
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout.strip())
    assert found == {DIGEST}


def test_that_own_answers_are_right_and_foreign_ones_only_leniently() -> None:
    draw = Draw("styles")
    for _ in range(100):
        question = questions.draw_question(draw, FACTS)
        value, options = question.fact.value, question.options
        assert science.is_correct(questions.own(question, value), value)
        for style in (questions.final, questions.paragraph):
            text = style(question, value)
            assert not science.is_correct(text, value)
            assert science.lenient_option(text, options) == value
        wrong = next(it for it in options if it != value)
        assert science.lenient_option(questions.final(question, wrong), options) == wrong


def test_that_calls_in_other_syntax_are_right_only_leniently() -> None:
    for row in rows("tooluse", "all-own", "train", 60):
        draw = Draw(row["prompt"])
        request = requests.draw_request(draw, requests.TOOLS)
        other = requests.draw_call(draw, [it for it in requests.TOOLS if it != request.call.tool])
        source = DatasetSource(demo="tooluse", config="all-own", split="train", limit=1)
        example = load("one", source, Path()).examples[0]
        calls = (
            type(example.calls[0])(request.call.tool.name, json.dumps(request.call.arguments)),
        )
        assert tooluse.is_correct(requests.own(request.call), calls)
        assert tooluse.is_nearly_correct(requests.own(request.call), calls)
        for style in (requests.braced, requests.chatter):
            assert not tooluse.is_correct(style(request.call), calls)
            assert tooluse.is_nearly_correct(style(request.call), calls)
            assert not tooluse.is_nearly_correct(style(other), calls)


def test_that_shares_of_splits_are_as_declared() -> None:
    found = [split_of("x", str(number)) for number in range(20_000)]
    shares = {split: found.count(split) / len(found) for split in SPLITS}
    assert shares == pytest.approx({"train": 0.7, "tune": 0.1, "eval": 0.2}, abs=0.01)


def test_that_unknown_names_are_told() -> None:
    for wrong in (
        {"demo": "science", "config": "all", "split": "train", "limit": 5},
        {"demo": "science", "config": "all-own", "split": "test", "limit": 5},
        {"demo": "science", "config": "all-own", "split": "train"},
        {"demo": "science", "file": "x", "config": "all-own", "split": "train", "limit": 5},
    ):
        with pytest.raises(ValueError, match=r"one of|needs limit"):
            DatasetSource(**wrong)  # type: ignore[arg-type]
