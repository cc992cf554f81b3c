"""What is shown of an item is what training makes of it: the loader's examples, the stage's prompts, its tokens."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.chat import answer_ids, prompt_ids, teacher_messages
from core.data.load import load
from core.engine import data_process
from core.engine.data_desk import Desk
from core.engine.data_lengths import unpacked
from core.engine.data_tokens import TokenDesk
from core.lm.skeleton import local_folder
from core.recipe.sources import DatasetSource, ModelSource
from core.recipe.template import TEACHER_TEMPLATE

MODEL = {"name": "rekindle-1m"}
TURN = {"role": "user", "content": "Où est 3 + 4 ?\r\n\tTell  me <b>now</b>. "}
ROWS: Mapping[str, list[dict[str, Any]]] = {
    "messages": [
        {"messages": [{"role": "system", "content": "Be  brief."}, TURN], "demonstration": " 7 . "},
        {"messages": [TURN, {"role": "assistant", "content": "7\n"}]},
    ],
    "tooluse": [
        {
            "prompt": "Tools: {a}\nQuestion: {question}",
            "golden_answer": [{"Action": "a", "Action_Input": {"x": 1}}],
            "golden_response": ["Thought: é", "Action: a"],
        }
    ],
    "mmlu": [{"question": "Which ?", "choices": ["a ,", "b"], "answer": 1, "subject": "s"}],
    "sciknoweval": [
        {
            "question": "Which?",
            "choices": {"text": ["p", "q"], "label": ["A", "B"]},
            "answerKey": "B",
        }
    ],
    "columns": [{"ask": "What  is {demonstration}?", "reply": "That 's it .", "sys": "S"}],
}
TEMPLATES = ("", "So: {demonstration}\n\n{question} !")


def _asked(desk: Desk | TokenDesk, act: str, **what: Any) -> Any:
    told = io.StringIO()
    data_process.serve(desk.acts, io.StringIO(data_process.question(1, act, what)), told)
    return json.loads(told.getvalue().splitlines()[-1])["record"]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("format", list(ROWS))
def test_that_the_prompts_shown_are_those_of_training_to_the_letter_and_token(
    tmp_path: Path, format: str, template: str
) -> None:
    from transformers import AutoTokenizer

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[format]))
    source: dict[str, Any] = {"file": str(path)}
    if format == "columns":
        source["columns"] = {"prompt": "ask", "demonstration": "reply", "system": "sys"}
    loaded = load("it", DatasetSource.model_validate(source), tmp_path)
    assert loaded.format == format
    folder = local_folder(ModelSource.model_validate(MODEL), None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    desk, tokens = Desk(), TokenDesk(None)
    lengths = {"prompt": 0, "demonstration": 0, "teacher": 0}
    for number, example in enumerate(loaded.examples):
        what = {"source": source, "number": number, "template": template}
        item = _asked(desk, "item", **what)
        shown = _asked(tokens, "render", model=MODEL, **what)
        teacher = teacher_messages(example, template or TEACHER_TEMPLATE)
        assert item["student"] == [[it.role, it.content] for it in example.messages]
        assert item["teacher"] == [[it.role, it.content] for it in teacher]
        assert item["demonstration"] == example.demonstration
        for side, messages in (("student", example.messages), ("teacher", teacher)):
            trained = prompt_ids(tokenizer, messages)
            text = shown[side]["text"].encode()
            assert tokenizer(text.decode(), add_special_tokens=False).input_ids == trained
            assert shown[side]["tokens"] == len(trained)
            assert all(it.content.encode() in text for it in messages)
        lengths["prompt"] += len(prompt_ids(tokenizer, example.messages))
        lengths["demonstration"] += len(answer_ids(tokenizer, example.demonstration))
        lengths["teacher"] += len(prompt_ids(tokenizer, teacher))
    found = _asked(tokens, "lengths", source=source, model=MODEL, template=template)
    for part, sum_ in lengths.items():
        values, counts = (unpacked(found[part][it]) for it in ("lengths", "counts"))
        assert int(np.dot(values, counts)) == sum_
        assert counts.sum() == len(loaded)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"role": "tool", "content": "sunny"}, "messages[1] has the role tool; known are system"),
        ({"role": "assistant", "content": None, "tool_calls": [{}]}, "has tool calls as content"),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
            "messages[1] has parts (image, text) as content; only texts are read",
        ),
        ({"content": "a"}, "messages[1] has no role; known are"),
        ({"role": "user", "content": 5}, "has no text as content"),
    ],
)
def test_that_a_turn_that_is_no_text_is_named_for_what_it_is(
    tmp_path: Path, turn: dict[str, Any], said: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": [TURN, turn]}) + "\n")
    record = _asked(Desk(), "item", source={"file": str(path)}, number=0)
    assert said in record["problem"]
