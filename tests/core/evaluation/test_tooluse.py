"""The official Tooluse rule on items written for this project, quirks included."""

from __future__ import annotations

import json

import pytest

from core.data.example import ToolCall
from core.evaluation.tooluse import actions, arguments, as_text, gold_arguments, is_correct

WEATHER = ToolCall("getWeather", '{"city": "Oslo", "days": 2}')
ROUTE = ToolCall("findRoute", '{"start": "Oslo", "end": "Bergen"}')


def _answer(*pairs: tuple[str, str]) -> str:
    return "\n".join(f"Thought: so\nAction: {a}\nAction Input: {i}" for a, i in pairs)


def test_that_the_gold_call_in_other_words_and_spacing_is_right() -> None:
    text = 'Thought: fine.\nAction:getWeather\nAction Input:   {"days":2,\n "city": "Oslo"}\nDone.'
    assert is_correct(text, [WEATHER])


@pytest.mark.parametrize(
    "text",
    [
        _answer(("getWeather", '{"city": "Oslo", "days": 3}')),
        _answer(("getWeather", '{"city": "Oslo", "days": "2"}')),
        _answer(("getWeather", '{"city": "Oslo"}')),
        _answer(("getweather", '{"city": "Oslo", "days": 2}')),
        _answer(("getWeather", '{"city": "Oslo", "days": 2')),
        _answer(("getWeather", "{'city': 'Oslo', 'days': 2}")),
        _answer(("getWeather", WEATHER.action_input), ("getWeather", WEATHER.action_input)),
        'Action Input: {"city": "Oslo", "days": 2}',
        "",
    ],
)
def test_that_a_wrong_value_type_name_count_or_json_is_wrong(text: str) -> None:
    assert not is_correct(text, [WEATHER])


def test_that_several_calls_may_come_in_any_order_but_each_as_often_as_in_the_gold_answer() -> None:
    there = _answer(("findRoute", ROUTE.action_input), ("getWeather", WEATHER.action_input))
    assert is_correct(there, [WEATHER, ROUTE])
    assert not is_correct(there, [WEATHER, ROUTE, ROUTE])
    assert not is_correct(there, [WEATHER])


def test_that_merging_loses_earlier_values_of_the_same_argument() -> None:
    gold = [ToolCall("getWeather", json.dumps({"city": city})) for city in ("Oslo", "Rome")]
    wrong_first = _answer(("getWeather", '{"city": "Lima"}'), ("getWeather", '{"city": "Rome"}'))
    assert gold_arguments(gold) == {"city": "Rome"}
    assert is_correct(wrong_first, gold)
    swapped = _answer(("getWeather", '{"city": "Rome"}'), ("getWeather", '{"city": "Oslo"}'))
    assert not is_correct(swapped, gold)


def test_that_which_call_carries_an_argument_does_not_matter() -> None:
    text = _answer(
        ("getWeather", '{"city": "Oslo", "start": "Oslo"}'),
        ("findRoute", '{"days": 2, "end": "Bergen"}'),
    )
    assert is_correct(text, [WEATHER, ROUTE])


def test_that_nested_json_never_parses_so_its_gold_answer_is_wrong() -> None:
    nested = ToolCall("setHome", '{"place": {"lat": 59.9, "lon": 10.7}, "name": "x"}')
    assert arguments(as_text([nested])) == {}
    assert gold_arguments([nested]) == {"place": {"lat": 59.9, "lon": 10.7}, "name": "x"}
    assert not is_correct(as_text([nested]), [nested])


def test_that_nested_json_that_ends_in_a_list_after_its_brace_is_cut_off_too() -> None:
    text = 'Action: pick\nAction Input: {"items": [{"id": 1}], "n": 2}'
    assert arguments(text) == {}


def test_that_an_optional_name_is_not_matched_so_its_gold_answer_is_wrong() -> None:
    optional = ToolCall("[Optional]getUser", '{"id": 1}')
    assert actions(as_text([optional])) == []
    assert not is_correct(as_text([optional]), [optional])


def test_that_a_name_is_read_up_to_its_first_odd_character() -> None:
    assert actions("Action: get-user\nAction:  latest_get.v2\nReaction: no") == [
        "get",
        "latest_get",
    ]


def test_that_bad_json_beside_good_is_left_out_on_both_sides() -> None:
    bad = ToolCall("latest", '{"symbols": "symbols": "EUR"}')
    text = _answer(("latest", bad.action_input), ("getWeather", WEATHER.action_input))
    assert arguments(text) == {"city": "Oslo", "days": 2}
    assert is_correct(text, [bad, WEATHER])


def test_that_gold_json_that_is_no_object_counts_for_nothing() -> None:
    calls = [ToolCall("a", "[1]"), ToolCall("b", "null"), ToolCall("c", "{}")]
    assert gold_arguments(calls) == {}
    assert is_correct(as_text(calls), calls)


def test_that_equal_numbers_of_other_spelling_are_equal() -> None:
    assert is_correct('Action: f\nAction Input: {"x": 1.0}', [ToolCall("f", '{"x": 1}')])
