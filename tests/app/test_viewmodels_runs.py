from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QModelIndex, Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.viewmodels.run_cells import COLUMNS, HUE_ROLE, SORT_ROLE, SPARKLINE_ROLE, UID_ROLE
from app.viewmodels.run_entry import entry_of
from app.viewmodels.run_lister import FIRST_PART, RunLister, RunListing
from app.viewmodels.runs import RESET_ABOVE, RunsModel, spans
from core.events import Metrics, RunFinished, RunStarted, TaskEvaluated
from core.recipe.plan import plan
from core.store.home import Home
from core.store.rows import ScoreRow
from core.store.store import Store
from tests.app.test_viewmodels_run import RECIPE, row


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home.database) as store:
        yield store


@pytest.fixture
def model(qtmodeltester: ModelTester) -> RunsModel:
    model = RunsModel()
    qtmodeltester.check(model)  # watches every change from here on
    return model


def add(store: Store, name: str, created: float) -> str:
    text = RECIPE.model_dump_json(by_alias=True)
    return store.queue_run(text, name=name, seed=1, base="owner/Model-3B", created=created)


def texts(model: RunsModel, column: str) -> list[str]:
    return [
        model.data(model.index(line, COLUMNS.index(column))) for line in range(model.rowCount())
    ]


class Changes:
    def __init__(self, model: RunsModel) -> None:
        self.seen: list[tuple[str, int]] = []
        model.rowsInserted.connect(lambda _, first, last: self.seen.append(("inserted", first)))
        model.rowsRemoved.connect(lambda _, first, last: self.seen.append(("removed", first)))
        model.modelReset.connect(lambda: self.seen.append(("reset", -1)))
        model.dataChanged.connect(self._changed)

    def _changed(self, first: QModelIndex, last: QModelIndex) -> None:
        self.seen.append(("changed", first.row()))


def test_that_only_the_rows_that_differ_are_touched(store: Store, model: RunsModel) -> None:
    lister = RunLister()
    old, middle = add(store, "old", 1.0), add(store, "middle", 2.0)
    model.take(lister(store))
    changes = Changes(model)
    model.take(lister(store))
    assert changes.seen == []
    new = add(store, "new", 3.0)
    store.rename(old, "older")
    model.take(lister(store))
    assert changes.seen == [("inserted", 0), ("changed", 2)]
    assert texts(model, "name") == ["new", "middle", "older"]
    changes.seen.clear()
    store.delete_run(middle)
    model.take(lister(store))
    assert changes.seen == [("removed", 1)]
    assert [model.uid_at(line) for line in range(2)] == [new, old]


def test_that_many_new_rows_come_at_once(store: Store, model: RunsModel) -> None:
    lister = RunLister()
    model.take(lister(store))
    changes = Changes(model)
    for number in range(RESET_ABOVE + 1):
        add(store, str(number), float(number))
    model.take(lister(store))
    assert changes.seen == [("reset", -1)]
    assert model.rowCount() == RESET_ABOVE + 1


def test_that_a_run_that_is_not_touched_is_not_worded_again(store: Store) -> None:
    lister = RunLister()
    first, second = add(store, "a", 1.0), add(store, "b", 2.0)
    before = lister(store)
    store.set_star(second, 1)
    after = lister(store)
    assert after.entries[first] is before.entries[first]
    assert after.changed == {second}


def test_that_a_row_tells_scores_by_role_fraction_and_loss(store: Store, model: RunsModel) -> None:
    uid = add(store, "r", 1.0)
    store.claim(uid, 1, 1.0)

    def score(subject: str, correct: int) -> TaskEvaluated:
        return TaskEvaluated(
            stage=subject, subject=subject, checkpoint=None, task="tooluse", n=100, correct=correct,
            protocol="p", scorer="tooluse_official_v1", dataset="d", seed=1,
        )  # fmt: skip

    stages = tuple(step.planned for step in plan(RECIPE))
    store.record(
        uid,
        [
            RunStarted(session=1, stages=stages, environment={}),
            *(Metrics(stage="back", step=at, values={"loss": 1.0 / at}) for at in range(1, 6)),
            score("base", 60),
            score("nf4", 40),
            score("back", 55),
            RunFinished(status="done", seconds=5, recovered_fraction={"back": {"tooluse": 0.75}}),
        ],
    )
    model.take(RunLister()(store))
    found = {column: texts(model, column)[0] for column in COLUMNS}
    assert (found["base"], found["degraded"], found["recovered"]) == ("60.0", "40.0", "55.0")
    assert (found["fraction"], found["status"]) == ("0.75", "done")
    assert (found["stages"], found["model"]) == ("quantize → sdft", "Model-3B")
    loss = model.index(0, COLUMNS.index("loss"))
    assert loss.data(SPARKLINE_ROLE) == pytest.approx((1.0, 0.5, 1 / 3, 0.25, 0.2))
    assert model.index(0, 0).data(UID_ROLE) == uid
    assert model.index(0, COLUMNS.index("recovered")).data(SORT_ROLE) == pytest.approx(55.0)


