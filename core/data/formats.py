"""What a row means: the formats of the field's datasets, recognised by their fields.

Each format is a function from a row to an Example. It raises a `Misfit` that names the field, and the
caller adds where the row stands and what the format expects.

SciKnowEval rows get the system prompt of the evaluation folder, which demands <reasoning> and <answer>:
trained and evaluated on other prompts, a model would be measured on format alone. Their file holds the
answer key and no worked solution; where none is given, the demonstration is the key in the form that the
system prompt asks for: "<answer>\\nB\\n</answer>".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from core.data.example import Example, Message, RoleName, ToolCall

SCIENCE_SYSTEM = (
    "\nGiven a question and four options, please select the right answer. Respond in the following"
    " format:\n<reasoning>\n...\n</reasoning>\n<answer>\n...\n</answer>\n\nFor the answer, only output"
    " the letter corresponding to the correct option (A, B, C, or D), and nothing else. Do not restate"
    ' the answer text. For example, if the answer is "A", just output:\n<answer>\nA\n</answer>\n'
)
"""Word for word the system turn of the Science evaluation items: it defines the protocol."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ROLES = ("system", "user", "assistant")
COLUMNS = ("prompt", "demonstration", "answer", "choices", "system", "subject")

EXPECTED: Mapping[str, str] = {
    "tooluse": 'prompt (text), golden_answer (list of {"Action", "Action_Input"}), and for training'
    " golden_response (list of texts)",
    "sciknoweval": 'question (text), choices {"text": […], "label": […]}, answerKey (one of the labels)',
    "mmlu": "question (text), choices (list of texts), answer (index or letter), subject",
    "winogrande": 'sentence (text with a blank "_"), option1, option2, answer ("1" or "2")',
    "messages": 'messages or prompt (list of {"role", "content"}), and answer or a last assistant turn',
    "columns": "the columns that `columns` names",
}


class Misfit(Exception):
    """A row does not have the form that its format asks for; says which field."""


def recognise(fields: Mapping[str, Any]) -> str | None:
    """The format of a row by its fields, or None."""
    prompt, choices = fields.get("prompt"), fields.get("choices")
    if isinstance(prompt, str) and "golden_answer" in fields:
        return "tooluse"
    if "question" in fields and "answerKey" in fields and isinstance(choices, Mapping):
        return "sciknoweval"
    if "question" in fields and "answer" in fields and isinstance(choices, list):
        return "mmlu"
    if all(isinstance(fields.get(name), str) for name in ("sentence", "option1", "option2")):
        return "winogrande"
    if isinstance(fields.get("messages"), list) or isinstance(prompt, list):
        return "messages"
    return None


def example_of(
    format: str, fields: Mapping[str, Any], number: int, columns: Mapping[str, str]
) -> Example:
    """Row `number` (from 0) as an example.

    Raises:
        Misfit: a field is missing or of the wrong form.
    """
    content = json.dumps(fields, sort_keys=True, ensure_ascii=False, default=str)
    identity = f"{number}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
    if format == "columns":
        return _columns(fields, identity, columns)
    return _FORMATS[format](fields, identity)


def _tooluse(fields: Mapping[str, Any], identity: str) -> Example:
    calls = tuple(
        _call(call, f"golden_answer[{index}]")
        for index, call in enumerate(_list(fields, "golden_answer"))
    )
    responses = fields.get("golden_response") or []
    if isinstance(responses, str):
        responses = [responses]
    if not isinstance(responses, list) or not all(isinstance(text, str) for text in responses):
        raise Misfit("golden_response is not a list of texts")
    return Example(
        id=identity,
        messages=(Message("user", _text(fields, "prompt")),),
        demonstration="\n".join(responses),
        calls=calls,
        group=str(fields.get("name") or ""),
    )


def _call(call: Any, place: str) -> ToolCall:
    if not isinstance(call, Mapping) or not isinstance(call.get("Action"), str):
        raise Misfit(f"{place} has no Action")
    given = call.get("Action_Input")
    if given is None:
        raise Misfit(f"{place} has no Action_Input")
    return ToolCall(call["Action"], given if isinstance(given, str) else json.dumps(given))


