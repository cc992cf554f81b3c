"""What the teacher of a stage is shown for one item: its turns as plain text, and how long they are.

The turns are those of `core.data.chat.teacher_messages`; what the model's chat template puts around them, and
how many tokens they come to, only its tokenizer knows (`app.viewmodels.prompt_tokens`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.viewmodels import forms
from app.viewmodels.relevance import teachers
from core.data.example import Example
from core.recipe.stage_specs import STAGE_SPECS
from core.recipe.template import PLACES, TEACHER_TEMPLATE, problem_of

Part = Literal["template", "question", "demonstration"]
_PLACE = re.compile("({" + "}|{".join(PLACES) + "})")


@dataclass(frozen=True)
class Turn:
    """One turn: who speaks, and the text in pieces that say where each comes from."""

    role: str
    parts: tuple[tuple[Part, str], ...]

    @property
    def text(self) -> str:
        """The turn as one text."""
        return "".join(text for _, text in self.parts)


@dataclass(frozen=True)
class TeacherPrompt:
    """What is shown of a stage's teacher prompt.

    Attributes:
        turns: the conversation; empty where there is nothing to show.
        student: what the student is shown beside it.
        item: which item of which dataset.
        answer: what follows the turns, and whose tokens it is.
        budget: how long it is, in sentences.
        demonstration: what the teacher is shown of the item.
        problem: what is wrong with the template; "" when fine.
        why_not: why there is nothing to show, and what to do; two empty texts where there is.
    """

    turns: tuple[Turn, ...] = ()
    student: tuple[Turn, ...] = ()
    item: str = ""
    answer: str = ""
    budget: tuple[str, ...] = ()
    demonstration: str = ""
    problem: str = ""
    why_not: tuple[str, str] = ("", "")

    @property
    def text(self) -> str:
        """Everything, for the clipboard."""
        return "\n\n".join(f"[{turn.role}]\n{turn.text}" for turn in self.turns)


def is_taught(stage: Mapping[str, Any]) -> bool:
    """Whether a stage shows demonstrations to a teacher by a template."""
    return stage.get("kind") in ("sdft", "bootstrap") or (
        stage.get("kind") == "sft" and bool(stage.get("teacher"))
    )


def teacher_prompt(
    stage: Mapping[str, Any], dataset: str, example: Example, number: int = 0
) -> TeacherPrompt:
    """The prompt for one example.

    Args:
        stage: raw settings; may hold nonsense.
        dataset: what the recipe calls it.
        example: the item.
        number: how many items come before it.
    """
    item = f"{dataset}, {'first item' if not number else f'item {number + 1}'}"
    if not example.demonstration:
        why = (
            f"{'The first item' if not number else f'Item {number + 1}'} of {dataset} has no demonstration.",
            "Map the column that holds it to demonstration, or train on another dataset.",
        )
        return TeacherPrompt(item=item, why_not=why)
    given = stage.get("teacher_template")
    template = given if isinstance(given, str) else TEACHER_TEMPLATE
    turns = (
        *(Turn(it.role, (("question", it.content),)) for it in example.messages[:-1]),
        Turn("user", _filled(template, example)),
    )
    asked = tuple(Turn(it.role, (("question", it.content),)) for it in example.messages)
    student = turns if stage.get("kind") == "bootstrap" else asked
    return TeacherPrompt(
        turns,
        student,
        item,
        _answer(stage),
        _budget(stage, turns, example),
        example.demonstration,
        problem_of(template),
    )


def _filled(template: str, example: Example) -> tuple[tuple[Part, str], ...]:
    texts: dict[str, tuple[Part, str]] = {
        "{question}": ("question", example.prompt),
        "{demonstration}": ("demonstration", example.demonstration),
    }
    pieces = (texts.get(it, ("template", it)) for it in _PLACE.split(template))
    return tuple((part, text) for part, text in pieces if text)


def _answer(stage: Mapping[str, Any]) -> str:
    names = [it for it in teachers({"teacher": value_of(stage, "teacher")}) if it]
    who = " and ".join(names) or "the teacher"
    if stage.get("kind") == "sdft":
        score = "score" if len(names) > 1 else "scores"
        return f"Then the student's own answer follows, and {who} {score} its tokens."
    if stage.get("kind") == "sft":
        return (
            f"Then {who} answers, and the student learns that answer instead of the demonstration."
        )
    if value_of(stage, "completions") == "teacher":
        return f"Then {who} answers, and the student, shown the same, learns at these tokens."
    return f"Then the demonstration itself follows; the student, shown the same, learns from {who} at its tokens."


def _budget(stage: Mapping[str, Any], turns: tuple[Turn, ...], example: Example) -> tuple[str, ...]:
    shown = sum(len(turn.text) for turn in turns)
    asked = sum(len(it.content) for it in example.messages)
    found = [f"{shown:,} characters, {len(example.demonstration):,} of them the demonstration."]
    if stage.get("kind") != "bootstrap":
        found.append(f"The student reads the question alone: {asked:,} characters.")
    return tuple(found)


def value_of(stage: Mapping[str, Any], name: str) -> Any:
    """What a field of a stage holds, its default where nothing is set."""
    spec = STAGE_SPECS.get(str(stage.get("kind")))
    info = spec.model_fields.get(name) if spec is not None else None
    given = stage.get(name)
    return forms.default_of(info) if given is None and info is not None else given
