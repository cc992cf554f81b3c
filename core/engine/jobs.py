"""Long work on models outside any run: fetch, inspect, convert, merge and export, each in a process of its own.

Both sides of it. The one that asks writes the job as a line of JSON and reads lines: how far it is, and at
the end what came of it or what went wrong. The one that works is ended by SIGTERM and then cleans up after
itself; what a killed one leaves, `leftovers` names. No torch here: the window and the command line import
this module.
"""

from __future__ import annotations

import argparse
import errno
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from core.engine import spawn
from core.errors import UserError
from core.store.home import Home

MODULES: Mapping[str, str] = {
    "inspect": "core.engine.model_job",
    "download": "core.engine.download_job",
    "look_up": "core.engine.download_job",
    "convert": "core.engine.model_job",
    "export": "core.engine.model_job",
}
"""Kind -> module of its process; fetching needs no torch and starts in a second."""
ENDED_STATUS = 143
"""Exit status after SIGTERM: 128 + 15, as shells count."""
_KILLED = 9
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
RATE_SECONDS = 10.0
"""The rate is that of the last so many seconds."""
LEAST_SECONDS = 0.5
TELL_SECONDS = 0.1
"""Progress is said at most so often."""


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        kind: see `MODULES`.
        source: a hub id (download, look_up), a folder or file (inspect, convert), an identity (export).
        target: the folder to write; "" keeps the result in the cache.
        options: "revision"; "form", "dtype" and "name" of an export.
    """

    kind: str
    source: str
    target: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Advance:
    """How far it is, in bytes or per cent as `unit` says."""

    done: int
    total: int
    unit: str = "B"


@dataclass(frozen=True)
class Outcome:
    """What came of it; `error` is "" when it went well."""

    result: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    hint: str = ""


Said = Advance | Outcome
Tell = Callable[[int, int, str], None]
Work = Callable[[Job, Home, Tell], Mapping[str, Any]]


def command(job: Job, home: Home) -> list[str]:
    """The command line of the job's process; its environment is `core.engine.spawn.environment`."""
    module = MODULES[job.kind]
    return [sys.executable, "-X", "faulthandler", "-m", module, "--home", str(home.path)]


def question(job: Job) -> str:
    """What is said to it: one line."""
    return json.dumps(asdict(job)) + "\n"


def read(line: str) -> Said | None:
    """One line of its answer; None for what a library wrote among them."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    match record.get("said"):
        case "advance":
            return Advance(record["done"], record["total"], record["unit"])
        case "outcome":
            return Outcome(record["result"], record["error"], record["hint"])
    return None


def leftovers(job: Job, home: Home, pid: int) -> list[Path]:
    """Half-written folders of a job whose process is gone. A download's bytes are kept on purpose."""
    found: list[Path] = []
    if job.target:
        target = Path(job.target)
        found.append(target.with_name(f".{target.name}.part-{pid}"))
    if job.kind == "convert":
        found += home.cache.glob(f"*.part-{pid}")
    return [path for path in found if path.exists()]


def serve(work: Work, argv: Sequence[str] | None = None) -> int:
    """The child's side: read the job, do it, say how far it is and what came of it."""
    parser = argparse.ArgumentParser(description="One job on a model, told as a line of JSON.")
    parser.add_argument("--home", type=Path, required=True, help="folder of database and models")
    home = Home(parser.parse_args(argv).home)
    signal.signal(signal.SIGTERM, _end)
    job = Job(**json.loads(sys.stdin.readline()))
    told = 0.0

    def tell(done: int, total: int, unit: str) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_SECONDS or done >= total:
            told = now
            _say("advance", done=done, total=total, unit=unit)

    try:
        result = work(job, home, tell)
    except UserError as error:
        _say("outcome", result={}, error=error.message, hint=error.hint)
        return 1
    except MemoryError:
        _say("outcome", result={}, error="The memory of this machine is too small for it.", hint="")
        return 1
    except OSError as error:
        _say("outcome", result={}, **_explained(error))
        return 1
    _say("outcome", result=dict(result), error="", hint="")
    return 0


def _explained(error: OSError) -> dict[str, str]:
    """What the system refused, and what to do."""
    if error.errno in _NO_ROOM:
        return {"error": f"The disk is full: {error}", "hint": "Free some room, then try again."}
    if error.errno in _NO_RIGHT:
        hint = "Choose a folder that you may write to, or change its permissions."
        return {"error": f"This place may not be written to: {error}", "hint": hint}
    return {
        "error": f"A file cannot be read or written: {error}",
        "hint": "Check the path and its disk, then try again.",
    }


def _end(number: int, frame: FrameType | None) -> None:
    """A request to end becomes an exception, so that half-written folders are removed on the way out."""
    raise SystemExit(ENDED_STATUS)


def _say(said: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"said": said, **fields}, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class Rate:
    """Bytes a second over the last seconds, and the time that is left at that rate."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._left = 0

    def take(self, now: float, advance: Advance) -> None:
        """Take in how far it is at a time (seconds of a monotonic clock)."""
        if self._seen and advance.done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, advance.done))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        self._left = max(0, advance.total - advance.done)

    @property
    def per_second(self) -> float | None:
        """None until there is enough to judge by."""
        if len(self._seen) < 2:
            return None
        seconds = self._seen[-1][0] - self._seen[0][0]
        moved = self._seen[-1][1] - self._seen[0][1]
        return moved / seconds if seconds >= LEAST_SECONDS and moved > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """None while the rate is unknown."""
        rate = self.per_second
        return None if rate is None else self._left / rate


def run(
    job: Job, home: Home, on_advance: Callable[[Advance], None] = lambda advance: None
) -> Mapping[str, Any]:
    """Do a job in a process of its own and wait for it: the command line's way.

    Raises:
        UserError: it could not be done.
        KeyboardInterrupt: Ctrl-C; the process has ended and cleaned up by then.
    """
    outcome: Outcome | None = None
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command(job, home),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=spawn.environment(),
            text=True,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question(job))
            process.stdin.close()
            for line in process.stdout:
                said = read(line)
                if isinstance(said, Advance):
                    on_advance(said)
                elif said is not None:
                    outcome = said
        finally:
            process.terminate()
            process.wait()
        log.seek(0)
        written = log.read().decode("utf-8", "replace").strip().splitlines()
    if outcome is None:
        outcome = unanswered(process.returncode, written)
    if outcome.error:
        raise UserError(outcome.error, outcome.hint)
    return outcome.result


def unanswered(status: int, written: Sequence[str]) -> Outcome:
    """What a process means that ended without an outcome."""
    if -status == _KILLED:
        return Outcome(
            error="The system ended the work, which happens when memory runs out.",
            hint="Close other programs, then try again.",
        )
    last = written[-1] if written else f"status {status}"
    return Outcome(
        error=f"The work ended without an answer ({last}).",
        hint="Look what this machine lacks: python -m app doctor",
    )
