"""The official Tooluse scorer (`tooluse_official_v1`), reproduced decision for decision.

Its rule: the multiset of tool names equals the gold one, and so do all arguments merged into one dictionary,
later calls overwriting earlier ones. It is known to be lossy: the argument pattern ends at the first closing
brace, so nested JSON never parses, and a name such as "[Optional]update" is not matched. A gold answer with
either cannot be scored as right; two of the published 97 items are of that kind. Nothing is mended here,
because published figures were made with this rule.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from core.data.example import ToolCall

ACTION = re.compile(r"Action:\s*(\w+)")
ACTION_INPUT = re.compile(r"Action Input:\s*({.*?})", re.DOTALL)


def actions(text: str) -> list[str]:
    """The tool names an answer calls, in order."""
    return ACTION.findall(text)


def arguments(text: str) -> dict[str, Any]:
    """The arguments of all calls in an answer, merged; what is no JSON counts for nothing."""
    merged: dict[str, Any] = {}
    for block in ACTION_INPUT.findall(text):
        try:
            merged.update(json.loads(block))
        except (json.JSONDecodeError, RecursionError):  # the latter: a model that writes "[[[[[…"
            continue
    return merged


def gold_arguments(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """The arguments of the gold calls, merged; what is no JSON object counts for nothing."""
    merged: dict[str, Any] = {}
    for call in calls:
        try:
            merged.update(json.loads(call.action_input))
        except (ValueError, TypeError):  # no JSON, or JSON that is no object
            continue
    return merged


def is_correct(text: str, calls: Sequence[ToolCall]) -> bool:
    """Whether the answer's calls equal the gold ones, by the official rule."""
    same_actions = Counter(actions(text)) == Counter(call.action for call in calls)
    return same_actions and arguments(text) == gold_arguments(calls)


def is_nearly_correct(text: str, calls: Sequence[ToolCall]) -> bool:
    """A lenient reading, for calls in another syntax: each tool is named, each argument beside its value.

    No part of the score; it tells a wrong call from a right one in a format of its own.
    """
    for call in calls:
        if not re.search(rf"(?<!\w){re.escape(call.action)}(?!\w)", text):
            return False
        for key, value in gold_arguments([call]).items():
            pair = rf"(?<!\w){re.escape(str(key))}\W{{1,4}}{re.escape(str(value))}(?!\w)"
            if not re.search(pair, text):
                return False
    return True


def as_text(calls: Sequence[ToolCall]) -> str:
    """The gold calls as an answer in the prompt's format."""
    return "\n".join(f"Action: {call.action}\nAction Input: {call.action_input}" for call in calls)
