"""Examining this machine, both sides of it: the process that checks, and the one that watches it.

The checks (`core.engine.machine`, `core.engine.doctor`) run in a child process and say their verdicts as
JSON lines. A check that takes its process down, by an error nobody foresaw, a crash in a driver or by
hanging, is a verdict too: the watcher reports it and goes on with the next check in a fresh process, which
a CUDA error makes necessary anyway. No torch here: the command line imports this module.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from core.engine import spawn
from core.errors import UserError
from core.store.home import Home

LIMIT_SECONDS = 300.0
"""A process that says nothing for so long hangs; importing torch from a cold, slow disk takes a minute."""
TRACE_LINES = 20
"""Lines of a dead process's output that are kept."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        ok: whether all is well; None when there was nothing to judge.
        detail: what was seen, a sentence.
        hint: what to do about it, or "".
        trace: the last lines that the process wrote, when the check took it down.
    """

    ok: bool | None
    detail: str
    hint: str = ""
    trace: str = ""


Check = Callable[[Home], Verdict]


@dataclass(frozen=True)
class Part:
    """Checks that share a module, and so a process, in the order in which they are run."""

    module: str
    checks: tuple[str, ...]


PARTS = (
    Part("core.engine.machine", ("database", "disk", "memory", "model")),
    Part(
        "core.engine.doctor",
        ("torch", "cuda", "precision", "nf4", "linear4bit", "generate", "sdft"),
    ),
)

_HINTS = (
    ("out of memory", "Close the other programs that use this memory, then try again."),
    ("no kernel image", "This PyTorch has no code for this GPU: it is too old or too new for it."),
    ("driver", "Install the newest NVIDIA driver for this GPU and restart the machine."),
    ("No module named", "Set Rekindle up again: delete the folder .venv and type `make run`."),
    ("cannot open shared object", "Set Rekindle up again: delete .venv and type `make run`."),
)
"""What an error says -> what to do."""
_UNKNOWN = "The last lines of its output say where; report it together with this list."
_ERROR = re.compile(r"(?:[A-Za-z_]\w*\.)*\w*(?:Error|Exception|Exit|Interrupt)\b")


def serve(checks: Mapping[str, Check], argv: Sequence[str] | None = None) -> int:
    """The child's side: run the named checks, or all, and say each verdict as a JSON line.

    An error that is not a `UserError` ends the process; the watcher reports it.
    """
    parser = argparse.ArgumentParser(description="Check this machine; one JSON object a line.")
    parser.add_argument("names", nargs="*", help=f"which of: {', '.join(checks)}")
    parser.add_argument("--home", type=Path, required=True, help="folder of database and models")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.names if name not in checks]
    if unknown:
        parser.error(f"there is no check named {unknown[0]}")
    for name in arguments.names or checks:
        _say({"checking": name})
        try:
            verdict = checks[name](Home(arguments.home))
        except UserError as error:
            verdict = Verdict(False, error.message, error.hint)
        _say({"name": name, **asdict(verdict)})
    return 0


def examine(
    home: Home,
    *,
    parts: Sequence[Part] = PARTS,
    on_check: Callable[[str], None] = lambda name: None,
    limit: float = LIMIT_SECONDS,
) -> Generator[tuple[str, Verdict], None, None]:
    """The watcher's side: every check's name and verdict, each as soon as it is known.

    Args:
        home: where everything lies; made when missing.
        parts: what to run.
        on_check: told the name of each check when it begins.
        limit: seconds of silence after which a check is ended.
    """
    for part in parts:
        remaining = part.checks
        while remaining:
            remaining = yield from _session(part.module, home, remaining, on_check, limit)


def _session(
    module: str,
    home: Home,
    names: tuple[str, ...],
    on_check: Callable[[str], None],
    limit: float,
) -> Generator[tuple[str, Verdict], None, tuple[str, ...]]:
    """Run checks in one process; returns those that are left because it did not survive one."""
    current = ""
    left = list(names)
    with _Child(module, home, names) as child:
        for line in child.lines(limit):
            if line.get("checking") in left:
                current = line["checking"]
                on_check(current)
            elif line.get("name") in left:
                name = line.pop("name")
                left.remove(name)
                yield name, Verdict(**line)
        death = child.death()
    if not left:
        return ()
    yield left[0], death
    if not current:  # it died while it was loaded, and would again
        for name in left[1:]:
            yield name, Verdict(None, f"Not looked at, because of: {left[0]}.")
        return ()
    return tuple(left[1:])


class _Child:
    """A process that runs checks. A context manager: it is gone afterwards."""

    def __init__(self, module: str, home: Home, names: Sequence[str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", module, "--home", str(home.path), *names],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=spawn.environment(),
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._hung = False

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        with self._process:  # waits, and closes its pipe
            self._log.close()

    def lines(self, limit: float) -> Iterator[dict[str, Any]]:
        """The objects it says, to its end; what libraries write among them is no object."""
        assert self._process.stdout is not None
        while line := self._readline(self._process.stdout, limit):
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                yield said

    def death(self) -> Verdict:
        """Why it ended before its time. Waits for the end."""
        status = self._process.wait()
        self._log.seek(0)
        written = self._log.read().decode("utf-8", "replace").rstrip().splitlines()
        trace = "\n".join(written[-TRACE_LINES:])
        if self._hung:
            return Verdict(
                False,
                "The check hung and was ended.",
                "Restart the machine if a GPU driver is stuck; then try again.",
                trace,
            )
        if status < 0:
            name = _signal_name(-status)
            hint = _UNKNOWN
            if -status == signal.SIGKILL:
                hint = "The system ends programs like this when memory runs out: close others."
            return Verdict(False, f"The check crashed ({name}).", hint, trace)
        detail = _error_line(written) or f"The check ended without an answer (status {status})."
        return Verdict(False, detail, _hint(detail), trace)

    def _readline(self, stream: IO[str], limit: float) -> str:
        def end() -> None:
            self._hung = True
            self._process.kill()

        timer = threading.Timer(limit, end)
        timer.daemon = True
        timer.start()
        try:
            return stream.readline()
        finally:
            timer.cancel()


def _say(record: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _error_line(written: Sequence[str]) -> str:
    """The line of a traceback that names the error; CUDA's errors go on for lines after it."""
    for line in reversed(written):
        if _ERROR.match(line):
            return line
    return next((line for line in reversed(written) if line.strip()), "")


def _hint(detail: str) -> str:
    said = detail.lower()
    return next((hint for words, hint in _HINTS if words.lower() in said), _UNKNOWN)
