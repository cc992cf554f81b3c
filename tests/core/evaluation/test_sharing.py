"""The plan of a scoring: every row once, and fewer tokens where rows share their beginnings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.sharing import MAX_GROWTH, Group, Pack, batches, common, plan

ROWS = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=30).map(tuple),
    min_size=0,
    max_size=25,
    unique=True,
)


def written(groups: list[Group]) -> dict[int, tuple[int, ...]]:
    """Each row put together again."""
    found = {}
    for group in groups:
        for pack in group.packs:
            for row, branch in zip(pack.rows, pack.branches, strict=True):
                assert row not in found
                found[row] = group.prefix + pack.shared + branch
    return found


def cost(groups: list[Group]) -> int:
    return sum(len(group.prefix) + sum(map(len, group.packs)) for group in groups)


@given(rows=ROWS, data=st.data(), pass_tokens=st.integers(0, 20), packing=st.booleans())
def test_that_every_row_is_laid_out_once_and_whole(
    rows: list[tuple[int, ...]], data: st.DataObject, pass_tokens: int, packing: bool
) -> None:
    contexts = [data.draw(st.integers(0, len(row) - 1)) for row in rows]
    groups = plan(rows, contexts, pass_tokens=pass_tokens, packing=packing)
    assert written(groups) == dict(enumerate(rows))
    assert cost(groups) <= sum(map(len, rows))
    for group in groups:
        for pack in group.packs:
            assert packing or len(pack.rows) == 1
            longest = max(len(pack.shared) + len(branch) for branch in pack.branches)
            assert len(pack) <= MAX_GROWTH * longest
            for row in pack.rows:
                shared = len(group.prefix) + (len(pack.shared) if len(pack.rows) > 1 else 0)
                assert shared <= max(contexts[row], 0)


def test_that_worked_examples_are_a_prefix_and_options_a_pack() -> None:
    worked = {subject: tuple(range(subject, subject + 50)) for subject in (1000, 2000)}
    rows = [
        worked[subject] + (number,) * 9 + (option, option)
        for subject in worked
        for number in range(5)
        for option in (90, 91, 92)
    ]
    groups = plan(rows, [len(row) - 1 for row in rows], pass_tokens=64, packing=True)
    assert sorted(group.prefix for group in groups) == sorted(worked.values())
    for group in groups:
        packs = sorted((pack.shared[0], len(pack.branches)) for pack in group.packs)
        assert packs == [(number, 3) for number in range(5)]
    assert cost(groups) == 2 * (50 + 5 * (9 + 3 * 2))


def test_that_a_prefix_is_left_alone_where_a_pass_costs_more() -> None:
    rows = [(1, 2, 3, 4, 5, number) for number in range(4)]
    contexts = [5] * 4
    assert [g.prefix for g in plan(rows, contexts, pass_tokens=100, packing=False)] == [()]
    assert [g.prefix for g in plan(rows, contexts, pass_tokens=14, packing=False)] == [rows[0][:5]]
    assert [g.prefix for g in plan(rows, [3] * 4, pass_tokens=8, packing=False)] == [rows[0][:3]]


def test_that_rows_that_continue_each_other_are_planned_too() -> None:
    rows = [(7,) * length for length in range(1, 1200)]
    groups = plan(rows, [len(row) - 1 for row in rows], pass_tokens=10, packing=True)
    assert len(written(groups)) == len(rows)


def test_that_common_counts_equal_first_tokens() -> None:
    assert common((1, 2, 3), (1, 2, 4)) == 2
    assert common((1, 2), (1, 2, 4)) == 2
    assert common((1, 2, 3), (9, 2, 3), start=1) == 3


@given(
    lengths=st.lists(st.integers(1, 50), max_size=30),
    batch_size=st.integers(1, 8),
    pass_tokens=st.integers(0, 60),
)
def test_that_batches_hold_every_pack_in_order_and_cost_no_more_than_full_ones(
    lengths: list[int], batch_size: int, pass_tokens: int
) -> None:
    packs = [
        Pack((), ((7,) * length,), (row,))
        for row, length in enumerate(sorted(lengths, reverse=True))
    ]

    def cost(parts: list[list[Pack]]) -> int:
        return sum(len(part) * len(part[0]) + pass_tokens for part in parts)

    found = [list(part) for part in batches(packs, batch_size, pass_tokens=pass_tokens)]
    assert [pack for part in found for pack in part] == packs
    assert all(1 <= len(part) <= batch_size for part in found)
    full = [packs[start : start + batch_size] for start in range(0, len(packs), batch_size)]
    assert cost(found) <= cost(full)


def test_that_a_long_pack_goes_alone_unless_a_pass_costs_more() -> None:
    packs = [Pack((), ((7,) * length,), (length,)) for length in (90, 10, 10)]
    assert [len(part) for part in batches(packs, 8, pass_tokens=50)] == [1, 2]
    assert [len(part) for part in batches(packs, 8, pass_tokens=500)] == [3]