def _sciknoweval(fields: Mapping[str, Any], identity: str) -> Example:
    choices = fields.get("choices")
    if not isinstance(choices, Mapping):
        raise Misfit("choices is not an object with text and label")
    texts = [str(text) for text in _list(choices, "text", "choices.text")]
    labels = [str(label) for label in _list(choices, "label", "choices.label")]
    key = _text(fields, "answerKey").strip()
    if len(texts) != len(labels) or len(texts) < 2:
        raise Misfit(
            f"choices has {len(texts)} texts and {len(labels)} labels; only items with options can be read"
        )
    if key not in labels:
        raise Misfit(f"answerKey {key!r} is none of the labels {', '.join(labels)}")
    question = _text(fields, "question")
    lines = "\n".join(f"{label}: {text}" for label, text in zip(labels, texts, strict=True))
    solution = fields.get("output_text") or fields.get("answer") or ""
    details = fields.get("details")
    group = details.get("subtask") or details.get("task") if isinstance(details, Mapping) else ""
    return Example(
        id=identity,
        messages=(Message("system", SCIENCE_SYSTEM), Message("user", f"{question}\n\n{lines}")),
        demonstration=str(solution) or tagged(key),
        gold=key,
        choices=tuple(texts),
        gold_choice=labels.index(key),
        group=str(group or fields.get("domain") or ""),
        question=question,
    )


def tagged(letter: str) -> str:
    """An answer key in the form that SCIENCE_SYSTEM asks for."""
    return f"<answer>\n{letter}\n</answer>"


def _mmlu(fields: Mapping[str, Any], identity: str) -> Example:
    question = _text(fields, "question")
    return _multiple_choice(
        identity,
        question,
        _list(fields, "choices"),
        fields.get("answer"),
        group=str(fields.get("subject") or ""),
    )


def _winogrande(fields: Mapping[str, Any], identity: str) -> Example:
    sentence = _text(fields, "sentence")
    if "_" not in sentence:
        raise Misfit("sentence has no blank _")
    answer = str(fields.get("answer") or "").strip()
    if answer not in ("1", "2"):
        raise Misfit(f"answer {answer!r} is neither 1 nor 2")
    options = [_text(fields, "option1"), _text(fields, "option2")]
    return _multiple_choice(identity, sentence, options, int(answer) - 1)


def _multiple_choice(
    identity: str,
    question: str,
    choices: Sequence[Any],
    answer: Any,
    group: str = "",
    system: str = "",
    demonstration: str = "",
) -> Example:
    options = tuple(str(choice) for choice in choices)
    if not 2 <= len(options) <= len(LETTERS):
        raise Misfit(f"choices has {len(options)} options")
    index = _index(answer, options)
    lines = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))
    return Example(
        id=identity,
        messages=_turns(system, f"{question}\n{lines}\nAnswer:"),
        demonstration=demonstration or LETTERS[index],
        gold=LETTERS[index],
        choices=options,
        gold_choice=index,
        group=group,
        question=question,
    )


def _index(answer: Any, options: Sequence[str]) -> int:
    """The right option: given as its index from 0, as a letter, or as its text."""
    text = str(answer).strip() if answer is not None else ""
    if text in options and not isinstance(answer, int):
        return options.index(text)
    if text.isdecimal() and int(text) < len(options):
        return int(text)
    if len(text) == 1 and text.isascii() and text.upper() in LETTERS[: len(options)]:
        return LETTERS.index(text.upper())
    raise Misfit(
        f"answer {answer!r} is neither an index below {len(options)}, a letter, nor an option"
    )