def test_that_nothing_lost_is_no_number_and_sorts_below_all() -> None:
    none = entry_of(row("done", recovered_fraction={"back": {"tooluse": None}}))
    bad = entry_of(row("done", recovered_fraction={"back": {"tooluse": -3.0}}))
    assert none.texts["fraction"] == "nothing lost"
    assert none.keys["fraction"] < bad.keys["fraction"]


def _counted(**correct: int) -> dict[str, ScoreRow]:
    """Scores of 100 items: `nf4_tooluse=40` is task tooluse on checkpoint nf4."""
    rows = {}
    for name, right in correct.items():
        subject, task = name.split("_")
        rows[f"{subject}/{task}"] = ScoreRow(
            "u", subject, None, task, None, 100, right, "p" * 64, "tooluse_official_v1", "held", 7
        )
    return rows


def test_that_the_fraction_is_that_of_the_losses_beyond_noise() -> None:
    measured = _counted(base_a=60, nf4_a=40, back_a=55, base_b=42, nf4_b=40, back_b=55)
    both = {"back": {"a": 0.75, "b": 7.5}}
    assert entry_of(row("done", recovered_fraction=both, measured=measured)).texts["fraction"] == (
        "0.75"
    )
    only = entry_of(row("done", recovered_fraction={"back": {"b": 7.5}}, measured=measured))
    lost = entry_of(row("done", recovered_fraction={"back": {"b": None}}, measured=measured))
    assert only.texts["fraction"] == "loss within noise"
    assert lost.keys["fraction"] < only.keys["fraction"] < -1e6
    assert "7.50" in only.fraction.lines()[0]


def test_that_every_score_of_the_list_says_where_it_comes_from(model: RunsModel) -> None:
    measured = _counted(base_a=60, nf4_a=40, back_a=55)
    made = row(
        "done", uid="0123456789ab", recovered_fraction={"back": {"a": 0.75}}, measured=measured
    )
    model.take(RunListing((made.uid,), {made.uid: entry_of(made)}))

    def tip(column: str) -> str:
        return str(model.index(0, COLUMNS.index(column)).data(Qt.ItemDataRole.ToolTipRole))

    origin = [
        "run r (01234567)",
        "dataset held · n 100",
        "protocol official v1 · pppppppp",
        "seed 42",
    ]
    for column, checkpoint in (("base", "base"), ("degraded", "nf4"), ("recovered", "back")):
        lines = tip(column).split("\n")
        assert [lines[1], *lines[3:]] == origin
        assert lines[2] == f"checkpoint {checkpoint}"
    assert "checkpoint base → nf4 → back" in tip("fraction")
    assert model.index(0, COLUMNS.index("fraction")).data(HUE_ROLE) == ""


def test_that_a_recipe_that_reads_from_itself_has_no_lineage() -> None:
    recipe = '{"stages": [{"id": "back", "kind": "sdft", "from": "back"}]}'
    found = entry_of(row("done", recipe_json=recipe, recovered_fraction={"back": {"a": 0.5}}))
    assert found.texts["fraction"] == "0.50"


def test_that_the_listing_knows_the_longest_text_of_each_column(
    store: Store, model: RunsModel, qtbot: QtBot
) -> None:
    add(store, "short", 1.0)
    add(store, "a longer name", 2.0)
    lister = RunLister()
    with qtbot.waitSignal(model.longestChanged):
        model.take(lister(store))
    assert model.longest["name"] == "a longer name"
    with qtbot.assertNotEmitted(model.longestChanged):
        model.take(lister(store))


