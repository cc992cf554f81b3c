"""Datasets: recognised by content, read row by row, and honest about the row that does not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.data.example import Dataset, Message, ToolCall
from core.data.formats import SCIENCE_SYSTEM
from core.data.load import load
from core.errors import UserError
from core.recipe.sources import DatasetSource
from tests.helpers.tiny import (
    SCIENCE_SYSTEM as WRITTEN_SYSTEM,
)
from tests.helpers.tiny import (
    TinyData,
    mmlu_rows,
    sciknoweval_rows,
    tooluse_rows,
    write_datasets,
    write_jsonl,
)


@pytest.fixture
def files(tmp_path: Path) -> TinyData:
    return write_datasets(tmp_path / "data")


def read(path: Path, **more: Any) -> Dataset:
    return load("it", DatasetSource(file=path.name, **more), path.parent)


def refused(path: Path, **more: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        read(path, **more)
    return caught.value


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_that_tooluse_is_recognised_with_its_calls_and_demonstrations(files: TinyData) -> None:
    data = read(files.tooluse)
    assert (data.format, len(data)) == ("tooluse", 12)
    row, example = tooluse_rows()[2], data.examples[2]
    assert example.messages == (Message("user", row["prompt"]),)
    assert example.demonstration == "\n".join(row["golden_response"])
    assert example.calls == tuple(
        ToolCall(call["Action"], call["Action_Input"]) for call in row["golden_answer"]
    )
    assert len(example.calls) == 2
    assert example.group == row["name"]


def test_that_a_datasets_folder_of_tooluse_has_no_demonstrations(files: TinyData) -> None:
    data = read(files.tooluse_eval)
    assert (data.format, len(data)) == ("tooluse", 8)
    assert not any(example.demonstration for example in data.examples)


def test_that_sciknoweval_gets_the_evaluations_prompt_and_an_answer_in_its_form(
    files: TinyData,
) -> None:
    data = read(files.science)
    assert (data.format, len(data)) == ("sciknoweval", 12)
    row, example = sciknoweval_rows()[1], data.examples[1]
    options = row["choices"]["text"]
    assert example.messages == (
        Message("system", SCIENCE_SYSTEM),
        Message(
            "user",
            f"{row['question']}\n\nA: {options[0]}\nB: {options[1]}\nC: {options[2]}\nD: {options[3]}",
        ),
    )
    assert example.gold == row["answerKey"] == "ABCD"[example.gold_choice or 0]
    assert example.demonstration == f"<answer>\n{row['answerKey']}\n</answer>"
    assert example.choices == tuple(options)
    assert example.question == row["question"]
    assert example.group == "part_1"


def test_that_a_worked_solution_is_the_demonstration_where_there_is_one(tmp_path: Path) -> None:
    row = sciknoweval_rows(1)[0] | {"output_text": "<reasoning>\nwhy\n</reasoning>"}
    data = read(write_jsonl(tmp_path / "a.jsonl", [row]))
    assert data.examples[0].demonstration == "<reasoning>\nwhy\n</reasoning>"


def test_that_the_science_folder_is_read_as_messages_in_the_same_words(files: TinyData) -> None:
    assert SCIENCE_SYSTEM == WRITTEN_SYSTEM
    data, trained = read(files.science_eval), read(files.science)
    assert (data.format, len(data)) == ("messages", 8)
    example = data.examples[0]
    assert example.messages[0] == trained.examples[0].messages[0]
    assert example.gold in "ABCD"
    assert example.demonstration == f"<answer>\n{example.gold}\n</answer>"


def test_that_mmlu_is_read_with_options_and_index(files: TinyData) -> None:
    data = read(files.mmlu)
    assert (data.format, len(data)) == ("mmlu", 12)
    row, example = mmlu_rows()[3], data.examples[3]
    assert (example.gold_choice, example.gold) == (3, "D")
    assert example.choices == tuple(row["choices"])
    assert example.question == row["question"]
    assert example.group == "prehistory"
    a, b, c, d = row["choices"]
    assert example.prompt == f"{row['question']}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:"


def test_that_winogrande_is_read_by_its_columns(tmp_path: Path) -> None:
    row = {"sentence": "Ann thanked Eve, so _ smiled.", "option1": "Ann", "option2": "Eve"}
    data = read(write_jsonl(tmp_path / "a.jsonl", [{**row, "answer": "2"}, {**row, "answer": "1"}]))
    assert data.format == "winogrande"
    example = data.examples[0]
    assert (example.question, example.choices) == (row["sentence"], ("Ann", "Eve"))
    assert (example.gold_choice, example.gold) == (1, "B")
    assert data.examples[1].gold_choice == 0
    error = refused(write_jsonl(tmp_path / "b.jsonl", [{**row, "answer": ""}]))
    assert "answer '' is neither 1 nor 2" in error.message
    error = refused(write_jsonl(tmp_path / "c.jsonl", [{**row, "sentence": "No.", "answer": "1"}]))
    assert "sentence has no blank _" in error.message


def test_that_messages_end_with_a_question_or_its_answer(tmp_path: Path) -> None:
    user, answer = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    rows = [
        {"messages": [user, answer, user, answer]},
        {"messages": [user], "demonstration": "d", "answer": "g"},
        {"prompt": [user], "completion": [answer]},
    ]
    data = read(write_jsonl(tmp_path / "a.jsonl", rows))
    assert [len(example.messages) for example in data.examples] == [3, 1, 1]
    assert [example.demonstration for example in data.examples] == ["a", "d", "a"]
    assert [example.gold for example in data.examples] == ["", "g", ""]
    error = refused(write_jsonl(tmp_path / "b.jsonl", [*rows, {"messages": [answer]}]))
    assert "b.jsonl, line 4: messages does not end with a user turn" in error.message


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_that_any_table_is_read_by_naming_its_columns(tmp_path: Path, kind: str) -> None:
    rows = [
        {"q": "What, then?", "r": 'Say "yes"\nor no', "t": "a"},
        {"q": "And?", "r": "no", "t": "b"},
    ]
    path = tmp_path / f"table.{kind}"
    if kind == "jsonl":
        write_jsonl(path, rows)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "csv":
        path.write_text('q,r,t\n"What, then?","Say ""yes""\nor no",a\nAnd?,no,b\n')
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    data = read(path, columns={"prompt": "q", "demonstration": "r", "subject": "t"})
    assert data.format == "columns"
    assert [example.prompt for example in data.examples] == ["What, then?", "And?"]
    assert data.examples[0].demonstration == 'Say "yes"\nor no'
    assert [example.group for example in data.examples] == ["a", "b"]


@pytest.mark.parametrize("answer", ["1", "B", "b", "two"])
def test_that_a_column_of_choices_makes_multiple_choice(tmp_path: Path, answer: str) -> None:
    path = written(tmp_path, "a.csv", f'q,c,a,s\nWhich?,"[""one"",""two""]",{answer},Hello\n')
    columns = {"prompt": "q", "choices": "c", "answer": "a", "system": "s"}
    (example,) = read(path, format="columns", columns=columns).examples
    assert (example.gold_choice, example.gold, example.question) == (1, "B", "Which?")
    assert example.messages[0] == Message("system", "Hello")


def test_that_a_folder_of_files_is_one_dataset(tmp_path: Path) -> None:
    rows = mmlu_rows()
    write_jsonl(tmp_path / "b.jsonl", rows[5:])
    write_jsonl(tmp_path / "a.jsonl", rows[:5])
    (tmp_path / "c.jsonl").touch()
    (tmp_path / "README.md").write_text("not data")
    data = load("mmlu", DatasetSource(file=str(tmp_path)), Path("/"))
    assert [example.question for example in data.examples] == [row["question"] for row in rows]
    (tmp_path / "d.csv").write_text("x\n1\n")
    assert "several kinds (.csv, .jsonl)" in refused(tmp_path).message


def test_that_a_folder_of_splits_asks_which(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_list(mmlu_rows())
    splits = datasets.DatasetDict({"train": rows, "test": rows.select(range(3))})
    splits.save_to_disk(str(tmp_path / "both"))
    assert "several splits: train, test" in refused(tmp_path / "both").message
    assert "no split dev" in refused(tmp_path / "both", split="dev").message
    assert len(read(tmp_path / "both", split="test")) == 3


def test_that_limit_takes_the_first_and_reads_no_further(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", mmlu_rows(4))
    path.write_text(path.read_text() + "not json\n")
    assert len(read(path, limit=4)) == 4
    assert len(read(path, limit=1)) == 1
    assert "line 5" in refused(path).message


def test_that_the_fingerprint_is_of_the_content(files: TinyData, tmp_path: Path) -> None:
    data = read(files.mmlu)
    assert len({example.id for example in data.examples}) == 12
    copy = tmp_path / "copy.jsonl"
    copy.write_text(files.mmlu.read_text().replace('"answer"', ' "answer"'))  # other bytes
    assert read(copy).fingerprint == data.fingerprint
    assert read(copy).examples == data.examples
    assert read(copy, limit=11).fingerprint != data.fingerprint
    copy.write_text(files.mmlu.read_text().replace("Oslo", "Bern"))
    assert read(copy).fingerprint != data.fingerprint


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "p", "golden_answer": []}], "line 1: golden_answer is empty"),
        (
            [{"prompt": "p", "golden_answer": [{"Action": "a"}]}],
            "line 1: golden_answer[0] has no Action_Input",
        ),
        (
            [{"prompt": " ", "golden_answer": [{"Action": "a", "Action_Input": "{}"}]}],
            "line 1: prompt is not a text",
        ),
        ([{"question": "q", "choices": ["x"], "answer": 0}], "line 1: choices has 1 options"),
        (
            [{"question": "q", "choices": ["x", "y"], "answer": 2}],
            "line 1: answer 2 is neither an index below 2",
        ),
        (
            [
                {
                    "question": "q",
                    "choices": {"text": ["x", "y"], "label": ["A", "B"]},
                    "answerKey": "C",
                }
            ],
            "line 1: answerKey 'C' is none of the labels A, B",
        ),
        ([{"text": "a", "label": 1}], "line 1 fits no known format; its fields are: text, label"),
        (
            [{"messages": [{"role": "tool", "content": ""}]}],
            "line 1: messages[0] has the role tool",
        ),
    ],
)
def test_that_the_offending_field_and_line_are_named(
    tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    error = refused(write_jsonl(tmp_path / "a.jsonl", rows))
    assert error.message.startswith(f"a.jsonl, {said}")
    assert error.hint


def test_that_the_first_bad_line_is_found_among_good_ones(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = tooluse_rows(6)
    del rows[4]["golden_answer"]
    error = refused(write_jsonl(tmp_path / "a.jsonl", rows))
    assert error.message == "a.jsonl, line 5: golden_answer is missing."
    assert "golden_answer (list of" in error.hint


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": \n', "a.jsonl, line 1 fits no known format"),
        ("a.jsonl", "[1]\n", "a.jsonl, line 1 holds a list, not an object"),
        ("a.jsonl", "{bad\n", "a.jsonl, line 1 is not JSON"),
        ("a.jsonl", b'{"a": "\xff"}\n', "a.jsonl, line 1 is not UTF-8 text"),
        ("a.json", '[{"a": 1}, 2', "a.json is not JSON"),
        ("a.txt", "x", "a.txt is of no kind that can be read"),
        ("a.parquet", "PAR1", "a.parquet cannot be read as Parquet"),
        ("a.csv", "a,b\n1,2,3\n", "a.csv, line 2 does not have the 2 columns"),
        ("a.csv", "a,b\n1\n", "a.csv, line 2 does not have the 2 columns"),
    ],
)
def test_that_an_unreadable_file_says_what_is_wrong(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    assert refused(written(tmp_path, name, content)).message.startswith(said)


def test_that_empty_and_absent_data_are_said_plainly(tmp_path: Path) -> None:
    assert "holds no items" in refused(written(tmp_path, "a.jsonl", "")).message
    assert "holds no items" in refused(written(tmp_path, "a.json", "[]")).message
    assert "no file" in refused(tmp_path / "absent.jsonl").message
    (tmp_path / "empty").mkdir()
    assert "has no data" in refused(tmp_path / "empty").message


def test_that_columns_that_do_not_exist_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "q,r\nhello,world\n")
    assert "no column zz" in refused(path, columns={"prompt": "zz"}).message
    assert "columns names question" in refused(path, columns={"question": "q"}).message
    assert "does not name the prompt" in refused(path, columns={"answer": "q"}).message
    assert "needs columns to be named" in refused(path, format="columns").message


def test_that_a_chosen_format_is_held_to(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", tooluse_rows(2))
    assert refused(path, format="mmlu").message == "a.jsonl, line 1: question is missing."


def test_that_a_byte_order_mark_and_long_csv_fields_are_read(tmp_path: Path) -> None:
    rows = "".join(json.dumps(row) + "\n" for row in mmlu_rows(2))
    assert len(read(written(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + rows.encode()))) == 2
    long = "x" * 200_000
    path = written(tmp_path, "a.csv", f"q\n{long}\n")
    assert read(path, columns={"prompt": "q"}).examples[0].prompt == long


def test_that_a_hub_dataset_out_of_reach_is_said_plainly() -> None:
    with pytest.raises(UserError, match="rekindle-tests/absent"):
        load("it", DatasetSource(hub="rekindle-tests/absent", split="train"), Path("/"))


def test_that_reading_data_loads_no_torch() -> None:
    code = (
        "import sys, core.data.load, core.data.chat; "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
