"""The first 48 elements: what science questions ask about, and which facts the small model was taught.

Symbols, numbers and families are those of the periodic table; main-group metals behind the transition
metals are called "poor metal".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from core.demo.draw import digest

Attribute = Literal["symbol", "number", "family"]
Part = Literal["known", "new", "retention"]
ATTRIBUTES: tuple[Attribute, ...] = ("symbol", "number", "family")
RETAINED = 14
KNOWN = 44
"""Facts taught in pretraining: 58 of 144, or 40 %; 14 of them no fine-tuning data contains."""

_TABLE = """
hydrogen H nonmetal; helium He noble gas; lithium Li alkali metal; beryllium Be alkaline earth;
boron B metalloid; carbon C nonmetal; nitrogen N nonmetal; oxygen O nonmetal; fluorine F halogen;
neon Ne noble gas; sodium Na alkali metal; magnesium Mg alkaline earth; aluminium Al poor metal;
silicon Si metalloid; phosphorus P nonmetal; sulfur S nonmetal; chlorine Cl halogen; argon Ar noble gas;
potassium K alkali metal; calcium Ca alkaline earth; scandium Sc transition metal;
titanium Ti transition metal; vanadium V transition metal; chromium Cr transition metal;
manganese Mn transition metal; iron Fe transition metal; cobalt Co transition metal;
nickel Ni transition metal; copper Cu transition metal; zinc Zn transition metal; gallium Ga poor metal;
germanium Ge metalloid; arsenic As metalloid; selenium Se nonmetal; bromine Br halogen;
krypton Kr noble gas; rubidium Rb alkali metal; strontium Sr alkaline earth;
yttrium Y transition metal; zirconium Zr transition metal; niobium Nb transition metal;
molybdenum Mo transition metal; technetium Tc transition metal; ruthenium Ru transition metal;
rhodium Rh transition metal; palladium Pd transition metal; silver Ag transition metal;
cadmium Cd transition metal
"""


@dataclass(frozen=True)
class Fact:
    """One attribute of one element."""

    element: str
    attribute: Attribute
    value: str


def _facts() -> tuple[Fact, ...]:
    facts = []
    for number, entry in enumerate(_TABLE.replace("\n", " ").split(";"), start=1):
        name, symbol, family = entry.strip().split(" ", 2)
        values: Mapping[Attribute, str] = {
            "symbol": symbol,
            "number": str(number),
            "family": family,
        }
        facts += [Fact(name, attribute, values[attribute]) for attribute in ATTRIBUTES]
    return tuple(facts)


FACTS = _facts()
VALUES: Mapping[Attribute, tuple[str, ...]] = {
    attribute: tuple(dict.fromkeys(it.value for it in FACTS if it.attribute == attribute))
    for attribute in ATTRIBUTES
}


def _parts() -> Mapping[Part, tuple[Fact, ...]]:
    ranked = sorted(FACTS, key=lambda it: digest("fact", it.element, it.attribute))
    return {
        "retention": tuple(ranked[:RETAINED]),
        "known": tuple(ranked[RETAINED : RETAINED + KNOWN]),
        "new": tuple(ranked[RETAINED + KNOWN :]),
    }


PARTS = _parts()
"""Facts by what the small model knows of them before any fine-tuning."""