def test_that_a_recipe_of_another_version_is_still_listed() -> None:
    entry = entry_of(row(recipe_json='{"schema": 9, "stages": [{"kind": "dream"}]}'))
    assert entry.texts["stages"] == "dream"
    assert entry_of(row(recipe_json="no json")).texts["stages"] == "measure"


def test_that_a_failed_run_names_its_class_in_the_list() -> None:
    entry = entry_of(row("failed", failure="out_of_memory"))
    assert entry.texts["status"] == "failed: out of memory"


def test_that_the_search_finds_name_tags_model_and_id() -> None:
    found = entry_of(replace(row(), tags=("Paper",), uid="abc123")).search
    assert all(part in found for part in ("paper", "abc123", "quantize", "r"))


def test_that_the_newest_runs_of_a_long_list_come_first_and_the_others_with_the_next_look(
    store: Store, model: RunsModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = FIRST_PART + 3
    for number in range(count):
        add(store, str(number), float(number))
    lister = RunLister()
    asked: list[int] = []
    read = store.runs
    monkeypatch.setattr(
        store, "runs", lambda which=None: asked.append(len(which or ())) or read(which)
    )
    first = lister(store)
    assert asked == [FIRST_PART]
    assert (len(first.order), first.complete) == (FIRST_PART, False)
    model.take(first)
    assert texts(model, "name")[0] == str(count - 1)
    rest = lister(store)
    assert (len(rest.order), rest.complete, rest.changed) == (count, True, frozenset())
    model.take(rest)
    assert texts(model, "name") == [str(number) for number in reversed(range(count))]


def test_that_only_runs_that_changed_are_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lister = RunLister()
    uids = [add(store, str(number), float(number)) for number in range(5)]
    lister(store)
    asked: list[object] = []
    read = store.runs
    monkeypatch.setattr(store, "runs", lambda which=None: asked.append(which) or read(which))
    store.set_star(uids[2], 1)
    assert lister(store).changed == {uids[2]}
    assert asked == [[uids[2]]]
    assert lister(store).changed == frozenset()
    assert len(asked) == 1


def test_that_headers_and_cells_have_words(qtbot: QtBot, store: Store, model: RunsModel) -> None:
    add(store, "r", 1.0)
    model.take(RunLister()(store))
    horizontal = Qt.Orientation.Horizontal
    titles = [model.headerData(column, horizontal) for column in range(len(COLUMNS))]
    assert titles[1:3] == ["Status", "Name"]
    assert model.loaded


@given(st.lists(st.booleans()))
def test_that_stretches_of_changed_lines_cover_them_and_nothing_else(marks: list[bool]) -> None:
    lines = [str(place) for place in range(len(marks))]
    changed = {line for line, mark in zip(lines, marks, strict=True) if mark}
    found = spans(lines, changed)
    covered = [place for first, end in found for place in range(first, end + 1)]
    assert covered == [place for place, mark in enumerate(marks) if mark]
    assert all(later > end + 1 for (_, end), (later, _) in pairwise(found))


def test_that_neighbours_that_changed_are_told_in_one_go(qtbot: QtBot) -> None:
    model = RunsModel()
    rows = {uid: row("queued", uid=uid) for uid in "abcd"}
    order = tuple(rows)
    model.take(RunListing(order, {uid: entry_of(it) for uid, it in rows.items()}))
    told: list[tuple[int, int]] = []
    model.dataChanged.connect(lambda first, last: told.append((first.row(), last.row())))
    starred = {uid: entry_of(replace(it, star=1)) for uid, it in rows.items()}
    model.take(RunListing(order, starred, frozenset("abd")))
    assert told == [(0, 1), (3, 3)]


def test_that_a_recipe_takes_as_long_as_its_newest_finished_run_took(store: Store) -> None:
    for created, seconds in ((1.0, 100.0), (2.0, 7.0), (3.0, None)):
        uid = add(store, f"run {created}", created)
        store.claim(uid, 1, 1.0)
        begun = store.run(uid).started
        assert begun is not None
        store.record(uid, [RunStarted(session=1, stages=(), environment={})], t=begun)
        if seconds is not None:
            done = RunFinished(status="done", seconds=seconds)
            store.record(uid, [done], t=begun + seconds)
    listing = RunLister()(store)
    assert list(listing.lengths.values()) == pytest.approx([7.0])
    assert set(listing.lengths) == {entry.alike for entry in listing.entries.values()}
