"""Asking another process about data: its command line, what is said to it, how its answers are read.

No torch and no `datasets` here: the window and the command line import this module. `core.engine.data_desk` is the
process that reads, `core.engine.data_tokens` the one that has a tokenizer; both speak the same way, in lines
of JSON. A question has a number; its answer is any number of reports on how far it is, then one record or error.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal

from core.engine import spawn
from core.errors import UserError
from core.store.home import Home

Kind = Literal["reading", "tokens"]
MODULES: Mapping[Kind, str] = {
    "reading": "core.engine.data_desk",
    "tokens": "core.engine.data_tokens",
}
FAILED = "The data could not be looked at"

ITEMS, BYTES = "items", "bytes"
Act = Callable[[Mapping[str, Any], Callable[..., None]], Any]
"""Answers a question; the second argument is told how much is done, of how much (0: not known), and of what."""


@dataclass(frozen=True)
class Report:
    """How far the answer to a question is, in items or bytes; `of` is 0 while that is not known."""

    number: int
    done: int
    of: int
    unit: str = ITEMS


@dataclass(frozen=True)
class Answer:
    """The answer to a question: a record, or what went wrong."""

    number: int
    record: Any
    error: UserError | None = None


def command(kind: Kind, home: Home) -> list[str]:
    """The command line of a process; its environment is `core.engine.spawn.environment`."""
    return [sys.executable, "-X", "faulthandler", "-m", MODULES[kind], "--home", str(home.path)]


def question(number: int, act: str, what: Mapping[str, Any]) -> str:
    """What is said to it: one line."""
    return json.dumps({"n": number, "act": act, **what}, ensure_ascii=False) + "\n"


def read(line: str) -> Report | Answer | None:
    """One line of its answers; None for a line that is none."""
    try:
        record = json.loads(line)
        number = int(record["n"])
    except (ValueError, KeyError, TypeError):
        return None
    if "error" in record:
        return Answer(number, None, UserError(record["error"], record.get("hint", "")))
    if "record" in record:
        return Answer(number, record["record"])
    done, of = int(record.get("done", 0)), int(record.get("of", 0))
    return Report(number, done, of, str(record.get("unit", ITEMS)))


def serve(acts: Mapping[str, Act], asked: IO[str], told: IO[str]) -> None:
    """The process's side: answer every line until the input ends."""
    for line in asked:
        given = json.loads(line)
        number = given["n"]

        def say(number: int = number, **fields: Any) -> None:
            told.write(json.dumps({"n": number, **fields}, ensure_ascii=False) + "\n")
            told.flush()

        def heard(done: int, of: int, unit: str = ITEMS, say: Callable[..., None] = say) -> None:
            say(done=done, of=of, unit=unit)

        try:
            say(record=acts[given["act"]](given, heard))
        except UserError as error:
            say(error=error.message, hint=error.hint)


def ask(
    kind: Kind,
    home: Home,
    act: str,
    what: Mapping[str, Any],
    heard: Callable[[Report], None] | None = None,
) -> Any:
    """The answer to one question, from a process of its own. Waits for it.

    Raises:
        UserError: there is none.
    """
    with subprocess.Popen(
        command(kind, home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=spawn.environment(),
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(question(0, act, what))
        process.stdin.close()
        for said in _said(process.stdout):
            if isinstance(said, Report):
                if heard is not None:
                    heard(said)
            elif said.error is not None:
                raise said.error
            else:
                return said.record
    raise UserError(f"{FAILED}: the process that reads them ended.", "Try again.")


def _said(lines: IO[str]) -> Iterator[Report | Answer]:
    for line in lines:
        said = read(line)
        if said is not None:
            yield said
