"""A survey of a dataset in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.viewmodels import data_words


@dataclass(frozen=True)
class SurveyView:
    """What a look at all rows has found.

    Attributes:
        format: "" where the rows fit none; `trouble` then says why and what to do.
        rows, readable, items, faulty: in the file, that can be read, that are items, and that are none.
        fields: name, kind, in how many rows, and an example of each column.
        faults: number of a row, what is wrong with it, what to do; the first ones.
        facts: statistics as (what, figure, help).
        groups: name and number of items, largest first.
        repeats: an item that asks what an earlier one asks, and that one; the first ones.
        state: of the file when it was read (`core.data.disk`).
    """

    format: str
    trouble: tuple[str, str]
    rows: int
    readable: int
    items: int
    faulty: int
    fields: tuple[tuple[str, str, int, str], ...]
    faults: tuple[tuple[int, str, str], ...]
    facts: tuple[tuple[str, str, str], ...]
    groups: tuple[tuple[str, int], ...]
    repeats: tuple[tuple[int, int], ...]
    state: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(name for name, *_ in self.fields)

    @property
    def headline(self) -> str:
        """ "tool use · 114 items"."""
        if not self.rows:
            return "no rows"
        if not self.format:
            return f"{self.rows:,} rows · {data_words.FORMAT['']}"
        broken = f" · {self.faulty:,} broken" if self.faulty else ""
        return f"{data_words.FORMAT[self.format]} · {self.items:,} items{broken}"


def survey_view(record: Mapping[str, Any]) -> SurveyView:
    """A survey as the process tells it (`core.data.survey.Survey`)."""
    return SurveyView(
        format=record["format"],
        trouble=(record["trouble"][0], record["trouble"][1]),
        rows=record["rows"],
        readable=record["readable"],
        items=record["items"],
        faulty=record["faulty"],
        fields=tuple(
            (it["name"], it["kind"], it["filled"], it["example"]) for it in record["fields"]
        ),
        faults=tuple((it["number"], it["message"], it["hint"]) for it in record["faults"]),
        facts=_facts(record),
        groups=tuple((name, count) for name, count in record["groups"]),
        repeats=tuple((later, first) for later, first in record["repeats"]),
        state=record["state"],
    )


def _facts(record: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    rows, items = record["rows"], record["items"]
    groups = record["groups"]
    facts = [
        ("Rows", f"{rows:,}", "Lines, records or rows of the file."),
        (
            "Items",
            data_words.share(items, rows),
            "Rows that fit the format. A run stops at the first row that does not.",
        ),
        ("Broken rows", data_words.share(record["faulty"], rows), "Rows that a run cannot read."),
        (
            "Without demonstration",
            data_words.share(items - record["demonstrated"], items),
            "Items that no teacher can be shown an answer to; SDFT and SFT need one.",
        ),
        (
            "Without answer key",
            data_words.share(items - record["keyed"], items),
            "Items whose answers cannot be judged; an evaluation needs a key.",
        ),
        (
            "Repeated",
            data_words.share(record["repeated"], items),
            "Items that ask, word for word, what an earlier one asks.",
        ),
        ("Groups", f"{record['grouped']:,}", "Subjects or tools by which items cluster."),
    ]
    if groups:
        smallest = min(count for _, count in groups)
        facts.append(
            (
                "Largest group",
                f"{groups[0][1]:,}",
                f"{groups[0][0]}; the smallest has {smallest:,}.",
            )
        )
    return tuple(facts)
