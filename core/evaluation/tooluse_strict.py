"""The strict Tooluse rule (`tooluse_strict_v1`): the same calls, in the same order, each with its own arguments.

It mends what the official rule loses (`core.evaluation.tooluse`, methods.md E): JSON is read to its end, so that
nested objects count; arguments stay with their call instead of being merged; the order of calls counts; and the
mark of "[Optional]name", which the tool lists put before a name, is no part of it. Every gold answer is right by
this rule. It judges the same answers as the official one, so both figures come from one generation.

Where the arguments are no JSON, in a gold answer or in the model's, their text is compared instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.data.example import ToolCall

_ACTION = re.compile(r"(?<!\w)Action:\s*")
_INPUT = re.compile(r"(?<!\w)Action Input:")
_SPACE = re.compile(r"\s*")
_NEXT = re.compile(r"\n\s*(?:Thought|Observation|Action)\b")
_MARK = re.compile(r"^\[Optional\]\s*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Call:
    """A tool's name and its arguments: decoded JSON, or the text where it is none."""

    name: str
    arguments: Any


def calls(text: str) -> list[Call]:
    """The calls in an answer, in order.

    "Action:" and "Action Input:" inside the JSON of an argument start no call.
    """
    found: list[Call] = []
    start = _ACTION.search(text)
    while start is not None:
        following = _ACTION.search(text, start.end())
        given = _INPUT.search(text, start.end(), following.start() if following else len(text))
        end = start.end()
        arguments: Any = ""
        if given is not None:
            arguments, end = _arguments(text, given.end())
        name = text[start.end() : given.start() if given else len(text)].partition("\n")[0]
        found.append(Call(_plain(name), arguments))
        start = _ACTION.search(text, end)
    return found


def _arguments(text: str, start: int) -> tuple[Any, int]:
    """The arguments that begin at a place, and the place behind them."""
    space = _SPACE.match(text, start)
    try:
        return _DECODER.raw_decode(text, space.end() if space else start)
    except (json.JSONDecodeError, RecursionError):  # the latter: a model that writes "[[[[[…"
        following = _NEXT.search(text, start)
        end = following.start() if following else len(text)
        return text[start:end].strip(), end


def _plain(name: str) -> str:
    return _MARK.sub("", name.strip())


def is_correct(text: str, gold: Sequence[ToolCall]) -> bool:
    """Whether the answer's calls are the gold ones."""
    wanted = [
        Call(_plain(call.action), _arguments(call.action_input.strip(), 0)[0]) for call in gold
    ]
    made = calls(text)
    return len(made) == len(wanted) and all(
        mine.name == its.name and _same(mine.arguments, its.arguments)
        for mine, its in zip(made, wanted, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0 and not true, and the order of keys does not count."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
