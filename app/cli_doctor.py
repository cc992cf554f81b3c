"""The command `doctor`: what this machine can do, a line for each check as soon as it is known."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing

import PySide6
from rich.console import Console
from rich.text import Text

from app.cli_display import write_json
from app.qt_guard import refuse_leaking_qt
from app.viewmodels import words
from core.engine.examination import Verdict, examine
from core.errors import UserError
from core.store.home import Home

TITLES = {
    "window": "Window",
    "database": "Database",
    "disk": "Disk",
    "memory": "Memory",
    "model": "Bundled model",
    "torch": "PyTorch",
    "cuda": "GPU",
    "precision": "Precision",
    "nf4": "NF4",
    "linear4bit": "NF4, packed or not",
    "generate": "Decoding",
    "sdft": "SDFT",
}
_MARKS = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: (words.NONE, "dim")}
_MARK_WIDTH = max(len(mark) for mark, _ in _MARKS.values()) + 1
_TITLE_WIDTH = max(map(len, TITLES.values())) + 2
_INDENT = " " * (_MARK_WIDTH + _TITLE_WIDTH)

Finding = tuple[str, Verdict]


def findings(home: Home, console: Console | None) -> Iterator[Finding]:
    """Check the window's libraries here and everything else in child processes.

    Args:
        home: where everything lies.
        console: shows which check is in progress, where it is a terminal; None shows nothing.
    """
    yield "window", window()
    with ExitStack() as stack:
        status = None
        if console is not None and console.is_terminal:
            status = stack.enter_context(console.status("Looking…"))

        def on_check(name: str) -> None:
            if status is not None:
                status.update(f"Looking at: {TITLES[name]}")

        yield from stack.enter_context(closing(examine(home, on_check=on_check)))


def window() -> Verdict:
    """Whether Python and PySide6 go together."""
    try:
        refuse_leaking_qt()
    except UserError as error:
        return Verdict(False, error.message, error.hint)
    return Verdict(
        True,
        f"Python {platform.python_version()} and PySide6 {PySide6.__version__} lose no references.",
    )


def report(found: Iterable[Finding], console: Console | None) -> bool:
    """Show each finding to a person, or as a JSON line; says whether none is a failure."""
    failed: list[str] = []
    count = 0
    for name, verdict in found:
        count += 1
        if verdict.ok is False:
            failed.append(name)
        if console is None:
            write_json({"type": "check", "name": name, **_fields(verdict)})
        else:
            _show(console, name, verdict)
    if console is None:
        write_json({"type": "result", "ok": not failed, "checks": count, "failed": failed})
    elif failed:
        titles = ", ".join(TITLES[name] for name in failed)
        console.print(f"{len(failed)} of {count} checks failed: {titles}.", style="bold red")
    else:
        console.print("This machine is ready.", style="green")
    return not failed


def _fields(verdict: Verdict) -> dict[str, object]:
    fields: dict[str, object] = {
        "ok": verdict.ok,
        "detail": verdict.detail,
        "hint": verdict.hint,
    }
    return {**fields, "trace": verdict.trace} if verdict.trace else fields


def _show(console: Console, name: str, verdict: Verdict) -> None:
    mark, style = _MARKS[verdict.ok]
    line = Text(mark.ljust(_MARK_WIDTH), style)
    line.append(TITLES[name].ljust(_TITLE_WIDTH), "bold")
    line.append(verdict.detail, "")
    console.print(line)
    if verdict.hint:
        console.print(Text(_INDENT + verdict.hint, "yellow" if verdict.ok is False else "dim"))
    for text in verdict.trace.splitlines():
        console.print(Text(_INDENT + text, "dim"))