def _messages(fields: Mapping[str, Any], identity: str) -> Example:
    key = "messages" if "messages" in fields else "prompt"
    turns = tuple(
        _message(turn, f"{key}[{index}]") for index, turn in enumerate(_list(fields, key))
    )
    demonstration = str(fields.get("demonstration") or "")
    completion = fields.get("completion")
    if turns[-1].role == "assistant":
        demonstration = turns[-1].content
        turns = turns[:-1]
    elif isinstance(completion, list) and completion and not demonstration:
        demonstration = _message(completion[-1], "completion[-1]").content
    elif isinstance(completion, str) and not demonstration:
        demonstration = completion
    if not turns or turns[-1].role != "user":
        raise Misfit(f"{key} does not end with a user turn, or a user and an assistant turn")
    answer = fields.get("answer")
    gold = "" if answer is None else str(answer).strip()
    choices = fields.get("choices")
    asks_for_tags = any(turn.role == "system" and "<answer>" in turn.content for turn in turns)
    if not demonstration and asks_for_tags and len(gold) == 1:
        demonstration = tagged(gold)
    return Example(
        id=identity,
        messages=turns,
        demonstration=demonstration,
        gold=gold,
        choices=tuple(map(str, choices)) if isinstance(choices, list) else (),
        group=str(fields.get("subject") or fields.get("group") or ""),
    )


def _message(turn: Any, place: str) -> Message:
    if not isinstance(turn, Mapping) or turn.get("role") not in ROLES:
        role = turn.get("role") if isinstance(turn, Mapping) else None
        had = f"the role {role}" if role else "no role"
        raise Misfit(f"{place} has {had}; known are {', '.join(ROLES)}")
    content = turn.get("content")
    if not isinstance(content, str):
        raise Misfit(f"{place} has {_held(turn, content)} as content; only texts are read")
    return Message(cast(RoleName, turn["role"]), turn["content"])


def _held(turn: Mapping[str, Any], content: Any) -> str:
    """What a turn has in the place of a text, in words."""
    if isinstance(content, list):
        kinds = {str(it.get("type", "")) for it in content if isinstance(it, Mapping)} - {""}
        return f"parts ({', '.join(sorted(kinds))})" if kinds else "a list"
    if content is None:
        return "tool calls" if turn.get("tool_calls") else "nothing"
    return "no text"


def _columns(fields: Mapping[str, Any], identity: str, columns: Mapping[str, str]) -> Example:
    value = {name: fields.get(column) for name, column in columns.items()}
    prompt = value.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise Misfit(f"column {columns['prompt']} has no text")
    text = {
        name: "" if value.get(name) is None else str(value[name])
        for name in ("demonstration", "system", "subject")
    }
    if "choices" in columns:
        return _multiple_choice(
            identity,
            prompt,
            _options(value.get("choices"), columns["choices"]),
            value.get("answer"),
            group=text["subject"],
            system=text["system"],
            demonstration=text["demonstration"],
        )
    answer = value.get("answer")
    return Example(
        id=identity,
        messages=_turns(text["system"], prompt),
        demonstration=text["demonstration"],
        gold="" if answer is None else str(answer).strip(),
        group=text["subject"],
    )


def _options(value: Any, column: str) -> list[Any]:
    """A list, or the JSON text of one, as CSV files hold it."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise Misfit(f"column {column} is not a JSON list of options") from error
    if not isinstance(value, list):
        raise Misfit(f"column {column} is not a list of options")
    return value


def _turns(system: str, user: str) -> tuple[Message, ...]:
    asked = Message("user", user)
    return (Message("system", system), asked) if system else (asked,)


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value.strip():
        raise Misfit(f"{key} is not a text" if key in fields else f"{key} is missing")
    return value


def _list(fields: Mapping[str, Any], key: str, name: str = "") -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list) or not value:
        state = (
            "is missing" if key not in fields else "is empty" if value == [] else "is not a list"
        )
        raise Misfit(f"{name or key} {state}")
    return value


_FORMATS: Mapping[str, Callable[[Mapping[str, Any], str], Example]] = {
    "tooluse": _tooluse,
    "sciknoweval": _sciknoweval,
    "mmlu": _mmlu,
    "winogrande": _winogrande,
    "messages": _messages,
}
