"""What the view models of a recipe being written hand to views: fields, problems, needs, presets.

Frozen, plain data like those of `app.viewmodels.types`, in plain words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FieldKind = Literal[
    "int", "float", "text", "prose", "choice", "bool", "list", "path", "stage", "dataset", "map"
]
Value = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True)
class Choice:
    """One value of a choice field with its words."""

    value: str
    label: str


@dataclass(frozen=True)
class FieldView:
    """One field of a form, generated from a spec.

    Attributes:
        path: where `NewRunViewModel.set` writes ("stages.2.learning_rate", "base.hub", "seed").
        section: heading under which the field stands; "" for the card's own fields.
        kind: which control shows it. "choice", "stage" and single "dataset" offer `choices`; "list" and
            multiple "dataset" and "stage" take a tuple of strings out of `choices`; "path" is a file or
            folder; "map" is edited as "name: column, name: column"; "prose" has several lines.
        value: what is set, or the default; a tuple for multiple ones.
        is_default: nothing is set: show the value as a placeholder.
        optional: may be empty (None).
        paper: what the paper used, "" if nothing to say.
        advanced: shown only on request.
        idle: why it has no effect with the other settings; "" when it has one.
        facts: limits and default in a few words.
        problem, problem_hint: what is wrong with it and the way out; "" when fine.
        fix: what a click on the way out does ("Use nf4"); "" where only a person knows.
    """

    path: str
    label: str
    kind: FieldKind
    value: Value
    default: Value = None
    is_default: bool = False
    optional: bool = False
    multiple: bool = False
    choices: tuple[Choice, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: bool = False
    exclusive_maximum: bool = False
    unit: str = ""
    help: str = ""
    paper: str = ""
    advanced: bool = False
    section: str = ""
    idle: str = ""
    facts: str = ""
    problem: str = ""
    problem_hint: str = ""
    fix: str = ""


@dataclass(frozen=True)
class ProblemView:
    """A problem of the recipe; `card` is the card key (see `NewRunViewModel.select`) that holds it; `fix` is what a click does."""

    path: str
    message: str
    hint: str
    card: str
    fix: str = ""


@dataclass(frozen=True)
class NeedLine:
    """What one stage of a recipe will need, in words.

    Attributes:
        stage: its id.
        text: "sdft, about 2 m"; the memory is the last of `items`.
        verdict: "fits", "tight", "too_large", or "" where it cannot be said.
        items: what takes memory at the peak, each with its size; the last one is the sum.
        note: when the peak is, what lengths were reckoned with; or why nothing is known.
        remedy: what to do when it is too large or tight.
    """

    stage: str
    text: str
    verdict: str
    items: tuple[tuple[str, str], ...] = ()
    note: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Preset:
    """A recipe to begin with; `group` is the heading under which it is offered."""

    name: str
    path: str
    description: str
    group: str = ""
