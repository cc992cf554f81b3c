"""Short statements whose last words are chosen by likelihood: what fine-tuning should leave alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.demo.draw import Draw, Split, split_of

OPTIONS = 4
_CATEGORIES: Mapping[str, str] = {
    "animal": "horse cow lion tiger wolf bear sheep goat fox deer",
    "fruit": "apple pear banana grape cherry plum peach lemon mango melon",
    "tool": "hammer saw drill spade wrench chisel axe rake file pliers",
    "vehicle": "car bus truck bicycle tram ship boat van scooter tractor",
    "garment": "shirt coat sock glove scarf hat skirt belt shoe sweater",
}
_OPPOSITES = (
    "hot cold, big small, old young, fast slow, light dark, high low, wet dry, full empty, hard soft, "
    "early late, rich poor, strong weak, open closed, loud quiet, long short, thick thin, clean dirty, "
    "deep shallow, happy sad, near far"
)
_CAPITALS = (
    "France Paris, Italy Rome, Norway Oslo, Egypt Cairo, Peru Lima, India Delhi, Japan Tokyo, "
    "Germany Berlin, Spain Madrid, Ireland Dublin, Greece Athens, Austria Vienna, Ecuador Quito"
)
_YOUNG = (
    "dog puppy, cat kitten, cow calf, sheep lamb, horse foal, goat kid, bear cub, duck duckling"
)
_COLOURS = (
    "grass green, snow white, coal black, blood red, lemons yellow, sky blue, carrots orange, milk white, "
    "tomatoes red, leaves green, ravens black, oceans blue"
)
_DAY_NAMES = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
_DAYS = _DAY_NAMES.split()


@dataclass(frozen=True)
class Statement:
    """A beginning, its options in order and the right one.

    `by_question` tells what keeps splits apart: the beginning itself (number families, where the rule must
    carry over) or beginning and options (families of facts, which can only be known by having been taught).
    """

    family: str
    beginning: str
    options: tuple[str, ...]
    right: str
    by_question: bool

    @property
    def split(self) -> Split:
        """The split it belongs to."""
        options = () if self.by_question else self.options
        return split_of("general", self.beginning, *options)


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [entry.split() for entry in text.split(", ")]
    return [(first, second) for first, second in pairs]


def _made(
    draw: Draw,
    family: str,
    beginning: str,
    right: str,
    pool: Sequence[str],
    *,
    by_question: bool = False,
) -> Statement:
    others = [it for it in dict.fromkeys(pool) if it != right]
    options = draw.shuffled([right, *draw.some(others, OPTIONS - 1)])
    return Statement(family, beginning, tuple(options), right, by_question)


def _category(draw: Draw) -> Statement:
    right = draw.one(list(_CATEGORIES))
    word = draw.one(_CATEGORIES[right].split())
    return _made(draw, "category", f"A {word} is a kind of", right, list(_CATEGORIES))


def _listed(family: str, beginning: str, text: str) -> Callable[[Draw], Statement]:
    pairs = _pairs(text)

    def make(draw: Draw) -> Statement:
        word, right = draw.one(pairs)
        return _made(draw, family, beginning.format(word), right, [it for _, it in pairs])

    return make


def _after(draw: Draw) -> Statement:
    place = draw.below(len(_DAYS))
    right = _DAYS[(place + 1) % len(_DAYS)]
    return _made(draw, "day", f"The day after {_DAYS[place]} is", right, _DAYS)


def _larger(draw: Draw) -> Statement:
    first, second = draw.some(range(1, 100), 2)
    pool = [str(min(first, second)), *(str(it) for it in draw.some(range(1, 100), 4))]
    right = str(max(first, second))
    beginning = f"The larger of {first} and {second} is"
    return _made(draw, "larger", beginning, right, pool[: OPTIONS + 1], by_question=True)


def _sequence(draw: Draw) -> Statement:
    step, start = draw.one((1, 2, 5, 10)), draw.below(40) + 1
    shown = [start + step * place for place in range(3)]
    right = start + 3 * step
    pool = [str(right + off) for off in (-2, -1, 1, 2, 3, 10) if right + off > 0]
    beginning = f"Count on: {shown[0]}, {shown[1]}, {shown[2]},"
    return _made(draw, "sequence", beginning, str(right), pool, by_question=True)


FAMILIES: Mapping[str, Callable[[Draw], Statement]] = {
    "category": _category,
    "opposite": _listed("opposite", "The opposite of {} is", _OPPOSITES),
    "capital": _listed("capital", "The capital of {} is", _CAPITALS),
    "young": _listed("young", "A young {} is called a", _YOUNG),
    "colour": _listed("colour", "The colour of {} is", _COLOURS),
    "day": _after,
    "larger": _larger,
    "sequence": _sequence,
}


def draw_statement(draw: Draw) -> Statement:
    """A statement of one of the families, each as likely as the others."""
    return FAMILIES[draw.one(list(FAMILIES))](draw)
