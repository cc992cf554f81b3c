"""What a person may send to others when a run failed: recipe, versions and the last lines, without what is private.

Home folder, user and machine name, and everything that looks like an access token are taken out. Nothing is
sent anywhere: the text goes to the clipboard.
"""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.viewmodels.types import LogLine

LAST_LINES = 40
SHORTEST_NAME = 3
"""Shorter user and machine names stand in too many words to be taken out of them."""
HOME, USER, MACHINE, TOKEN = "~", "<user>", "<machine>", "<token>"
_TOKENS = re.compile(
    r"\b(?:hf_|sk-|ghp_|gho_|github_pat_|glpat-|xox[abp]-|AKIA)[A-Za-z0-9_\-]{8,}"
    r"|(?i:(?<=bearer )[A-Za-z0-9._\-]{8,})"
    r"|(?i:(?<=token=)[^\s&\"']+|(?<=password=)[^\s&\"']+|(?<=api_key=)[^\s&\"']+)"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
_OTHER_HOMES = re.compile(r"(?:/home|/Users|[A-Za-z]:\\Users)[/\\]([^/\\\s\"':]+)")


def redacted(text: str, *, home: str, user: str, machine: str) -> str:
    """`text` without the home folder, names of user and machine, and tokens."""
    if len(home) > 1:
        text = text.replace(home, HOME)
    text = _OTHER_HOMES.sub(HOME, text)
    text = _TOKENS.sub(TOKEN, text)
    for name, instead in ((user, USER), (machine, MACHINE)):
        if len(name) >= SHORTEST_NAME:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", instead, text)
    return text


def report(
    *,
    status: str,
    failure: tuple[str, str],
    recipe: str,
    environment: Mapping[str, str],
    log: Sequence[LogLine],
) -> str:
    """The text for the clipboard, redacted for the person and machine that ask."""
    message, hint = failure
    lines = [f"{line.clock} {line.level}: {line.text}" for line in log[-LAST_LINES:]]
    parts = [
        ("Run", "\n".join(filter(None, (status, message, hint)))),
        (
            "Versions and machine",
            "\n".join(f"{name} {value}" for name, value in environment.items()),
        ),
        ("Recipe", recipe.strip()),
        (f"Last {len(lines)} lines of the log", "\n".join(lines)),
    ]
    text = "\n\n".join(f"{title}\n{body}" for title, body in parts if body) + "\n"
    return redacted(text, home=str(Path.home()), user=_user(), machine=platform.node())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this user id, as in containers
        return ""
