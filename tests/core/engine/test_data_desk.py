"""The processes that look at data: what they answer, and what they say when they cannot."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.disk import state_of
from core.engine import data_process, spawn
from core.engine.data_desk import Desk
from core.engine.data_lengths import distributions, unpacked
from core.engine.data_tokens import TokenDesk
from core.errors import UserError
from core.store.home import Home

SCIENCE = {"demo": "science", "config": "known-own", "split": "train", "limit": 12}


def _asked(desk: Desk | TokenDesk, act: str, **what: Any) -> list[dict[str, Any]]:
    told = io.StringIO()
    data_process.serve(desk.acts, io.StringIO(data_process.question(7, act, what)), told)
    return [json.loads(line) for line in told.getvalue().splitlines()]


def test_that_an_item_is_told_as_student_and_teacher_read_it() -> None:
    (answer,) = _asked(Desk(), "item", source=SCIENCE, number=2)
    item = answer["record"]
    assert (item["number"], item["of"], item["format"]) == (2, 12, "messages")
    assert [role for role, _ in item["student"]] == ["user"]
    assert item["demonstration"] in item["teacher"][-1][1]
    assert item["student"][0][1] in item["teacher"][-1][1]
    assert {name for name, _, _ in item["fields"]} >= {"messages", "answer"}


def test_that_a_template_of_ones_own_is_used() -> None:
    template = "{demonstration} | {question}"
    (answer,) = _asked(Desk(), "item", source=SCIENCE, number=0, template=template)
    item = answer["record"]
    assert item["teacher"][-1][1] == f"{item['demonstration']} | {item['student'][-1][1]}"


def test_that_a_search_goes_round_and_skips_no_match(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"Item {n % 5}"}) for n in range(10)))
    source = {"file": str(path)}
    desk = Desk()
    found = [
        _asked(desk, "find", source=source, number=at, text="ITEM 3", step=step)[-1]["record"]
        for at, step in ((0, 1), (3, 1), (8, 1), (8, -1), (3, -1))
    ]
    assert found == [3, 8, 3, 3, 8]
    assert _asked(desk, "find", source=source, number=0, text="none")[-1]["record"] is None


def test_that_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    desk = Desk()
    for count in (1, 3):
        path.write_text("\n".join(json.dumps({"prompt": [], "n": n}) for n in range(count)) + "\n")
        assert _asked(desk, "survey", source={"file": str(path)})[-1]["record"]["rows"] == count


def test_that_a_file_that_changed_inside_a_folder_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    desk = Desk()
    for count in (2, 5):
        text = "\n".join(json.dumps({"prompt": [], "n": n}) for n in range(count)) + "\n"
        (folder / "a.jsonl").write_text(text)
        assert _asked(desk, "survey", source={"file": str(folder)})[-1]["record"]["rows"] == count


def test_that_another_text_of_the_same_size_is_another_state(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    states = []
    for at, text in enumerate(("one", "two")):
        path.write_text(text)
        os.utime(path, (at, at))
        states.append(state_of(path))
    assert states[0] != states[1]
    assert state_of(tmp_path / "gone") == ""


def test_that_leaks_come_with_both_items_and_progress_before() -> None:
    same = {**SCIENCE, "limit": 3}
    answers = _asked(Desk(), "leaks", training=SCIENCE, evaluation=same)
    record = answers[-1]["record"]
    assert (record["evaluated"], record["trained"]) == (3, 12)
    pairs = {name: list(unpacked(it)) for name, it in record["pairs"].items()}
    assert pairs == {
        "evaluated": [0, 1, 2],
        "trained": [0, 1, 2],
        "near": [0, 0, 0],
        "share": [10_000] * 3,
    }
    assert record["texts"][0][0] == record["texts"][0][1] != ""
    assert all(set(it) == {"n", "done", "of", "unit"} for it in answers[:-1])


def test_that_data_trained_on_and_evaluated_are_shared_as_a_whole_and_do_not_repeat() -> None:
    both = _asked(Desk(), "leaks", training=SCIENCE, evaluation=SCIENCE)[-1]["record"]
    assert list(unpacked(both["pairs"]["evaluated"])) == list(range(12))
    within = _asked(Desk(), "repeats", source=SCIENCE)[-1]["record"]
    assert within["near"] is True
    assert len(unpacked(within["pairs"]["evaluated"])) == 0


def test_that_a_wrong_source_is_said_in_words() -> None:
    (answer,) = _asked(Desk(), "survey", source={"file": "a", "hub": "b"})
    assert "exactly one of file, hub, demo" in answer["error"]


def _spread(record: dict[str, Any], part: str) -> list[int]:
    """Every length as often as it occurs."""
    lengths, counts = (unpacked(record[part][it]) for it in ("lengths", "counts"))
    return list(np.repeat(lengths, counts))


def test_that_lengths_are_counted_in_tokens_where_a_tokenizer_is_at_hand() -> None:
    model = {"name": "rekindle-1m"}
    record = _asked(TokenDesk(None), "lengths", source=SCIENCE, model=model)[-1]["record"]
    assert (record["unit"], record["context"], record["items"]) == ("tokens", 512, 12)
    prompt, shown, teacher, total = (
        _spread(record, it) for it in ("prompt", "demonstration", "teacher", "total")
    )
    assert len(prompt) == len(shown) == len(teacher) == len(total) == 12
    assert sum(total) == sum(prompt) + sum(shown)
    assert sum(teacher) > sum(total)
    number = record["prompt"]["longest"]
    rendered = _asked(TokenDesk(None), "render", source=SCIENCE, number=number, model=model)
    assert rendered[-1]["record"]["student"]["tokens"] == max(prompt)


def test_that_shown_prompts_are_counted_as_the_run_counts_them() -> None:
    model = {"name": "rekindle-1m"}
    (item,) = _asked(Desk(), "item", source=SCIENCE, number=0)
    record = item["record"]
    prompts = {side: record[side] for side in ("student", "teacher")}
    answers = {"demonstration": record["demonstration"]}
    told = _asked(TokenDesk(None), "count", prompts=prompts, answers=answers, model=model)
    found = told[-1]["record"]
    rendered = _asked(TokenDesk(None), "render", source=SCIENCE, number=0, model=model)
    assert found["prompts"] == {
        side: rendered[-1]["record"][side]["tokens"] for side in ("student", "teacher")
    }
    lengths = _asked(TokenDesk(None), "lengths", source=SCIENCE, model=model)[-1]["record"]
    assert found["answers"]["demonstration"] in _spread(lengths, "demonstration")
    assert found["context"] == lengths["context"]
    (told_not,) = _asked(TokenDesk(None), "count", prompts={}, answers={}, model={"folder": "/no"})
    assert "not on this machine" in told_not["error"]


def test_that_what_an_item_lacks_has_no_length() -> None:
    found = distributions([3, 5, 9], [(4, 0, 0), (7, 2, 12), (4, 0, 0)])
    assert list(unpacked(found["prompt"]["lengths"])) == [4, 7]
    assert list(unpacked(found["prompt"]["counts"])) == [2, 1]
    assert list(unpacked(found["demonstration"]["lengths"])) == [2]
    assert found["teacher"]["longest"] == 5
    assert list(unpacked(found["total"]["lengths"])) == [4, 9]
    assert distributions([], [])["prompt"]["longest"] is None


def test_that_characters_are_counted_elsewhere() -> None:
    record = _asked(TokenDesk(None), "lengths", source=SCIENCE, model={"folder": "/nowhere"})[-1][
        "record"
    ]
    (item,) = _asked(Desk(), "item", source=SCIENCE, number=0)
    assert record["unit"] == "characters"
    assert len(item["record"]["student"][0][1]) in _spread(record, "prompt")
    (told,) = _asked(TokenDesk(None), "render", source=SCIENCE, number=0)
    assert "not on this machine" in told["error"]


def test_that_the_process_answers_from_outside(tmp_path: Path) -> None:
    home = Home(tmp_path)
    told: list[data_process.Report] = []
    found = data_process.ask("reading", home, "survey", {"source": SCIENCE}, told.append)
    assert found["items"] == 12
    assert told[0] == data_process.Report(0, 0, 12)
    with pytest.raises(UserError, match="no file"):
        data_process.ask("reading", home, "survey", {"source": {"file": "/no/file.jsonl"}})


def test_that_looking_at_data_loads_no_torch() -> None:
    code = "import core.engine.data_desk, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=spawn.environment()).returncode == 0


def test_that_a_process_that_ends_without_an_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_process, "command", lambda *_: [sys.executable, "-c", "print('hm')"])
    with pytest.raises(UserError, match="ended"):
        data_process.ask("reading", Home(tmp_path), "survey", {"source": SCIENCE})
