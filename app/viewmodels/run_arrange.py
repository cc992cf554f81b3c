"""Which runs the list shows, in which order, under which headings. Pure; thousands of runs in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import fmean

from app.viewmodels import words
from app.viewmodels.run_entry import RunEntry, sort_key
from app.viewmodels.run_facts import Scalar
from app.viewmodels.run_filter import All, Query, compile_query

HEADING = "\0"
"""A line that begins with this is a group's heading, not a run."""
GROUPS: Mapping[str, str] = {
    "": "no groups",
    "status": "status",
    "tag": "tags",
    "base": "base model",
    "day": "day",
}
"""What every run can be grouped by; any recipe field by its dotted name, too."""


@dataclass(frozen=True)
class Group:
    """The heading of a group.

    Attributes:
        key: its line.
        title: what its runs have in common.
        count: how many runs it has.
        numbers: "mean 0.62 · best 0.91": recovered fractions; "" where no run has one.
        folded: its runs are not shown.
    """

    key: str
    title: str
    count: int
    numbers: str
    folded: bool

    @property
    def caption(self) -> str:
        """Count and numbers."""
        runs = f"{self.count:,} {'run' if self.count == 1 else 'runs'}"
        return f"{runs} · {self.numbers}" if self.numbers else runs


@dataclass(frozen=True)
class Wish:
    """How a person wants to see the list.

    Attributes:
        query: which runs.
        status: only this one; "" for all.
        column: sorted by.
        descending: the greatest first.
        group: by what; "" for no groups.
        folded: headings whose runs are not shown.
    """

    query: Query = field(default_factory=lambda: All(()))
    status: str = ""
    column: str = "created"
    descending: bool = True
    group: str = ""
    folded: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Arrangement:
    """Lines from top to bottom (run ids and headings), the headings' content, and how many runs pass."""

    lines: tuple[str, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    passing: int = 0


def arrange(
    order: Sequence[str], entries: Mapping[str, RunEntry], wish: Wish, now: float
) -> Arrangement:
    """Filter, sort, group. Equal runs stay newest first."""
    test = compile_query(wish.query, now)
    passing = [
        entry
        for entry in (entries[uid] for uid in order)
        if (not wish.status or entry.row.status == wish.status) and test(entry)
    ]
    if wish.column != "created" or not wish.descending:  # `order` is newest first
        passing.sort(key=lambda entry: entry.key(wish.column), reverse=wish.descending)
    if not wish.group:
        return Arrangement(tuple(it.row.uid for it in passing), {}, len(passing))
    return _grouped(passing, wish)


def _grouped(passing: Sequence[RunEntry], wish: Wish) -> Arrangement:
    members: dict[Scalar | None, list[RunEntry]] = {}
    for entry in passing:
        members.setdefault(_shared(entry, wish.group), []).append(entry)
    lines: list[str] = []
    groups: dict[str, Group] = {}
    newest_first = wish.group == "day"
    for value in sorted(members, key=sort_key, reverse=newest_first):
        key = f"{HEADING}{value}"
        folded = key in wish.folded
        numbers = [it.keys["fraction"] for it in members[value] if it.has_number("fraction")]
        summary = (
            f"mean {words.fraction(fmean(numbers))} · best {words.fraction(max(numbers))}"
            if numbers
            else ""
        )
        title = f"no {_name(wish.group)}" if value in (None, "") else _worded(wish.group, value)
        groups[key] = Group(key, title, len(members[value]), summary, folded)
        lines.append(key)
        lines += [] if folded else [it.row.uid for it in members[value]]
    return Arrangement(tuple(lines), groups, len(passing))


def _shared(entry: RunEntry, group: str) -> Scalar | None:
    """What the runs of a group have in common."""
    match group:
        case "day":
            return datetime.fromtimestamp(entry.row.created).astimezone().strftime("%Y-%m-%d")
        case "tag":
            return ", ".join(sorted(entry.row.tags)) or None
        case "status":
            return entry.row.status
    values = entry.values(group)
    return values[0] if values else None


def _name(group: str) -> str:
    return GROUPS.get(group, group.removeprefix("stages."))


def _worded(group: str, value: Scalar | None) -> str:
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return shown if group in GROUPS else f"{_name(group)} = {shown}"
