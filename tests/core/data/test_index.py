"""Items by number, out of every kind of file, and the survey of all that is wrong with them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from core.data.example import Example, Message
from core.data.index import rows_in
from core.data.leaks import leaks, repeats
from core.data.numbered import Items
from core.data.rows import read_rows
from core.data.survey import survey
from core.errors import UserError
from core.recipe.sources import DatasetSource

ROWS = [
    {"question": f"What is {n} plus\n{n}, in words?", "reply": f"It is {2 * n}, of course."}
    for n in range(25)
]
COLUMNS = {"prompt": "question", "demonstration": "reply"}


def _lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("\n\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8-sig")


def _array(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(list(rows)),
        path,
        row_group_size=7,
    )


def _saved(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(list(rows)).save_to_disk(str(path))


def _feather(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    table = pyarrow.Table.from_pylist(list(rows))
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as out:
        out.write_table(table, max_chunksize=9)


def _stream(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    table = pyarrow.Table.from_pylist(list(rows))
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table, max_chunksize=9)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.jsonl", _lines),
        ("b.json", _array),
        ("c.csv", _table),
        ("d.parquet", _parquet),
        ("e", _saved),
        ("f.arrow", _feather),
        ("g.arrow", _stream),
    ],
)
def test_that_any_row_is_found_as_the_loader_reads_it(
    tmp_path: Path, name: str, write: Callable[[Path, Sequence[dict[str, Any]]], None]
) -> None:
    path = tmp_path / name
    write(path, ROWS)
    rows = rows_in(DatasetSource(file=str(path)), tmp_path)
    loaded = [row.fields for row in read_rows(path)]
    assert len(rows) == len(loaded) == len(ROWS)
    for number in (24, 0, 13, 6, 7):
        assert rows.row(number).fields == loaded[number] == ROWS[number]


def test_that_a_folder_of_files_is_read_behind_each_other(tmp_path: Path) -> None:
    _lines(tmp_path / "a.jsonl", ROWS[:10])
    _lines(tmp_path / "b.jsonl", ROWS[10:])
    rows = rows_in(DatasetSource(file=str(tmp_path), limit=20), tmp_path)
    assert len(rows) == 20
    assert rows.row(9).fields == ROWS[9]
    assert rows.row(10).fields == ROWS[10]
    assert rows.row(10).where == "b.jsonl, line 1"


def test_that_a_broken_line_fails_alone_and_says_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"question": "a", "reply": "b"}\n{"question": \n{"question": "c"}\n')
    items = Items(DatasetSource(file=str(path), columns=COLUMNS), tmp_path)
    assert items.example(0).prompt == "a"
    with pytest.raises(UserError, match=r"broken\.jsonl, line 2 is not JSON: .* at column 13"):
        items.example(1)
    assert items.example(2).prompt == "c"


def test_that_a_record_with_too_many_values_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text('question,reply\n"a\nb",c\nd,e,f\n')
    rows = rows_in(DatasetSource(file=str(path)), tmp_path)
    assert rows.row(0).fields == {"question": "a\nb", "reply": "c"}
    with pytest.raises(UserError, match=r"broken\.csv, line 4 has 3 values for the 2 columns"):
        rows.row(1)


COMMITS = ("a" * 40, "b" * 40)


def _copy(
    cache: Path, config: str, commit: str, splits: dict[str, Sequence[dict[str, Any]]]
) -> None:
    """A dataset as `datasets` keeps it after a download."""
    folder = cache / "owner___name" / config / "0.0.0" / commit
    folder.mkdir(parents=True)
    info = datasets.DatasetInfo(features=datasets.Dataset.from_list(list(ROWS)).features)
    info.splits = datasets.SplitDict()
    for split, rows in splits.items():
        _stream(folder / f"name-{split}.arrow", rows)
        info.splits.add(datasets.SplitInfo(split, num_examples=len(rows)))
    info.write_to_directory(str(folder))


def test_that_a_dataset_of_the_hub_is_read_where_it_was_fetched_and_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)

    def rows(**fields: str) -> Any:
        return rows_in(DatasetSource(hub="owner/name", **fields), tmp_path)

    with pytest.raises(UserError, match="has not been fetched to this machine yet") as told:
        rows()
    assert "A run fetches it" in told.value.hint
    _copy(tmp_path, "default", COMMITS[0], {"train": ROWS[:5], "test": ROWS[5:]})
    with pytest.raises(UserError, match="several splits: train, test"):
        rows()
    with pytest.raises(UserError, match="no split dev: train, test"):
        rows(split="dev")
    assert [rows(split="train").row(n).fields for n in range(5)] == ROWS[:5]
    assert rows(split="test").row(1).where == "owner/name@aaaaaaa, test, row 2"
    _copy(tmp_path, "default", COMMITS[1], {"train": ROWS[3:7]})
    for place, commit in enumerate(COMMITS):  # the second was fetched later
        info = tmp_path / "owner___name/default/0.0.0" / commit / "dataset_info.json"
        os.utime(info, (place, place))
    assert rows(split="train").row(0).fields == ROWS[3]
    assert rows(split="train", revision=COMMITS[0]).row(0).fields == ROWS[0]
    with pytest.raises(UserError, match="has not been fetched"):
        rows(split="train", revision="c" * 40)
    _copy(tmp_path, "other", COMMITS[1], {"train": ROWS[9:]})
    with pytest.raises(UserError, match="several configurations: default, other"):
        rows(split="train")
    assert rows(split="train", config="other").row(0).fields == ROWS[9]


def test_that_a_survey_counts_all_faults_and_all_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    rows = [
        {"q": "One?", "a": "1", "key": "1", "kind": "odd"},
        {"q": "Two?", "a": "", "key": "2", "kind": "even"},
        {"q": "", "a": "3", "key": "3", "kind": "odd"},
        {"q": "ONE?", "a": "1", "key": None, "kind": "odd"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\nno JSON\n")
    source = DatasetSource(
        file=str(path),
        columns={"prompt": "q", "demonstration": "a", "answer": "key", "subject": "kind"},
    )
    told: list[tuple[int, int]] = []
    found = survey(Items(source, tmp_path), lambda done, of: told.append((done, of)))
    assert (found.rows, found.items, found.faulty) == (5, 3, 2)
    assert [fault.number for fault in found.faults] == [2, 4]
    assert "line 3: column q has no text" in found.faults[0].message
    assert (found.demonstrated, found.keyed) == (2, 2)
    assert found.repeats == ((3, 0),)
    assert dict(found.groups) == {"odd": 2, "even": 1}
    assert {field.name: field.filled for field in found.fields} == {
        "q": 3,
        "a": 3,
        "key": 3,
        "kind": 4,
    }
    assert told == [(0, 5)]


def test_that_kinds_are_told_as_they_are_and_several_of_one_column_all(tmp_path: Path) -> None:
    rows = [{"q": "a", "when": date(2026, 1, 2), "seen": b"PNG", "deep": {"x": [b"12"]}}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "k.parquet")
    found = survey(Items(DatasetSource(file="k.parquet"), tmp_path), lambda *_: None)
    assert [(it.name, it.kind, it.example) for it in found.fields] == [
        ("q", "text", "a"),
        ("when", "time", '"2026-01-02"'),
        ("seen", "bytes", '"3 bytes"'),
        ("deep", "object", '{"x": ["2 bytes"]}'),
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_text('{"q": 1}\n{"q": "a"}\n{"q": "b"}\n{"q": true}\n{"q": null}\n{broken\n')
    found = survey(Items(DatasetSource(file=str(path)), tmp_path), lambda *_: None)
    assert [(it.kind, it.filled) for it in found.fields] == [("text or number or truth", 4)]
    assert (found.rows, found.readable) == (6, 5)


def test_that_rows_of_no_known_format_still_show_their_columns(tmp_path: Path) -> None:
    _lines(tmp_path / "x.jsonl", ROWS)
    found = survey(Items(DatasetSource(file="x.jsonl"), tmp_path), lambda *_: None)
    assert found.format == ""
    assert "fits no known format" in found.trouble[0]
    assert [field.name for field in found.fields] == ["question", "reply"]
    assert found.items == 0


def _example(number: int, prompt: str) -> Example:
    return Example(f"{number}-x", (Message("user", prompt),))


def test_that_each_leak_names_the_training_item_that_it_comes_from() -> None:
    words = [f"word{n}" for n in range(200)]
    training = [_example(n, " ".join(words[n * 40 : n * 40 + 40])) for n in range(5)]
    evaluation = [
        _example(0, "Something of its own that nobody asks"),
        _example(1, training[3].prompt.upper()),
        _example(2, "Please: " + training[1].prompt),
    ]
    found = leaks(training, evaluation)
    assert [(it.evaluated, it.trained, it.kind) for it in found] == [(1, 3, "same"), (2, 1, "near")]
    assert found[1].share > 0.9


def test_that_repeats_point_to_the_first_that_asks_the_same() -> None:
    examples = [_example(n, text) for n, text in enumerate(("A?", "B?", "a", "b", "C"))]
    found = [(it.evaluated, it.trained) for it in repeats(examples)]
    assert found == [(2, 0), (3, 1)]


def test_that_half_a_character_is_a_fault_of_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text(
        '{"question": "\\ud83d\\ude00 whole"}\n{"question": "cut \\ud83d"}\n{"question": "\\\\ud83d"}\n'
    )
    items = Items(DatasetSource(file=str(path), columns={"prompt": "question"}), tmp_path)
    found = survey(items, lambda *_: None)
    assert [(it.number, it.message) for it in found.faults] == [
        (1, r"cut.jsonl, line 2 holds half a character, \ud83d alone.")
    ]
    assert items.example(0).prompt == "\U0001f600 whole"
    assert items.example(2).prompt == r"\ud83d"
    array = tmp_path / "cut.json"
    array.write_text('[{"question": "cut \\udc00"}]')
    with pytest.raises(UserError, match="item 1 holds half a character"):
        next(read_rows(array))


def test_that_a_mark_is_taken_from_the_first_line_only_as_the_loader_does(tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\xef\xbb\xbf{"a": 2}\n')
    rows, loaded = rows_in(DatasetSource(file=str(path)), tmp_path), read_rows(path)
    assert rows.row(0) == next(loaded)
    with pytest.raises(UserError) as told:
        rows.row(1)
    with pytest.raises(UserError) as refused:
        next(loaded)
    assert told.value.message == refused.value.message


def test_that_a_file_that_goes_away_while_it_is_read_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "gone.jsonl"
    _lines(path, ROWS)
    items = Items(DatasetSource(file=str(path), columns=COLUMNS), tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"gone\.jsonl cannot be read: No such file"):
        items.example(3)


def test_that_a_damaged_page_is_a_fault_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    table = pyarrow.table({"question": [f"{n} " + "x" * 50 for n in range(4_000)]})
    pyarrow.parquet.write_table(table, path, row_group_size=2_000, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[2_000:3_000] = bytes(1_000)
    path.write_bytes(content)
    items = Items(DatasetSource(file=str(path), columns={"prompt": "question"}), tmp_path)
    with pytest.raises(UserError, match=r"damaged\.parquet cannot be read as Parquet"):
        items.row(1_999)
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        items.row(1_998)
    assert items.row(2_000).fields["question"].startswith("2000 ")


def test_that_rows_of_a_large_group_are_reached_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table({"n": list(range(5_000))}), path, row_group_size=2_000
    )
    rows = rows_in(DatasetSource(file=str(path)), tmp_path)
    wanted = [4_999, 0, 1_999, 10, 2_000, 255, 256, 3_999, 1, 4_000]
    assert [rows.row(number).fields["n"] for number in wanted] == wanted


def test_that_pictures_are_told_as_they_are_stored_the_same_each_time(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "user", "content": "What is it?"}],
            "image": {"bytes": b"PNG", "path": "a.png"},
        },
        {"prompt": [{"role": "user", "content": "And that?"}], "image": None},
    ]
    made = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    datasets.disable_progress_bars()
    made.save_to_disk(str(tmp_path / "seen"))
    items = Items(DatasetSource(file="seen"), tmp_path)
    assert items.row(0).fields["image"] == {"bytes": b"PNG", "path": "a.png"}
    again = Items(DatasetSource(file="seen"), tmp_path)
    assert items.example(0) == again.example(0)
    assert [row.fields for row in read_rows(tmp_path / "seen")] == [
        items.row(n).fields for n in (0, 1)
    ]
