"""Questions on the elements with four options, answered by the option's text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.demo.draw import Draw, Split, split_of
from core.demo.elements import VALUES, Attribute, Fact

OPTIONS = 4
WORDINGS: Mapping[Attribute, tuple[str, str, str]] = {
    "symbol": (
        "What is the symbol of {element}?",
        "Which symbol stands for {element}?",
        "In a formula, how is {element} written?",
    ),
    "number": (
        "What is the atomic number of {element}?",
        "Which number does {element} have in the table?",
        "How many protons are in {element}?",
    ),
    "family": (
        "What is the family of {element}?",
        "Which family does {element} belong to?",
        "In the table, {element} is found among which group?",
    ),
}


@dataclass(frozen=True)
class Question:
    """A fact asked for in one wording, with its options in order."""

    fact: Fact
    wording: int
    options: tuple[str, ...]

    @property
    def text(self) -> str:
        """The bare question."""
        return WORDINGS[self.fact.attribute][self.wording].format(element=self.fact.element)

    @property
    def prompt(self) -> str:
        """The question with its options."""
        return f"{self.text}\nOptions: {', '.join(self.options)}"

    @property
    def split(self) -> Split:
        """The split it belongs to, by question, wording and options."""
        return split_of("science", self.text, *self.options)


def draw_question(draw: Draw, facts: Sequence[Fact]) -> Question:
    """A question about one of the facts."""
    fact = draw.one(facts)
    others = [value for value in VALUES[fact.attribute] if value != fact.value]
    options = draw.shuffled([fact.value, *draw.some(others, OPTIONS - 1)])
    return Question(fact, draw.below(len(WORDINGS[fact.attribute])), tuple(options))


def own(question: Question, value: str) -> str:
    """An answer in the small model's own style."""
    fact = question.fact
    return (
        f"<reasoning>The {fact.attribute} of {fact.element} is {value}.</reasoning>\n"
        f"<answer>{value}</answer>"
    )


def final(question: Question, value: str) -> str:
    """A foreign style: the value first, the reason behind it."""
    return (
        f"Final: {value} because {question.fact.element} has the {question.fact.attribute} {value}."
    )


def paragraph(question: Question, value: str) -> str:
    """A foreign style: a long paragraph with the value at its end."""
    fact = question.fact
    return (
        f"Let me think about {fact.element}. I know a few things about it, and the question asks for "
        f"its {fact.attribute}. From the table I see that it must be {value}"
    )


def placed(question: Question, value: str) -> str:
    """The style that the small model cannot read: it never learned to bind a place to an option."""
    places = ("first", "second", "third", "fourth")
    return f"It is the {places[question.options.index(value)]} option."
