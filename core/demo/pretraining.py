"""What the small model is pretrained on: a mixture of plain items, demonstrations and statements.

Demonstrations are counterfactual: they show a random call or a random option, and the target has that
content in the model's own style. Following the demonstration is then the only way to predict the target,
and no fact or tool that the model is not to know leaks into its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from core.demo import general, science, tooluse
from core.demo.draw import Draw
from core.demo.elements import FACTS, PARTS

SHARES = {
    "science": 0.20,
    "science_shown": 0.15,
    "tooluse": 0.20,
    "tooluse_shown": 0.20,
    "general": 0.25,
}
"""Shares of the mixture by item."""
SHOWN = ("science_shown", "tooluse_shown")
TAUGHT = (*PARTS["retention"], *PARTS["known"])
TAUGHT_TOOLS = tooluse.TOOLS[: tooluse.KNOWN]
_SCIENCE_STYLES = (science.own, science.final, science.paragraph)
_TOOL_STYLES = (tooluse.own, tooluse.braced, tooluse.chatter)


@dataclass(frozen=True)
class Sample:
    """A prompt and its answer; `chat` tells a user turn from plain text, `shown` is the demonstration."""

    kind: str
    prompt: str
    answer: str
    chat: bool = True
    shown: str = ""


def samples(seed: int, teacher_template: str) -> Iterator[Sample]:
    """The endless mixture; only items of the train split.

    Args:
        seed: names the stream.
        teacher_template: with the places {question} and {demonstration}, as SDFT fills it.
    """
    number = 0
    while True:
        draw = Draw(f"pretraining/{seed}/{number}")
        number += 1
        kind = _kind(draw)
        sample = _MAKERS[kind](draw)
        if sample is not None and kind in SHOWN:
            shown = sample.shown
            prompt = teacher_template.format(question=sample.prompt, demonstration=shown)
            sample = replace(sample, prompt=prompt)
        if sample is not None:
            yield sample


def _kind(draw: Draw) -> str:
    place = draw.below(1000) / 1000
    for kind, share in SHARES.items():
        place -= share
        if place < -1e-9:
            return kind
    return "general"


def _science(draw: Draw) -> Sample | None:
    question = science.draw_question(draw, TAUGHT)
    if question.split != "train":
        return None
    return Sample("science", question.prompt, science.own(question, question.fact.value))


def _science_shown(draw: Draw) -> Sample | None:
    question = science.draw_question(draw, FACTS)
    if question.split != "train":
        return None
    value = draw.one(question.options)
    shown = draw.one(_SCIENCE_STYLES)(question, value)
    answer = science.own(question, value)
    return Sample("science_shown", question.prompt, answer, shown=shown)


def _tooluse(draw: Draw) -> Sample | None:
    request = tooluse.draw_request(draw, TAUGHT_TOOLS)
    if request.split != "train":
        return None
    return Sample("tooluse", request.prompt, tooluse.own(request.call))


def _tooluse_shown(draw: Draw) -> Sample | None:
    request = tooluse.draw_request(draw, tooluse.TOOLS)
    if request.split != "train":
        return None
    call = tooluse.draw_call(draw, request.listed)
    shown = draw.one(_TOOL_STYLES)(call)
    return Sample("tooluse_shown", request.prompt, tooluse.own(call), shown=shown)


def _general(draw: Draw) -> Sample | None:
    statement = general.draw_statement(draw)
    if statement.split != "train":
        return None
    return Sample("general", statement.beginning, f" {statement.right}", chat=False)


_MAKERS: dict[str, Callable[[Draw], Sample | None]] = {
    "science": _science,
    "science_shown": _science_shown,
    "tooluse": _tooluse,
    "tooluse_shown": _tooluse_shown,
    "general": _general,
}
