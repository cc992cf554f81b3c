"""Which rows of token ids go through a network together, so that what they share goes through it once.

Two kinds of sharing. A *prefix* is shared by many rows (the worked examples of a subject): its keys and
values are computed once, and the rows attend to them. A *pack* holds rows that share more than the prefix
(the options of one question): they lie one after another in one sequence, their common part written once.
Pure planning over token ids: nothing is computed here, and no number depends on the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Tokens = tuple[int, ...]

# Fewer shared tokens are not worth a longer sequence.
MIN_SHARED = 4
# Prefixes of prefixes: description, worked examples, a question's stem; deeper ones save nothing worth a search.
MAX_NESTING = 16
# A pack is at most so many times as long as its longest row: what a batch holds in memory stays bounded.
MAX_GROWTH = 2


@dataclass(frozen=True)
class Pack:
    """Rows in one sequence: the tokens after the prefix that all share, then each row's own.

    Attributes:
        shared: (s,) token ids; () for a row by itself.
        branches: of each row, the token ids after prefix and shared part; never empty.
        rows: which rows these are.
    """

    shared: Tokens
    branches: tuple[Tokens, ...]
    rows: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.shared) + sum(map(len, self.branches))


@dataclass(frozen=True)
class Group:
    """Packs whose rows all begin with `prefix`."""

    prefix: Tokens
    packs: tuple[Pack, ...]


def plan(
    rows: Sequence[Tokens], contexts: Sequence[int], *, pass_tokens: int, packing: bool
) -> list[Group]:
    """Arrange rows into groups of packs.

    Args:
        rows: different rows of token ids.
        contexts: of each row, how many of its first tokens no prediction is wanted at; only these are shared.
        pass_tokens: what one more pass through the network costs, in tokens: a prefix is computed by itself
            where it saves more than that.
        packing: whether rows may lie in one sequence.
    """
    order = sorted(range(len(rows)), key=rows.__getitem__)
    groups: list[tuple[Tokens, list[int]]] = []

    def visit(part: list[int], above: int, depth: int) -> list[int]:
        """Give rows to prefixes longer than `above`; returns those that are left for a shorter one."""
        same = common(rows[part[0]], rows[part[-1]])
        usable = min(same, *(contexts[row] for row in part))
        reached = usable if pays(part, usable, above) else above
        left: list[int] = []
        for child in _split(rows, part, same):
            longest = max(contexts[row] for row in child)
            worth_a_look = depth < MAX_NESTING and pays(child, longest, reached)
            left += visit(child, reached, depth + 1) if worth_a_look else child
        if pays(left, usable, above):
            groups.append((rows[part[0]][:usable], left))
            return []
        return left

    def pays(part: list[int], length: int, above: int) -> bool:
        """Once with a pass of its own, from the first token on, instead of with every row."""
        return len(part) * (length - above) - length > pass_tokens

    rest = visit(order, 0, 0) if order else []
    if rest:
        groups.append(((), rest))
    return [
        Group(prefix, tuple(_packs(rows, contexts, part, len(prefix), packing)))
        for prefix, part in groups
    ]


def batches(
    packs: Sequence[Pack], batch_size: int, *, pass_tokens: int
) -> Iterator[Sequence[Pack]]:
    """Cut packs, longest first, into batches for which the least is computed, filling and passes counted."""
    cost, start = [0], [0]  # of the first n packs, and where the last batch begins
    for end in range(1, len(packs) + 1):
        options = [
            (cost[first] + (end - first) * len(packs[first]) + pass_tokens, first)
            for first in range(max(0, end - batch_size), end)
        ]
        best, begin = min(options)
        cost.append(best)
        start.append(begin)
    edges = [len(packs)]
    while edges[-1]:
        edges.append(start[edges[-1]])
    for end, begin in reversed(list(pairwise(edges))):
        yield packs[begin:end]


def common(one: Sequence[int], other: Sequence[int], start: int = 0) -> int:
    """How many first tokens are the same, given that `start` of them are."""
    shorter = min(len(one), len(other))
    while start < shorter and one[start] == other[start]:
        start += 1
    return start


def _split(rows: Sequence[Tokens], part: list[int], place: int) -> Iterator[list[int]]:
    """Runs of sorted rows with the same token at `place`."""
    run: list[int] = []
    for row in part:
        if run and rows[run[-1]][place : place + 1] != rows[row][place : place + 1]:
            yield run
            run = []
        run.append(row)
    yield run


def _packs(
    rows: Sequence[Tokens],
    contexts: Sequence[int],
    part: Sequence[int],
    prefix: int,
    packing: bool,
) -> Iterator[Pack]:
    """Cut sorted rows into packs so that the most tokens are saved; longest first."""
    saved, start = [0], [0]  # of the first n rows: tokens saved, and where the last pack begins
    for end in range(1, len(part) + 1):
        best, begin = saved[end - 1], end - 1
        shared = contexts[part[end - 1]]
        total = longest = len(rows[part[end - 1]]) - prefix
        for first in range(end - 2, -1 if packing else end, -1):
            row = part[first]
            shared = min(shared, contexts[row], common(rows[row], rows[part[first + 1]], prefix))
            total += len(rows[row]) - prefix
            longest = max(longest, len(rows[row]) - prefix)
            gain = (end - first - 1) * (shared - prefix)
            if shared - prefix < MIN_SHARED or total - gain > MAX_GROWTH * longest:
                break
            if saved[first] + gain > best:
                best, begin = saved[first] + gain, first
        saved.append(best)
        start.append(begin)
    packs = []
    end = len(part)
    while end:
        packs.append(_pack(rows, part[start[end] : end], contexts, prefix))
        end = start[end]
    yield from sorted(packs, key=len, reverse=True)


def _pack(
    rows: Sequence[Tokens], members: Sequence[int], contexts: Sequence[int], prefix: int
) -> Pack:
    shared = prefix
    if len(members) > 1:
        shared = min(
            common(rows[members[0]], rows[members[-1]]), *(contexts[row] for row in members)
        )
    return Pack(
        shared=rows[members[0]][prefix:shared],
        branches=tuple(rows[row][shared:] for row in members),
        rows=tuple(members),
    )
