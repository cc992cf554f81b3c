"""Places of the nodes of a forest: a column for each generation, children below each other, a parent beside its first.

So the first tree and its first chain stand in the first row, where a view of any size begins.

A layout of our own: a checkpoint has one parent, so the lineage is a forest, for which this is exact and linear;
the layered layouts of graph libraries solve the harder problem of crossing edges and take seconds for thousands
of nodes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

TREE_GAP = 0.6
"""Rows between two trees."""


@dataclass(frozen=True)
class GraphNode:
    """What the graph draws for a node.

    Attributes:
        key: unique.
        parent: key of the parent, "" for a root.
        title: first line; `note` the second; `numbers` the third; `share` the fourth.
        hue: token of the role's colour.
        badge: a word at the right of the title, drawn in the warning colour.
        faded: drawn pale, because its files are gone.
        tip: tooltip.
    """

    key: str
    parent: str
    title: str
    note: str = ""
    numbers: str = ""
    share: str = ""
    hue: str = "third"
    badge: str = ""
    faded: bool = False
    tip: str = ""


@dataclass
class Forest:
    """Where every visible node stands: column and row.

    Attributes:
        place: key -> (column, row); rows are fractions, a parent stands in the row of its first child.
        children: key -> keys of its visible children, top to bottom.
        hidden: key of a folded node -> number of its descendants that are not shown.
        columns: for each column its (row, key), top to bottom.
        rows: height in rows.
    """

    place: dict[str, tuple[int, float]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)
    columns: list[list[tuple[float, str]]] = field(default_factory=list)
    rows: float = 0.0

    def between(self, column: int, top: float, bottom: float) -> list[str]:
        """Keys of a column's nodes whose rows lie between these."""
        if not 0 <= column < len(self.columns):
            return []
        entries = self.columns[column]
        first = bisect_left(entries, (top, ""))
        last = bisect_right(entries, (bottom, chr(0x10FFFF)))
        return [key for _, key in entries[first:last]]

    def neighbour(self, key: str, delta: int) -> str:
        """The node above (-1) or below (+1) in the same column, "" at its end."""
        column, row = self.place[key]
        entries = self.columns[column]
        at = entries.index((row, key)) + delta
        return entries[at][1] if 0 <= at < len(entries) else ""


def lay_out(nodes: Sequence[GraphNode], folded: Collection[str] = ()) -> Forest:
    """Place the nodes; those below a folded one are left out and counted."""
    known = {node.key for node in nodes}
    below: defaultdict[str, list[str]] = defaultdict(list)
    roots: list[str] = []
    for node in nodes:
        if node.parent in known:
            below[node.parent].append(node.key)
        else:
            roots.append(node.key)
    made = Forest()
    for root in roots:
        _place(root, below, frozenset(folded), made)
        made.rows += TREE_GAP
    made.rows = max(0.0, made.rows - TREE_GAP)
    depth = max((column for column, _ in made.place.values()), default=-1) + 1
    made.columns = [[] for _ in range(depth)]
    for key, (column, row) in made.place.items():
        made.columns[column].append((row, key))
    for entries in made.columns:
        entries.sort()
    return made


def _place(
    root: str, below: Mapping[str, Sequence[str]], folded: frozenset[str], made: Forest
) -> None:
    """One tree, walked without recursion: a lineage may be deeper than Python's stack."""
    stack: list[tuple[str, int, bool]] = [(root, 0, False)]
    while stack:
        key, column, done = stack.pop()
        children = list(below.get(key, ())) if key not in folded else []
        if done:
            made.place[key] = (column, made.place[children[0]][1])
            made.children[key] = children
        elif children:
            stack.append((key, column, True))
            stack += [(child, column + 1, False) for child in reversed(children)]
        else:
            made.place[key] = (column, made.rows)
            made.children[key] = []
            made.rows += 1
            if key in folded and below.get(key):
                made.hidden[key] = _count(key, below)


def _count(key: str, below: Mapping[str, Sequence[str]]) -> int:
    total = 0
    stack = list(below.get(key, ()))
    while stack:
        total += 1
        stack += below.get(stack.pop(), ())
    return total
