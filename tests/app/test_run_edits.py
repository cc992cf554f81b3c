"""Changes to runs and taking them back, against a real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.viewmodels.run_edits import Job, RunEdits
from core.store.rows import RunRow
from core.store.store import Store
from tests.app.conftest import Sample


class Desk:
    """Edits whose writing job is done at once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.edits = RunEdits(self.write)
        self.told: list[str] = []
        self.edits.done.connect(self.told.append)
        self.edits.undone.connect(lambda words: self.told.append(f"undone: {words}"))

    def write(self, job: Job, done: Callable[[object], None] | None = None) -> None:
        answer = job(self.store)
        if done is not None:
            done(answer)

    def rows(self, *uids: str) -> list[RunRow]:
        return [self.store.run(uid) for uid in uids]


@pytest.fixture
def desk(sample: Sample, qtbot: QtBot) -> Iterator[Desk]:
    with Store.open(sample.home.database) as store:
        yield Desk(store)


@pytest.fixture
def two(sample: Sample) -> tuple[str, str]:
    return sample.runs["done"], sample.runs["pruned"]


def test_that_every_change_is_taken_back_in_turn(desk: Desk, two: tuple[str, str]) -> None:
    before = desk.rows(*two)
    desk.edits.mark(desk.rows(*two), -1)
    desk.edits.rename(desk.rows(two[0])[0], " better ")
    desk.edits.tag(desk.rows(*two), ["paper", "new"], [])
    desk.edits.note(desk.rows(two[1])[0], "worth a look")
    desk.edits.delete(desk.rows(*two))
    assert {row.uid for row in desk.store.runs()}.isdisjoint(two)
    for _ in range(5):
        assert desk.edits.next_undo
        desk.edits.undo()
    assert desk.rows(*two) == before
    assert {row.uid for row in desk.store.runs()} >= set(two)
    assert desk.edits.next_undo == ""
    desk.edits.undo()
    assert len(desk.told) == 10
    assert desk.told[:2] == ["2 runs are crossed.", f"“{before[0].name}” is now “better”."]


def test_that_undoing_a_deletion_brings_back_points_scores_and_items(
    desk: Desk, two: tuple[str, str]
) -> None:
    uid = two[0]

    def everything() -> tuple[object, ...]:
        series = [
            desk.store.points(uid, stage, key).values.tolist()
            for stage, key, *_ in desk.store.series(uid)
        ]
        items = [desk.store.item_results(uid, it.subject, it.task) for it in desk.store.scores(uid)]
        return desk.store.run(uid), repr(series), desk.store.scores(uid), repr(items)

    before = everything()
    restored: list[list[str]] = []
    desk.edits.restored.connect(restored.append)
    desk.edits.delete(desk.rows(uid))
    desk.edits.undo()
    assert everything() == before
    assert restored == [[uid]]


def test_that_the_same_mark_again_takes_it_away_and_mixed_marks_become_one(
    desk: Desk, two: tuple[str, str]
) -> None:
    desk.store.set_star(two[0], 1)
    desk.store.set_star(two[1], 0)
    desk.edits.mark(desk.rows(*two), 1)
    assert [row.star for row in desk.rows(*two)] == [1, 1]
    desk.edits.mark(desk.rows(*two), 1)
    assert [row.star for row in desk.rows(*two)] == [0, 0]


def test_that_tags_are_added_and_taken_away_and_others_stay(
    desk: Desk, two: tuple[str, str]
) -> None:
    desk.store.set_tags(two[0], ["a", "b"])
    desk.store.set_tags(two[1], ["c"])
    desk.edits.tag(desk.rows(*two), ["c", "d"], ["a"])
    assert [row.tags for row in desk.rows(*two)] == [("b", "c", "d"), ("c", "d")]


def test_that_nothing_changed_is_nothing_to_take_back(desk: Desk, two: tuple[str, str]) -> None:
    row = desk.rows(two[0])[0]
    desk.edits.rename(row, "  ")
    desk.edits.rename(row, row.name)
    desk.edits.note(row, row.notes)
    desk.edits.tag([row], row.tags, ["unknown"])
    assert desk.told == []
    assert desk.edits.next_undo == ""


def test_that_what_is_still_being_written_is_taken_back_and_not_the_step_before(
    desk: Desk, two: tuple[str, str]
) -> None:
    desk.edits.rename(desk.rows(two[0])[0], "better")
    waiting: list[Callable[[], None]] = []

    def later(job: Job, done: Callable[[object], None] | None = None) -> None:
        waiting.append(lambda: desk.write(job, done))

    desk.edits._write = later
    desk.edits.delete(desk.rows(*two))
    desk.edits.undo()
    for write in waiting:
        write()
    assert {row.uid for row in desk.store.runs()} >= set(two)
    assert desk.rows(two[0])[0].name == "better"
    assert desk.edits.next_undo.endswith("is now “better”.")
