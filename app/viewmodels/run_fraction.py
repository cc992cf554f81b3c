"""The recovered fraction of a row of the run list: one figure for the tasks of the recovered stage in the headline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import fmean
from typing import Any

from app.viewmodels import recipe_words, words
from app.viewmodels.recovered import Recovered, judge
from core.analysis import recovery
from core.events import Role
from core.recipe.plan import Step
from core.store.rows import RunRow

_ROLES: Mapping[str, Role] = {
    "base": "base",
    "degraded": "degraded",
    "recovered": "recovered",
    "expert": "expert",
}
_SHAPE = ("id", "kind", "from", "role")
"""What of a stage decides which checkpoints are compared."""
SHAPES_KEPT = 256
_BELOW_NUMBERS = {words.WITHIN_NOISE: -1e9, words.NOTHING_LOST: -2e9}


@dataclass(frozen=True)
class RowFraction:
    """What the list shows and sorts by.

    Attributes:
        stage: the recovered stage.
        judged: the checkpoints it is judged by, in order of their making.
        tasks: the fraction of each task.
    """

    text: str = ""
    key: float = float("-inf")
    stage: str = ""
    judged: str = ""
    tasks: Mapping[str, Recovered] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """One line a task: its fraction, and what that rests on."""
        return [
            f"{words.plain(task)}: {it.text}. {it.note}".rstrip() for task, it in self.tasks.items()
        ]


def fraction_of(row: RunRow, stages: Sequence[Mapping[str, Any]]) -> RowFraction:
    """Mean over the tasks whose loss is beyond noise; words that sort below all numbers where there are none."""
    kinds = {str(it.get("id")): str(it.get("kind")) for it in stages}
    stage = recovery.headline({it: kinds.get(it, "") for it in row.recovered_fraction})
    values = row.recovered_fraction.get(stage, {})
    if not values:
        return RowFraction()
    ends = _ends(stages, stage)
    tasks = {
        task: judge(value, *(row.measured.get(f"{end}/{task}") for end in ends))
        for task, value in values.items()
    }
    judged = " → ".join(filter(None, (*ends, stage)))
    sound = [it.value for it in tasks.values() if it.sound and it.value is not None]
    if sound:
        return RowFraction(words.fraction(fmean(sound)), fmean(sound), stage, judged, tasks)
    texts = {it.text for it in tasks.values()}
    text = words.WITHIN_NOISE if words.WITHIN_NOISE in texts else words.NOTHING_LOST
    return RowFraction(text, _BELOW_NUMBERS[text], stage, judged, tasks)


def _ends(stages: Sequence[Mapping[str, Any]], recovered: str) -> tuple[str, str]:
    """Ids of base and degraded, from the raw recipe, which may be one of another version."""
    return _ends_of(
        tuple(tuple(str(it.get(name) or "") for name in _SHAPE) for it in stages), recovered
    )


@lru_cache(maxsize=SHAPES_KEPT)
def _ends_of(stages: tuple[tuple[str, ...], ...], recovered: str) -> tuple[str, str]:
    """The same from what decides the lineage only; thousands of runs have a few shapes between them."""
    shapes = [
        {name: text for name, text in zip(_SHAPE, values, strict=True) if text} for values in stages
    ]
    steps: dict[str, Step] = {}
    for card in recipe_words.edited_cards(None, shapes, {}, {}):
        source = card.source if card.source in steps else None
        steps[card.id] = Step(card.id, card.kind, None, source, _ROLES.get(card.role))
    trio = recovery.trio(list(steps.values()), recovered) if recovered in steps else None
    return (trio.base, trio.degraded) if trio is not None else ("", "")
