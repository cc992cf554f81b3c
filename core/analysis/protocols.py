"""What makes two evaluation protocols differ, part by part."""

from __future__ import annotations

from collections.abc import Mapping


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The parts that are not the same in both: name -> (first's, second's), "" where one has no such part.

    In the order of the first, then what only the second has. Nothing known of either means nothing to tell.
    """
    if not first or not second:
        return {}
    names = dict.fromkeys([*first, *second])
    pairs = {name: (first.get(name, ""), second.get(name, "")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
