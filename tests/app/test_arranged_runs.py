"""The list as it is shown: filtered, sorted, grouped, with added columns, line by line or in one go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.viewmodels import arranged_runs
from app.viewmodels.arranged_runs import ArrangedRuns
from app.viewmodels.run_arrange import HEADING
from app.viewmodels.run_cells import COLUMNS, GROUP_ROLE, UID_ROLE
from app.viewmodels.run_entry import RunEntry, entry_of
from app.viewmodels.run_filter import parse
from app.viewmodels.run_lister import RunListing
from app.viewmodels.run_vocabulary import Vocabulary, complete, vocabulary
from app.viewmodels.runs import RunsModel
from core.store.rows import RunRow
from tests.app.test_viewmodels_run import RECIPE, row


def run(uid: str, **more: object) -> RunRow:
    recipe = json.loads(RECIPE.model_dump_json(by_alias=True))
    recipe["stages"][1]["learning_rate"] = more.pop("lr", 1e-5)
    status = str(more.pop("status", "done"))
    return row(status, uid=uid, name=f"run {uid}", recipe_json=json.dumps(recipe), **more)


class List:
    """A run list whose rows a test changes, and what is shown of it."""

    def __init__(self, *rows: RunRow, later: bool = False) -> None:
        self.jobs: list[tuple[Callable[[], object], Callable[[object], None]]] = []
        self.source = RunsModel()
        self.rows: dict[str, RunRow] = {}
        self.model = ArrangedRuns(
            self.source,
            (lambda job, done: self.jobs.append((job, done)))
            if later
            else (lambda job, done: done(job())),
        )
        self.take(*rows)

    def take(self, *rows: RunRow, gone: str = "") -> None:
        """Newest first."""
        changed = {it.uid for it in rows if it.uid in self.rows}
        self.rows |= {it.uid: it for it in rows}
        self.rows = {uid: it for uid, it in self.rows.items() if uid != gone}
        order = sorted(self.rows, key=lambda uid: -self.rows[uid].created)
        entries: dict[str, RunEntry] = {uid: entry_of(self.rows[uid]) for uid in order}
        self.source.take(RunListing(tuple(order), entries, frozenset(changed)))

    def answer(self) -> None:
        jobs, self.jobs = self.jobs, []
        for job, done in jobs:
            done(job())

    @property
    def lines(self) -> list[str]:
        rows = range(self.model.rowCount())
        return [str(self.model.index(at, 0).data(UID_ROLE)) or "-" for at in rows]


@pytest.fixture
def three() -> List:
    return List(
        run("a", created=3.0, lr=1e-5, tags=("paper",)),
        run("b", created=2.0, lr=1e-4, star=1, recovered_fraction={"back": {"tooluse": 0.5}}),
        run("c", created=1.0, lr=1e-4, status="failed"),
    )


def test_that_filter_status_and_sorting_combine(three: List, qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(three.model)
    assert three.lines == ["a", "b", "c"]
    three.model.set_query(parse("lr>=1e-4"))
    assert three.lines == ["b", "c"]
    three.model.sort(COLUMNS.index("name"), Qt.SortOrder.DescendingOrder)
    assert three.lines == ["c", "b"]
    three.model.set_status("done")
    assert three.lines == ["b"]
    three.model.set_query(parse(""))
    assert three.lines == ["b", "a"]
    assert three.model.passing == 2


def test_that_one_change_touches_one_line(three: List, qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(three.model)
    seen: list[str] = []
    three.model.modelReset.connect(lambda: seen.append("reset"))
    three.model.rowsInserted.connect(lambda _, first, last: seen.append(f"in {first}-{last}"))
    three.model.rowsRemoved.connect(lambda _, first, last: seen.append(f"out {first}-{last}"))
    three.model.dataChanged.connect(lambda a, b: seen.append(f"new {a.row()}"))
    three.take(replace(three.rows["b"], name="other"))
    assert seen == ["new 1"]
    three.take(run("d", created=4.0))
    three.take(gone="b")
    assert seen[1:] == ["in 0-0", "out 2-2"]
    assert three.lines == ["d", "a", "c"]


def test_that_groups_count_average_and_fold(three: List, qtmodeltester: ModelTester) -> None:
    qtmodeltester.check(three.model)
    three.model.set_group("stages.sdft.learning_rate")
    assert three.lines == ["-", "a", "-", "b", "c"]
    low, high = three.model.groups()
    assert (low.title, low.count) == ("sdft.learning_rate = 1e-05", 1)
    assert high.caption == "2 runs · mean 0.50 · best 0.50"
    three.model.fold((high.key,), True)
    assert three.lines == ["-", "a", "-"]
    assert three.model.passing == 3
    index = three.model.index(2, 0)
    assert index.data(GROUP_ROLE).folded
    assert index.data(Qt.ItemDataRole.AccessibleTextRole).startswith("sdft.learning_rate")
    assert not index.flags() & Qt.ItemFlag.ItemIsSelectable
    three.model.fold((high.key,), False)
    assert three.lines == ["-", "a", "-", "b", "c"]
    three.model.set_group("")
    assert three.lines == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("group", "titles"),
    [
        ("status", ["done", "failed"]),
        ("tag", ["no tags", "paper"]),
        ("base", ["b"]),
        ("stages.sdft.nothing", ["no sdft.nothing"]),
    ],
)
def test_that_runs_are_grouped_by_what_they_share(
    three: List, group: str, titles: list[str]
) -> None:
    three.model.set_group(group)
    assert [it.title for it in three.model.groups()] == titles
    assert sum(it.count for it in three.model.groups()) == 3


def test_that_days_are_grouped_newest_first() -> None:
    shown = List(run("old", created=86400.0 * 3), run("new", created=86400.0 * 9))
    shown.model.set_group("day")
    assert [shown.lines[at] for at in (1, 3)] == ["new", "old"]


def test_that_columns_of_fields_metrics_and_scores_can_be_added_sorted_and_removed(
    three: List, qtmodeltester: ModelTester
) -> None:
    qtmodeltester.check(three.model)
    three.take(replace(three.rows["c"], last={"back/loss": 0.25}))
    for key in ("field:stages.sdft.learning_rate", "metric:back/loss", "score:back/tooluse"):
        three.model.add_column(key)
        three.model.add_column(key)
    place = len(COLUMNS)
    assert three.model.columnCount() == place + 3
    assert [three.model.index(at, place).data() for at in range(3)] == ["1e-05", "0.0001", "0.0001"]
    assert three.model.index(2, place + 1).data() == "0.25"
    assert three.model.index(0, place + 2).data() == ""
    title = three.model.headerData(place, Qt.Orientation.Horizontal)
    assert title == "sdft.learning_rate"
    three.model.sort(place + 1, Qt.SortOrder.DescendingOrder)
    assert three.lines[0] == "c"
    three.model.remove_column("field:stages.sdft.learning_rate")
    assert three.model.extras == ("metric:back/loss", "score:back/tooluse")


def test_that_long_lists_are_arranged_elsewhere_and_only_the_newest_wish_is_shown(
    monkeypatch: pytest.MonkeyPatch, qtmodeltester: ModelTester, qtbot: QtBot
) -> None:
    monkeypatch.setattr(arranged_runs, "AT_ONCE", 1)
    shown = List(run("a", created=2.0), run("b", created=1.0), later=True)
    qtmodeltester.check(shown.model)
    shown.answer()
    assert shown.lines == ["a", "b"]
    shown.model.set_query(parse("nothing"))
    shown.model.set_query(parse("name:b"))
    shown.answer()
    assert shown.lines == ["b"]
    shown.take(gone="b")
    assert shown.lines == []


def test_that_headings_are_no_run_ids() -> None:
    assert not HEADING.strip().isalnum()


def test_that_the_vocabulary_learns_keys_values_and_columns(three: List) -> None:
    order, entries = three.source.contents()
    known = vocabulary(order, entries)
    assert known.values["tag"] == ("paper",)
    assert "stages.sdft.learning_rate" in known.varied
    assert "field:stages.sdft.learning_rate" in known.fields
    assert known.keys["lr"]
    assert "field:stages.back.learning_rate" not in known.fields


@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("sta", "star"),
        ("stat", "status:"),
        ("status:d", "status:done"),
        ("-tag:", "-tag:paper"),
        ("x (ba", "x (base:"),
    ],
)
def test_that_keys_and_values_are_completed(three: List, typed: str, becomes: str) -> None:
    found = complete(typed, len(typed), vocabulary(*three.source.contents()))
    assert typed[: found.start] + found.candidates[0][0] == becomes


def test_that_nothing_is_completed_inside_quotes() -> None:
    assert complete('"sta', 4, Vocabulary()).candidates == ()
