"""The filter language: every text means one thing, or says what is wrong and a way out."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.viewmodels.run_filter import (
    ABOUT,
    EXAMPLES,
    All,
    Any,
    FilterError,
    Not,
    Query,
    Term,
    Value,
    Word,
    compile_query,
    parse,
    unparse,
)

NOW = datetime(2026, 6, 15, 12).astimezone().timestamp()
DAY = 86400.0


@dataclass(frozen=True)
class Run:
    search: str = ""
    of: dict[str, tuple[Value, ...]] = field(default_factory=dict)

    def values(self, key: str) -> tuple[Value, ...]:
        return self.of.get(key, ())


def passes(text: str, **of: Value | tuple[Value, ...]) -> bool:
    search = str(of.pop("search", "")).casefold()
    values = {key: it if isinstance(it, tuple) else (it,) for key, it in of.items()}
    return compile_query(parse(text), NOW)(Run(search, values))


_texts = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), max_size=12)
_keys = st.from_regex(r"[a-z][a-z_./-]{0,10}", fullmatch=True)
_leaves = st.one_of(
    _texts.map(Word),
    st.builds(
        Term,
        _keys,
        st.sampled_from([":", "=", "!=", "<", "<=", ">", ">="]),
        _texts.filter(bool),
    ),
)
_queries: st.SearchStrategy[Query] = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda it: All(tuple(it))),
        st.lists(inner, min_size=2, max_size=3).map(lambda it: Any(tuple(it))),
    ),
    max_leaves=8,
)


@given(_queries)
def test_that_a_query_written_down_is_read_as_the_same_query(query: Query) -> None:
    assert parse(unparse(query)) == query


def test_that_a_value_which_begins_as_an_operator_is_quoted() -> None:
    query = Term("a", "<", "=")
    assert parse(unparse(query)) == query


@given(st.text(max_size=40))
def test_that_any_text_is_a_query_or_an_error_with_a_way_out(text: str) -> None:
    wrong: FilterError | None = None
    try:
        query = parse(text, ABOUT)
    except FilterError as error:
        wrong = error
    if wrong is not None:
        assert wrong.message
        assert wrong.hint
    else:
        assert compile_query(query, NOW)(Run(text.casefold())) in (True, False)


@given(_queries, _texts)
def test_that_not_is_the_other_way_round_and_all_and_any_are_what_they_say(
    query: Query, text: str
) -> None:
    run = Run(text.casefold(), {"a": (1, 2.5), "b": (text,)})

    def holds(it: Query) -> bool:
        return compile_query(it, NOW)(run)

    assert holds(Not(query)) != holds(query)
    assert holds(All((query, query))) == holds(Any((query, query))) == holds(query)
    assert holds(All(()))


def test_that_words_are_all_looked_for_and_quotes_keep_them_together() -> None:
    assert passes("NF4 pruned", search="pruned, then nf4")
    assert not passes("nf4 lora", search="pruned, then nf4")
    assert passes('"then nf4"', search="pruned, then nf4")
    assert not passes('"nf4 then"', search="pruned, then nf4")
    assert passes("", search="anything")


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("lr>1e-4", True),
        ("lr>=2e-4", True),
        ("lr<2e-4", False),
        ("lr=0.0002", True),
        ("lr!=0.0002", False),
        ("fraction>=.5", True),
        ("fraction>=50%", True),
        ("tokens>3k", True),
        ("base:qwen", True),
        ("base=qwen", False),
        ("base!=llama", True),
        ("tag:paper", True),
        ("tag!=paper", False),
        ("tag:missing", False),
        ("nothing>1", False),
        ("double:yes", True),
        ("double=false", False),
        ("duration>30m duration<2h", True),
    ],
)
def test_that_keys_compare_texts_numbers_and_times(text: str, yes: bool) -> None:
    found = passes(
        text,
        lr=2e-4,
        fraction=0.5,
        tokens=4000,
        base="Qwen2.5-3B",
        tag=("paper", "table 1"),
        double=True,
        duration=3600.0,
    )
    assert found is yes


def test_that_an_age_counts_back_from_now_and_a_date_is_a_day() -> None:
    assert passes("created<2d", created=NOW - DAY)
    assert not passes("created<2d", created=NOW - 3 * DAY)
    assert passes("created>1w", created=NOW - 8 * DAY)
    assert passes("created>=2026-06-14", created=NOW - DAY)
    assert not passes("created<2026-06-14", created=NOW - DAY)


def test_that_stars_crosses_or_and_parentheses_combine() -> None:
    assert passes("star -cross", star=1)
    assert not passes("star", star=-1)
    assert passes("cross or star", star=-1)
    assert parse("a b or c") == Any((All((Word("a"), Word("b"))), Word("c")))
    assert parse("a (b or c)") == All((Word("a"), Any((Word("b"), Word("c")))))
    assert parse("-status:done") == Not(Term("status", ":", "done"))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("stats:done", "no “stats”", "status:done"),
        ("(a", "not closed", "“)”"),
        ("a)", "closes nothing", "Remove"),
        ('"a', "quote is not closed", "second quote"),
        ("a or", "both sides", '"or"'),
        ("status:", "needs a value", "status:done"),
        ("foo:bar", "no “foo”", '"foo:bar"'),
        ('name:"abc', "quote is not closed", "second quote"),
        ("created<soon", "neither an age nor a date", "created<2d"),
        ("created:2026-13-01", "neither an age nor a date", "2026-01-31"),
        ("duration>long", "no length of time", "duration>30m"),
        ("fraction>=half", "no number", "fraction>=0.5"),
        ("seed:x", "no number", "seed:1"),
        ("name>b", "compares numbers", "name:b"),
    ],
)
def test_that_an_error_says_what_is_wrong_and_a_way_out(text: str, message: str, hint: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, ABOUT)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("nf4 stats:done base:x", "stats:done"),
        ("a (b c", "("),
        ("a b) c", ")"),
        ('a "b', '"'),
        ("a or or b", "or"),
        ("star fraction>much", "fraction>much"),
        ('x base:"y', '"'),
    ],
)
def test_that_an_error_knows_the_characters_that_are_meant(text: str, meant: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text, ABOUT)
    assert text[caught.value.start : caught.value.end] == meant


def test_that_a_time_that_is_held_is_within_an_age_or_on_a_day() -> None:
    day = datetime(2026, 6, 14).astimezone().timestamp()
    assert passes("created:2d", created=NOW - DAY)
    assert not passes("created:2d", created=NOW - 3 * DAY)
    assert passes("created:2026-06-14", created=day)
    assert passes("created=2026-06-14", created=day + DAY - 1)
    assert not passes("created:2026-06-14", created=day - 1)
    assert not passes("created:2026-06-14", created=day + DAY)


def test_that_every_example_of_the_help_can_be_read() -> None:
    for text, what in EXAMPLES:
        assert what
        parse(text, {*ABOUT, "stages.sdft.max_steps"})
