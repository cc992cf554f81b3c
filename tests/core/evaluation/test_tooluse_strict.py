"""The strict Tooluse rule: what the official one loses counts here, and every gold answer is right."""

from __future__ import annotations

import json

import pytest

from core.data.example import ToolCall
from core.evaluation import tooluse
from core.evaluation.tooluse import as_text
from core.evaluation.tooluse_strict import Call, calls, is_correct

OSLO = ToolCall("getWeather", '{"city": "Oslo", "days": 2}')
ROME = ToolCall("getWeather", '{"city": "Rome", "days": 2}')
NESTED = ToolCall("setHome", '{"place": {"lat": 59.9, "tags": [{"id": 1}]}, "name": "x"}')
OPTIONAL = ToolCall("[Optional]updateUser", '{"id": 1}')
BROKEN = ToolCall("latest", '{"symbols": "symbols": "EUR"}')


@pytest.mark.parametrize(
    "gold",
    [
        [OSLO],
        [OSLO, ROME],
        [NESTED],
        [OPTIONAL, NESTED],
        [BROKEN, OSLO],
        [ToolCall("preferred-routes_get", "{}")],
        [ToolCall("say", '{"text": "Call to\\nAction: now\\nAction Input: {}"}'), OSLO],
        [ToolCall("a", ""), ToolCall("b", "null"), ToolCall("c", "[1]")],
    ],
)
def test_that_every_gold_answer_is_right(gold: list[ToolCall]) -> None:
    assert is_correct(as_text(gold), gold)
    worded = as_text(gold).replace("Action: ", "Thought: I call it.\nAction:  ") + "\nThought: done"
    worded = as_text(gold) if "Call to" in gold[0].action_input else worded
    assert is_correct(worded, gold)


def test_that_order_counts_and_each_call_keeps_its_own_arguments() -> None:
    assert not is_correct(as_text([ROME, OSLO]), [OSLO, ROME])
    assert not is_correct(as_text([OSLO]), [OSLO, OSLO])
    lossy = as_text([ToolCall("getWeather", '{"city": "Lima", "days": 2}'), ROME])
    assert tooluse.is_correct(lossy, [OSLO, ROME])  # merged, the first city is lost
    assert not is_correct(lossy, [OSLO, ROME])
    swapped = as_text([ToolCall("a", '{"y": 2}'), ToolCall("b", '{"x": 1}')])
    gold = [ToolCall("a", '{"x": 1}'), ToolCall("b", '{"y": 2}')]
    assert tooluse.is_correct(swapped, gold)
    assert not is_correct(swapped, gold)


def test_that_nested_json_is_read_to_its_end_and_a_difference_inside_is_seen() -> None:
    assert calls(as_text([NESTED])) == [Call("setHome", json.loads(NESTED.action_input))]
    other = ToolCall("setHome", NESTED.action_input.replace('"id": 1', '"id": 2'))
    assert not is_correct(as_text([other]), [NESTED])


def test_that_the_mark_of_an_optional_tool_is_no_part_of_its_name() -> None:
    assert is_correct('Action: updateUser\nAction Input: {"id": 1}', [OPTIONAL])
    assert is_correct('Action: [Optional] updateUser\nAction Input: {"id": 1}', [OPTIONAL])
    assert not is_correct('Action: [Other]updateUser\nAction Input: {"id": 1}', [OPTIONAL])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Action: getWeather",
        'Action Input: {"city": "Oslo", "days": 2}',
        'Action: getweather\nAction Input: {"city": "Oslo", "days": 2}',
        'Action: getWeather now\nAction Input: {"city": "Oslo", "days": 2}',
        'Action: getWeather\nAction Input: {"city": "Oslo", "days": true}',
        'Action: getWeather\nAction Input: {"city": "Oslo", "days": "2"}',
        'Action: getWeather\nAction Input: {"city": "Oslo", "days": 2, "more": 1}',
        'Action: getWeather\nAction Input: {"city": "Oslo", "days": 2',
        "Action: getWeather\nAction Input: {'city': 'Oslo', 'days': 2}",
        'Action: other\nAction: getWeather\nAction Input: {"city": "Oslo", "days": 2}',
    ],
)
def test_that_another_name_value_type_or_number_of_calls_is_wrong(text: str) -> None:
    assert not is_correct(text, [OSLO])


def test_that_json_is_compared_by_value() -> None:
    gold = [ToolCall("f", '{"x": 1, "y": [1, 2], "z": true}')]
    assert is_correct('Action: f\nAction Input: {"z":true,"y":[1.0,2],\n"x":1.0} so', gold)
    assert not is_correct('Action: f\nAction Input: {"x": 1, "y": [2, 1], "z": true}', gold)
    assert not is_correct('Action: f\nAction Input: {"x": 1, "y": [1, 2], "z": 1}', gold)


def test_that_a_model_stuck_in_brackets_is_wrong_by_both_rules_and_no_crash() -> None:
    text = 'Action: getWeather\nAction Input: {"city": ' + "[" * 100_000 + "}"
    assert not is_correct(text, [OSLO])
    assert not tooluse.is_correct(text, [OSLO])
