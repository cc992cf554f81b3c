"""The filter language of the run list: words, `key:value`, comparisons, `-` for not, `or`, parentheses.

    status:done tag:paper lr>1e-4 -cross (base:qwen or base:llama) created<2d "free text"

    query  := all ("or" all)*          all   := one one*
    one    := "-" one | "(" query ")" | term
    term   := key op value | "star" | "cross" | word | quoted
    op     := ":" (holds) | "=" | "!=" | "<" | "<=" | ">" | ">="

`key:value` asks whether a text holds the value, or a number equals it; words ask the same of name, model,
stages, tags and notes. A time is an age (`created<2d`: within two days) or a date (`created>2026-01-31`);
`created:2d` says the same as `created<2d`, and `created:2026-01-31` is that day.
Pure: text in, a tree out, and the tree asks a `Record` for values.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

Value = str | int | float | bool

AGES = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
TIMES = frozenset({"created"})
DURATIONS = frozenset({"duration"})
NUMBERS = frozenset({"fraction", "degraded", "recovered", "loss", "seed", "lr"})
ORDERED = ("<", "<=", ">", ">=")
FLAGS = {"star": 1, "cross": -1}
FACTORS = {"k": 1e3, "m": 1e6, "g": 1e9, "%": 0.01}
ABOUT: Mapping[str, str] = {
    "status": "queued, running, done, stopped, failed, interrupted",
    "name": "the run's name",
    "tag": "one of its tags",
    "notes": "what was written about it",
    "base": "the base model",
    "stage": "kind or id of a stage: sdft, quantize, prune",
    "device": "the device it asks for",
    "id": "the run's id",
    "created": "age (2h, 3d, 1w) or date (2026-01-31)",
    "duration": "how long it ran: 30m, 2h",
    "fraction": "recovered fraction",
    "degraded": "mean accuracy of the degraded model, per cent",
    "recovered": "mean accuracy of the recovered model, per cent",
    "loss": "last loss of the last training stage",
    "seed": "the seed",
    "lr": "learning rate of the last recovering stage",
}
"""Keys that every run has, and what they are."""
EXAMPLES: tuple[tuple[str, str], ...] = (
    ("status:done tag:paper", "finished runs tagged “paper”"),
    ("lr>1e-4 fraction>=.5", "a high learning rate that brought back at least half"),
    ("base:qwen created<2d", "of the last two days, on a Qwen model"),
    ("star -cross", "with a star, without a cross"),
    ("status:failed or status:stopped", "either of the two"),
    ("stages.sdft.max_steps>=200", "any field of the recipe by its name"),
    ('"nf4, then sdft"', "these words, in this order"),
)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TOKEN = re.compile(
    r"""\s+
    | (?P<open>\() | (?P<close>\)) | (?P<minus>-)(?=[^\s)])
    | (?P<key>[^\W\d][\w./-]*)(?P<op>:|!=|<=|>=|=|<|>)(?P<value>"[^"]*"|[^\s()"]*)
    | "(?P<quoted>[^"]*)"
    | (?P<word>[^\s()"]+)
    | (?P<bad>.)""",
    re.VERBOSE,
)


class FilterError(ValueError):
    """A filter that cannot be read: what is wrong, a way out, and which characters of the text are meant."""

    def __init__(self, message: str, hint: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.start = start
        self.end = end


class Record(Protocol):
    """What a filter asks of a run."""

    @property
    def search(self) -> str:
        """Everything that words look through, in lower case."""
        ...

    def values(self, key: str) -> tuple[Value, ...]:
        """The values behind a key; empty where the run has none."""
        ...


@dataclass(frozen=True)
class Word:
    """The text holds this."""

    text: str


@dataclass(frozen=True)
class Term:
    """A key, an operator and a value, as written."""

    key: str
    op: str
    value: str


@dataclass(frozen=True)
class Not:
    """The other way round."""

    of: Query


@dataclass(frozen=True)
class All:
    """Every one; all runs where there is none."""

    of: tuple[Query, ...]


@dataclass(frozen=True)
class Any:
    """At least one."""

    of: tuple[Query, ...]


Query = Word | Term | Not | All | Any
Test = Callable[[Record], bool]


def parse(text: str, known: Collection[str] | None = None) -> Query:
    """Read a filter.

    Args:
        text: as typed.
        known: the keys there are; None takes any.

    Raises:
        FilterError: it cannot be read, or names a key that is not known.
    """
    return _Parser(text, known).whole()


def unparse(query: Query) -> str:
    """A text that `parse` reads as the same query."""
    match query:
        case Word(text):
            return f'"{text}"'
        case Term(key, op, value):
            plain = value and not re.search(r'^=|[\s()"]', value)
            return f"{key}{op}{value}" if plain else f'{key}{op}"{value}"'
        case Not(of):
            return f"-({unparse(of)})"
        case All(of):
            return " ".join(f"({unparse(it)})" for it in of)
        case Any(of):
            return " or ".join(f"({unparse(it)})" for it in of)


def compile_query(query: Query, now: float) -> Test:
    """A function that says whether a run passes; `now` is seconds since the epoch, for ages."""
    match query:
        case Word(text):
            needle = text.casefold()
            return lambda run: needle in run.search
        case Term():
            return _compile_term(query, now)
        case Not(of):
            inner = compile_query(of, now)
            return lambda run: not inner(run)
        case All(of):
            every = [compile_query(it, now) for it in of]
            return lambda run: all(test(run) for test in every)
        case Any(of):
            some = [compile_query(it, now) for it in of]
            return lambda run: any(test(run) for test in some)


def _compile_term(term: Term, now: float) -> Test:
    key, wanted = term.key, term.value.casefold()
    number = _amount(key, wanted, now)
    op = term.op
    aged = key in TIMES and re.fullmatch(r"[\d.]+[mhdw]", wanted) is not None
    if aged and op in (":", "="):
        op = "<"
    if key in TIMES and op in (":", "=") and _DATE.fullmatch(wanted) and number is not None:
        start, end = number, _moment(wanted, days=1) or math.inf
        return lambda run: any(start <= float(it) < end for it in run.values(key))
    if aged and op in ORDERED:
        op = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[op]  # a small age is a late time

    def passes(value: Value) -> bool:
        return _compare(value, op, wanted, number)

    if op == "!=":
        return lambda run: all(passes(it) for it in run.values(key))
    return lambda run: any(passes(it) for it in run.values(key))


def _compare(value: Value, op: str, wanted: str, number: float | None) -> bool:
    if isinstance(value, bool):
        equal = wanted in (("true", "yes", "1") if value else ("false", "no", "0"))
        return equal if op in (":", "=") else op == "!=" and not equal
    if isinstance(value, str):
        text = value.casefold()
        match op:
            case ":":
                return wanted in text
            case "=":
                return text == wanted
            case "!=":
                return text != wanted
        return False
    if number is None:
        return op == "!="
    match op:
        case ":" | "=":
            return value == number
        case "!=":
            return value != number
        case "<":
            return value < number
        case "<=":
            return value <= number
        case ">":
            return value > number
    return value >= number


def _amount(key: str, text: str, now: float) -> float | None:
    """The number that a value stands for: plain, with k, m, g or %, an age, a date, or a length of time."""
    found = re.fullmatch(r"([\d.]+)([mhdw])", text)
    if found and key in TIMES | DURATIONS:
        length = _number(found[1])
        span = None if length is None else length * AGES[found[2]]
        return span if span is None or key in DURATIONS else now - span
    if key in TIMES:
        moment = _moment(text)
        return _number(text) if moment is None else moment
    if text and text[-1] in FACTORS and (plain := _number(text[:-1])) is not None:
        return plain * FACTORS[text[-1]]
    return _number(text)


def _moment(text: str, days: int = 0) -> float | None:
    """So many days after a date, in seconds since the epoch; None where it is none, or not in the calendar."""
    try:
        return (datetime.fromisoformat(text) + timedelta(days=days)).astimezone().timestamp()
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class _Parser:
    def __init__(self, text: str, known: Collection[str] | None) -> None:
        self._tokens = [it for it in _TOKEN.finditer(text) if it.lastgroup is not None]
        self._known = known
        self._at = 0

    def whole(self) -> Query:
        query = self._any()
        closing = self._peek()
        if closing is not None:  # only a parenthesis ends a query early
            raise _wrong("A “)” closes nothing.", "Remove it, or put it in quotes.", closing)
        return query

    def _peek(self) -> re.Match[str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _is_or(self) -> bool:
        token = self._peek()
        return token is not None and (token["word"] or "").casefold() == "or"

    def _any(self) -> Query:
        parts = [self._all()]
        while self._is_or():
            word = self._tokens[self._at]
            self._at += 1
            parts.append(self._all())
            if All(()) in parts[-2:]:
                hint = 'To find the word, write "or".'
                raise _wrong("“or” needs something on both sides.", hint, word)
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self) -> Query:
        parts: list[Query] = []
        while (token := self._peek()) is not None and token["close"] is None and not self._is_or():
            parts.append(self._one(token))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self, token: re.Match[str]) -> Query:
        self._at += 1
        if token["minus"]:
            following = self._peek()
            if following is None or following["close"] is not None:
                raise _wrong("“-” needs something after it.", 'To find a dash, write "-".', token)
            return Not(self._one(following))
        if token["open"]:
            inner = self._any()
            if self._peek() is None:
                hint = "Add “)” at the end, or put the text in quotes."
                raise _wrong("A “(” is not closed.", hint, token)
            self._at += 1
            return inner
        if token["quoted"] is not None:
            return Word(token["quoted"])
        if token["bad"] is not None:
            raise _wrong("A quote is not closed.", "Add a second quote at the end.", token)
        if token["key"] is not None:
            return self._term(token)
        word = token["word"]
        if word.casefold() in FLAGS:
            return Term("star", "=", str(FLAGS[word.casefold()]))
        return Word(word)

    def _term(self, token: re.Match[str]) -> Query:
        key, op, value = token["key"].casefold(), token["op"], token["value"]
        if self._known is not None and key not in self._known and key != "star":
            near = difflib.get_close_matches(key, self._known, n=1)
            meant = f"Did you mean “{near[0]}{op}{value}”? " if near else ""
            hint = f'{meant}To find the text itself, write "{token[0]}".'
            raise _wrong(f"There is no “{key}”.", hint, token)
        bare = value.strip('"')
        following = self._peek()
        if not value and following is not None and following["bad"] is not None:
            raise _wrong("A quote is not closed.", "Add a second quote at the end.", following)
        if not bare and not value:
            hint = f"For example {key}{op}{_example(key)}"
            raise _wrong(f"“{key}{op}” needs a value.", hint, token)
        if self._known is not None:
            _check_value(key, op, bare, token)
        return Term(key, op, bare)


def _check_value(key: str, op: str, value: str, token: re.Match[str]) -> None:
    """Refuse a value that no run can ever have there."""
    if _amount(key, value.casefold(), 0.0) is not None:
        return
    example = f"For example {key}{op}{_example(key)}"
    if key in TIMES:
        raise _wrong(f"“{value}” is neither an age nor a date.", f"{example} or 2026-01-31.", token)
    if key in DURATIONS:
        raise _wrong(f"“{value}” is no length of time.", f"{example} or 2h.", token)
    if key in NUMBERS:
        raise _wrong(f"“{value}” is no number, as “{key}” is.", f"{example}.", token)
    if op in ORDERED:
        hint = f"To find the text, write {key}:{value}."
        raise _wrong(f"“{op}” compares numbers, and “{value}” is none.", hint, token)


def _wrong(message: str, hint: str, token: re.Match[str]) -> FilterError:
    return FilterError(message, hint, *token.span())


def _example(key: str) -> str:
    if key in TIMES:
        return "2d"
    if key in DURATIONS:
        return "30m"
    return {"status": "done", "tag": "paper", "fraction": "0.5", "lr": "1e-4"}.get(key, "1")
