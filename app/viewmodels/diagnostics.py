"""What a person may send to others when a run failed: recipe, versions and the last lines, without what is private.

Home folders, names of user and machine, addresses, and everything that looks like a token are taken out. Nothing is
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
HOME, USER, MACHINE, TOKEN, ADDRESS = "~", "<user>", "<machine>", "<token>", "<address>"
_SECRET = r"(?:secret|password|passwd|api[_-]?key|access[_-]?key|signature|credential)"
_TOKENS = re.compile(
    r"\b(?:hf_|sk-|ghp_|gho_|ghs_|ghu_|github_pat_|glpat-|xox[abp]-|AKIA|ASIA|AIza|npm_|pypi-)"
    r"[A-Za-z0-9_\-]{8,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?"
    r"|(?i:(?<=bearer )[A-Za-z0-9._~+/=\-]{8,}|(?<=basic )[A-Za-z0-9+/=]{8,})"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=://)[^/\s:@]{8,}(?=@)"
)
_NAMED = re.compile(
    rf"""(?ix)
    ( [\w-]*{_SECRET}[\w-]* ["']? \s*[:=]\s* ["']? ) [^\s"'&,;]+
    | ( \b[\w-]*token["']? = ["']? ) [^\s"'&,;]+
    | ( \b[\w-]*token["']? \s*:\s* ["']? ) (?=[^\s"']*\d) [^\s"'&,;]{{16,}}
    """
)
"""A name that says what follows is secret. A recipe has tokens, too: after a colon only what looks random."""
_ADDRESSES = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
_OTHER_HOMES = re.compile(r"(?:/home|/Users|[A-Za-z]:[/\\]+Users)[/\\]+([^/\\\s\"':]+)")
_PATH_GOES_ON = r"(?!\.?[A-Za-z0-9_-])"


def cleaned(text: str) -> str:
    """`text` without what tells of the person and machine that ask."""
    home, node = Path.home(), platform.node()
    return redacted(
        text,
        home=str(home),
        users=(_user(), home.name),
        machines=(node, node.partition(".")[0]),
    )


def redacted(text: str, *, home: str, users: Sequence[str], machines: Sequence[str]) -> str:
    """`text` without the home folder, names of user and machine, addresses, and tokens."""
    if len(home) > 1:
        text = re.sub(re.escape(home) + _PATH_GOES_ON, HOME, text)
    text = _OTHER_HOMES.sub(HOME, text)
    text = _TOKENS.sub(TOKEN, text)
    text = _NAMED.sub(lambda it: f"{it[1] or it[2] or it[3]}{TOKEN}", text)
    text = _ADDRESSES.sub(ADDRESS, text)
    for names, instead in ((users, USER), (machines, MACHINE)):
        for name in sorted(names, key=len, reverse=True):
            if len(name) >= SHORTEST_NAME:
                whole = rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])"
                text = re.sub(whole, instead, text, flags=re.IGNORECASE)
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
    return cleaned("\n\n".join(f"{title}\n{body}" for title, body in parts if body) + "\n")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry for this user id, as in containers
        return ""
