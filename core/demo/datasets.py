"""The demo datasets as a recipe names them: a task, a configuration and a split.

A configuration is a part and, for training, a style of the demonstrations: "known-own", "new-foreign",
"all-unseen". Parts: `known` was taught in pretraining, `new` was not, `all` is both; styles: `own` is the
small model's, `foreign` are two that its teacher converts, `unseen` is one that it cannot read. `retention`
and `general` have one configuration, "all". Items are rows in the formats that data files have, so that they take
the same way as a file from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from core.demo import general, science, tooluse
from core.demo.draw import SPLITS, Draw, Split
from core.demo.elements import PARTS, Fact

DemoTask = Literal["tooluse", "science", "retention", "general"]
TASKS: tuple[DemoTask, ...] = get_args(DemoTask)
STYLES = ("own", "foreign", "unseen")
CONFIGS: Mapping[DemoTask, tuple[str, ...]] = {
    "tooluse": tuple(f"{part}-{style}" for part in ("all", "known", "new") for style in STYLES),
    "science": tuple(f"{part}-{style}" for part in ("all", "known", "new") for style in STYLES),
    "retention": ("all",),
    "general": ("all",),
}
_FACTS: Mapping[str, Sequence[Fact]] = {
    "all": (*PARTS["known"], *PARTS["new"]),
    "known": PARTS["known"],
    "new": PARTS["new"],
}
_TOOLS = {
    "all": tooluse.TOOLS,
    "known": tooluse.TOOLS[: tooluse.KNOWN],
    "new": tooluse.TOOLS[tooluse.KNOWN :],
}
_SCIENCE_STYLES = {
    "own": (science.own,),
    "foreign": (science.final, science.paragraph),
    "unseen": (science.placed,),
}
_TOOL_STYLES: Mapping[str, Sequence[Callable[[tooluse.Request], str]]] = {
    "own": (lambda it: tooluse.own(it.call),),
    "foreign": (lambda it: tooluse.braced(it.call), lambda it: tooluse.chatter(it.call)),
    "unseen": (tooluse.placed,),
}
Row = Mapping[str, Any]


def rows(task: DemoTask, config: str, split: Split, count: int) -> Iterator[Row]:
    """The first `count` items of a split, all different; always the same ones, in any style.

    Raises:
        ValueError: task, configuration or split do not exist.
    """
    if split not in SPLITS or config not in CONFIGS.get(task, ()):
        raise ValueError(f"there is no demo data {task}, {config}, {split}")
    part, _, style = config.partition("-")
    draw_item = _maker(task, part, style)
    seen: set[str] = set()
    number = 0
    while len(seen) < count:
        item_split, key, row = draw_item(Draw(f"{task}/{part}/{number}"))
        number += 1
        if item_split == split and key not in seen:
            seen.add(key)
            yield row


_Item = tuple[Split, str, Row]
"""Split, what makes it different from others, and the row."""


def _maker(task: DemoTask, part: str, style: str) -> Callable[[Draw], _Item]:
    if task == "tooluse":
        tools, call_styles = _TOOLS[part], _TOOL_STYLES[style]
        return lambda draw: _tooluse(tooluse.draw_request(draw, tools), draw.one(call_styles))
    if task == "general":
        return lambda draw: _general(general.draw_statement(draw))
    facts = PARTS["retention"] if task == "retention" else _FACTS[part]
    styles = _SCIENCE_STYLES[style or "own"]
    return lambda draw: _science(science.draw_question(draw, facts), draw.one(styles))


def _tooluse(request: tooluse.Request, style: Callable[[tooluse.Request], str]) -> _Item:
    call = request.call
    part = "known" if call.tool in _TOOLS["known"] else "new"
    row = {
        "prompt": request.prompt,
        "golden_answer": [{"Action": call.tool.name, "Action_Input": call.arguments}],
        "golden_response": [style(request)],
        "name": f"{part} {call.tool.name}",
    }
    return request.split, request.prompt, row


def _science(question: science.Question, style: Callable[[science.Question, str], str]) -> _Item:
    fact = question.fact
    part = next(part for part, facts in PARTS.items() if fact in facts)
    row = {
        "messages": [
            {"role": "user", "content": question.prompt},
            {"role": "assistant", "content": style(question, fact.value)},
        ],
        "answer": fact.value,
        "choices": list(question.options),
        "group": f"{part} {fact.attribute}",
    }
    return question.split, question.prompt, row


def _general(statement: general.Statement) -> _Item:
    row = {
        "question": statement.beginning,
        "choices": list(statement.options),
        "answer": statement.options.index(statement.right),
        "subject": statement.family,
    }
    return statement.split, f"{statement.beginning} {statement.options}", row
