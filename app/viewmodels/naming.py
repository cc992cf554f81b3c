"""Names of runs that are made from others: told apart, and no longer each time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection

LONGEST = 120
"""Characters of a recipe's name."""
_NUMBERED = re.compile(r"\s*\((\d+)\)$")


def another(name: str, taken: Collection[str] = ()) -> str:
    """ "NF4 (2)" for "NF4", "NF4 (3)" for "NF4 (2)"; the first number whose name is not taken.

    In brackets, since names end with numbers that mean something: "seed 1".
    """
    found = _NUMBERED.search(name)
    stem = name[: found.start()] if found else name
    first = int(found.group(1)) + 1 if found else 2
    for number in itertools.count(first):
        end = f" ({number})"
        made = f"{stem[: LONGEST - len(end)].rstrip()}{end}"
        if made not in taken:
            return made
    raise AssertionError("counting has no end")
