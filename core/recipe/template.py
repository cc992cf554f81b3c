"""The teacher's user turn: how question and demonstration are put to it.

Not here: rendering a conversation for a model, which is the tokenizer's chat template (`core.data.chat`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PLACES = ("question", "demonstration")
_PLACE = re.compile(r"\{(question|demonstration)\}")

TEACHER_TEMPLATE = """{question}

This is an example for a response to the question:
{demonstration}

Now answer with a response of your own, including the thinking process."""
"""As in the original code and Tinker (methods.md A1); a fact of the protocol."""


def problem_of(template: str) -> str:
    """What keeps `template` from being one, or ""."""
    found = _PLACE.findall(template)
    for place in PLACES:
        if found.count(place) != 1:
            times = "nowhere" if place not in found else f"{found.count(place)} times"
            return f"the place {{{place}}} has to stand in it once, and stands in it {times}"
    return ""


def filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with its places filled, in one pass: braces in what is filled in mean nothing."""
    return _PLACE.sub(lambda match: parts[match[1]], template)
