"""What the teacher is shown for the first item of a stage's dataset."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels.first_item import MOST_BYTES, first_item
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.preview import NO_STAGE, READING, PreviewViewModel
from app.viewmodels.teacher_prompt import TeacherPrompt
from core.data.chat import teacher_messages
from core.data.load import load
from core.engine.data_desk import Desk
from core.errors import UserError
from core.recipe.sources import DatasetSource
from core.recipe.template import TEACHER_TEMPLATE

TURNS = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "What is {demonstration} for?"},
    {"role": "assistant", "content": "For showing."},
]
RECIPE = """\
schema: 1
name: Preview
base: {name: rekindle-1m}
datasets:
  demo: {demo: science, config: known-own, split: train, limit: 5}
  file: {file: turns.jsonl}
stages:
  - {id: nf4, kind: prune}
  - {id: back, kind: sdft, dataset: [file, demo]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    line = json.dumps({"messages": TURNS})
    (tmp_path / "turns.jsonl").write_text(f"\n{line}\n{line}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv"])
def test_that_the_first_item_is_that_of_the_run(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"data{suffix}"
    rows = [{"q": f"Question {n}", "a": f"Answer, {n}"} for n in range(3)]
    if suffix == ".csv":
        file.write_text("q,a\n" + "\n".join(f'{it["q"]},"{it["a"]}"' for it in rows))
    elif suffix == ".json":
        file.write_text(json.dumps(rows, indent=1))
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    columns = {"prompt": "q", "demonstration": "a"}
    source = DatasetSource(file=file.name, columns=columns)
    assert first_item(source, tmp_path) == load("x", source, tmp_path).examples[0]


def test_that_a_generated_task_is_shown_as_the_run_makes_it(tmp_path: Path) -> None:
    source = DatasetSource(demo="tooluse", config="known-own", split="train", limit=3)
    assert first_item(source, tmp_path) == load("x", source, tmp_path).examples[0]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.jsonl", None, "cannot be read"),
        ("empty.jsonl", "", "holds no items"),
        ("data.parquet", "PAR1", "is not read here"),
        ("odd.jsonl", '{"a": 1}', "fits no known format"),
        ("list.json", "[1]", "no object"),
        ("long.jsonl", '{"a": "' + "x" * MOST_BYTES, "cannot be read"),
    ],
)
def test_that_it_says_why_there_is_no_first_item(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        first_item(DatasetSource(file=name), tmp_path)


def test_that_a_hub_dataset_is_not_fetched_for_a_preview(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not read here"):
        first_item(DatasetSource(hub="owner/data"), tmp_path)


def test_that_looking_at_an_item_loads_no_torch() -> None:
    code = (
        "import sys, app.viewmodels.preview\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def _model(folder: Path) -> NewRunViewModel:
    model = NewRunViewModel(lambda recipe: None)
    model.load_recipe(RECIPE, str(folder))
    return model


def _read(model: NewRunViewModel, qtbot: QtBot) -> TeacherPrompt:
    qtbot.waitUntil(lambda: bool(model.preview.prompt.turns), timeout=3000)
    return model.preview.prompt


def test_that_the_turns_are_those_of_the_engine_and_the_system_turn_is_kept(
    folder: Path, qtbot: QtBot
) -> None:
    model = _model(folder)
    model.select(1)
    prompt = _read(model, qtbot)
    example = load("file", DatasetSource(file="turns.jsonl"), folder).examples[0]
    expected = teacher_messages(example, TEACHER_TEMPLATE)
    assert [(it.role, it.text) for it in prompt.turns] == [(it.role, it.content) for it in expected]
    assert prompt.turns[0].text == "Answer briefly."
    assert ("demonstration", "For showing.") in prompt.turns[-1].parts
    assert prompt.item == "file, first item"
    assert "base scores its tokens" in prompt.answer
    assert prompt.budget[0].startswith(f"{sum(len(it.text) for it in prompt.turns):,} characters")
    assert prompt.demonstration == "For showing."


def test_that_an_edited_template_is_shown_at_once(folder: Path, qtbot: QtBot) -> None:
    model = _model(folder)
    model.select(1)
    _read(model, qtbot)
    model.set("stages.1.teacher_template", "Q: {question}\nA: {demonstration}")
    assert model.preview.prompt.turns[-1].text == "Q: What is {demonstration} for?\nA: For showing."
    model.set("stages.1.teacher_template", "Q: {question}")
    assert "{demonstration}" in model.preview.prompt.problem


def test_that_a_stage_without_a_teacher_says_what_would_be_here(folder: Path, qtbot: QtBot) -> None:
    model = _model(folder)
    model.select(0)
    assert model.preview.prompt.why_not == NO_STAGE
    model.select(1)
    assert model.preview.prompt.why_not == READING


def test_that_a_dataset_without_demonstrations_is_named(folder: Path, qtbot: QtBot) -> None:
    (folder / "bare.jsonl").write_text(json.dumps({"messages": TURNS[:2], "answer": "A"}))
    model = _model(folder)
    model.select(1)
    model.set("datasets.file.file", "bare.jsonl")
    qtbot.waitUntil(lambda: "no demonstration" in model.preview.prompt.why_not[0], timeout=3000)


def test_that_what_could_not_be_read_is_tried_again(folder: Path, qtbot: QtBot) -> None:
    model = _model(folder)
    model.select(1)
    model.set("datasets.file.file", "later.jsonl")
    qtbot.waitUntil(lambda: "cannot be read" in model.preview.prompt.why_not[0], timeout=3000)
    (folder / "later.jsonl").write_text(json.dumps({"messages": TURNS}))
    model.select(0)
    model.select(1)
    assert _read(model, qtbot).item == "file, first item"


@pytest.mark.parametrize("name", ["data.parquet", "data.arrow", "saved"])
def test_that_what_needs_another_process_is_asked_of_it_and_shown_alike(
    folder: Path, qtbot: QtBot, name: str
) -> None:
    turns = [*TURNS[:2], {"role": "assistant", "content": "For telling."}]
    table = pyarrow.Table.from_pylist([{"messages": turns}] * 2)
    if name == "saved":
        datasets.disable_progress_bars()
        datasets.Dataset(table).save_to_disk(str(folder / name))
    elif name.endswith(".arrow"):
        with pyarrow.ipc.new_file(str(folder / name), table.schema) as out:
            out.write_table(table)
    else:
        pyarrow.parquet.write_table(table, folder / name)
    model = _model(folder)
    model.select(1)
    plain = _read(model, qtbot)
    desk = Desk()

    def ask(act: str, what: Mapping[str, Any], done: Any, failed: Any) -> None:
        try:
            record = desk.acts[act](json.loads(json.dumps(what)), lambda *_: None)
        except UserError as error:
            failed(error)
            return
        done(json.loads(json.dumps(record)))

    model.preview.read_with(ask)
    model.set("datasets.file.file", name)
    qtbot.waitUntil(lambda: "telling" in model.preview.prompt.text, timeout=3000)
    assert model.preview.prompt.text == plain.text.replace("showing", "telling")
    model.preview.turn(1)
    qtbot.waitUntil(lambda: model.preview.prompt.item == "file, item 2", timeout=3000)
    model.preview.turn(1)
    qtbot.waitUntil(lambda: not model.preview.can_go_on, timeout=3000)
    assert model.preview.number == 1
    model.set("datasets.file.file", "gone.parquet")
    qtbot.waitUntil(lambda: "no file" in model.preview.prompt.why_not[0], timeout=3000)


def test_that_a_late_answer_for_another_dataset_is_not_shown(folder: Path, qtbot: QtBot) -> None:
    waiting: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
    preview = PreviewViewModel(lambda job, done: waiting.append((job, done)))
    stage = {"kind": "sdft", "dataset": "one"}
    sources = {
        "one": {"file": "turns.jsonl"},
        "two": {"demo": "science", "config": "known-own", "split": "train", "limit": 5},
    }
    preview.show_stage(stage, sources, folder)
    qtbot.waitUntil(lambda: len(waiting) == 1, timeout=2000)
    preview.show_stage({**stage, "dataset": "two"}, sources, folder)
    job, done = waiting[0]
    done(job())
    assert preview.prompt.why_not == READING
    qtbot.waitUntil(lambda: len(waiting) == 2, timeout=2000)
    job, done = waiting[1]
    done(job())
    assert preview.prompt.item == "two, first item"
