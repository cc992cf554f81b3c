"""Asking another process for an estimate: its command line, what is said to it, how its answer is read.

No torch here: the window and the command line import this module; `core.engine.foresight` is the process.
"""

from __future__ import annotations

import json
import subprocess
import sys

from core.engine import spawn
from core.engine.estimate import Estimate, from_record
from core.errors import UserError
from core.recipe.spec import Recipe
from core.store.home import Home

MODULE = "core.engine.foresight"
LIMIT_SECONDS = 300.0
"""Importing torch from a cold, slow disk takes a minute, and long data a few seconds."""
FAILED = "The estimate could not be made"


def command(home: Home) -> list[str]:
    """The command line of the process; its environment is `core.engine.spawn.environment`."""
    return [sys.executable, "-X", "faulthandler", "-m", MODULE, "--home", str(home.path)]


def question(recipe: Recipe) -> str:
    """What is said to it: one line."""
    return recipe.model_dump_json(by_alias=True) + "\n"


def read(line: str) -> Estimate:
    """Its answer.

    Raises:
        UserError: it was an error, or no answer at all.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UserError(f"{FAILED}: its process said something else.") from error
    if "error" in record:
        raise UserError(record["error"], record.get("hint", ""))
    return from_record(record)


def ask(recipe: Recipe, home: Home, *, limit: float = LIMIT_SECONDS) -> Estimate:
    """The estimate of a checked recipe, from a process of its own. Waits for it.

    Raises:
        UserError: it could not be made.
    """
    try:
        done = subprocess.run(
            command(home),
            input=question(recipe),
            env=spawn.environment(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{FAILED} within {limit:.0f} seconds.", "Try again.") from error
    lines = done.stdout.splitlines()
    if not lines:
        said = done.stderr.strip().splitlines()
        detail = said[-1] if said else f"status {done.returncode}"
        raise UserError(
            f"{FAILED} ({detail}).", "Look what this machine lacks: python -m app doctor"
        )
    return read(lines[0])
