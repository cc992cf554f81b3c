"""The event log and what is folded from it."""

from __future__ import annotations

import json
import logging
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.events import (
    CheckpointSaved,
    EvaluatedItem,
    Event,
    Heartbeat,
    ItemsEvaluated,
    Metrics,
    Progress,
    StageFinished,
    StageStarted,
    TaskEvaluated,
    from_json,
)
from core.store.encoding import decode, encode
from core.store.rows import CheckpointRow, ScoreRow
from core.store.store import Store

_WITHOUT_IDS = {
    "stage": "SELECT * FROM stage ORDER BY run, ordinal",
    "checkpoint": "SELECT run, identity, parent, kind, path, bytes, step, final, stage, 'seq=' || seq"
    " FROM checkpoint ORDER BY run, identity",
    "series": "SELECT run, stage, key, unit, n, last_step, last_value, last_flag, vmin, vmax, stride,"
    " thin FROM series ORDER BY id",
    "metric": "SELECT run, stage, key, step, t, value, flag FROM metric JOIN series"
    " ON series.id = metric.series ORDER BY run, stage, key, step",
    "cka": "SELECT * FROM cka ORDER BY run, seq",
    "eval_run": "SELECT run, stage, subject, checkpoint, task, step, 'seq=' || seq, n, correct,"
    " protocol_fingerprint, scorer, dataset, seed FROM eval_run ORDER BY id",
    "eval_item": "SELECT run, stage, subject, task, step, item_id, eval_item.correct, score, completion,"
    " gold FROM eval_item JOIN eval_run ON eval_run.id = eval_item.eval_run ORDER BY eval_item.id",
    "completion": "SELECT * FROM completion ORDER BY run, seq",
    "run": "SELECT * FROM run ORDER BY uid",
}


def dump(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Everything the tables say, with surrogate ids resolved."""
    return {table: store._db.execute(query).fetchall() for table, query in _WITHOUT_IDS.items()}


def test_that_events_come_back_as_they_were_written(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run, t=5.0)
    logged = store.events(uid)
    kept = [event for event in whole_run if event != whole_run[6]]  # the older progress
    assert [repr(entry.event) for entry in logged] == [repr(event) for event in kept]
    assert [entry.seq for entry in logged] == [1, 2, 3, 4, 5, 6, *range(8, 26)]
    assert {entry.t for entry in logged} == {5.0}


def test_that_nothing_recorded_is_nothing_written(store: Store, uid: str) -> None:
    before = store.run(uid)
    store.record(uid, [])
    assert store.events(uid) == []
    assert store.run(uid) == before


def test_that_a_reader_pages_through_the_log_by_cursor(store: Store, uid: str) -> None:
    store.record(uid, [Metrics(stage="s", step=step, values={}) for step in range(25)])
    seen: list[int] = []
    cursor = 0
    while entries := store.events(uid, after=cursor, limit=10):
        assert len(entries) <= 10
        seen += [entry.event.step for entry in entries if isinstance(entry.event, Metrics)]
        cursor = entries[-1].seq
    assert seen == list(range(25))


def test_that_a_reader_can_ask_for_kinds(store: Store, uid: str, whole_run: list[Event]) -> None:
    store.record(uid, whole_run)
    kinds = {entry.event.kind for entry in store.events(uid, kinds=["cka_measured", "metrics"])}
    assert kinds == {"cka_measured", "metrics"}


def test_that_a_reader_can_ask_for_one_stage(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    stages = {getattr(event, "stage", "") for event in whole_run} - {""}
    assert len(stages) > 1
    for stage in stages:
        found = [entry.event for entry in store.events(uid, stage=stage)]
        assert found
        assert {event.stage for event in found} == {stage}  # type: ignore[union-attr]
        scored = store.events(uid, stage=stage, kinds=["task_evaluated"], limit=1)
        assert {entry.event.kind for entry in scored} <= {"task_evaluated"}


def test_that_only_the_newest_progress_of_each_stage_and_heartbeat_is_kept(
    store: Store, uid: str
) -> None:
    def progress(stage: str, done: int) -> Progress:
        return Progress(stage=stage, done=done, total=9, unit="step")

    store.record(uid, [progress("a", 1), progress("b", 1), Heartbeat(rss=1)])
    store.record(uid, [progress("a", 2), Heartbeat(rss=2), progress("a", 3)])
    logged = store.events(uid)
    assert [entry.event for entry in logged] == [
        progress("b", 1),
        Heartbeat(rss=2),
        progress("a", 3),
    ]
    assert [entry.seq for entry in logged] == [2, 5, 6]


def test_that_a_cursor_stays_valid_when_the_newest_events_are_forgotten(
    store: Store, uid: str
) -> None:
    store.record(uid, [Metrics(stage="s", step=step, values={"loss": 1.0}) for step in range(5)])
    cursor = store.events(uid)[-1].seq
    store.purge_after(uid, "s", 1)
    store.record(uid, [Metrics(stage="s", step=2, values={"loss": 2.0})])
    assert [entry.event.step for entry in store.events(uid, after=cursor)] == [2]  # type: ignore[union-attr]


def test_that_a_batch_is_all_or_nothing(store: Store, uid: str) -> None:
    good = Metrics(stage="s", step=1, values={"loss": 1.0})
    bad = good.model_construct(kind="metrics", stage=None, step=2, values={"loss": 1.0}, tokens=0)
    before = dump(store)
    with pytest.raises(Exception, match="NOT NULL"):
        store.record(uid, [good, bad])
    assert dump(store) == before
    store.record(uid, [good])
    assert [entry.seq for entry in store.events(uid)] == [1]


def test_that_an_event_of_a_later_version_is_left_out_and_told_of_once(
    store: Store, uid: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.record(uid, [Heartbeat(rss=1)])
    store._db.execute(
        "INSERT INTO event(run, seq, t, kind, stage, payload) VALUES (?, 2, 0, 'new', '', ?)",
        (uid, json.dumps({"kind": "new"})),
    )
    store._db.execute(
        "INSERT INTO event(run, seq, t, kind, stage, payload) VALUES (?, 3, 0, 'x', '', '{')",
        (uid,),
    )
    store._db.execute("UPDATE run SET last_seq = 3")
    store.record(uid, [Metrics(stage="s", step=1, values={})])
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert [entry.seq for entry in store.events(uid)] == [1, 4]
            assert [entry.seq for entry in store.events(uid, after=1, limit=1)] == [4]
    assert len(caplog.records) == 2
    assert "newer" in caplog.text


def test_that_text_spoilt_on_the_disk_does_not_end_the_reading(store: Store, uid: str) -> None:
    store.record(uid, [StageStarted(stage="a", why="good"), Heartbeat(rss=1)])
    spoilt = b'{"kind": "stage_started", "stage": "a", "why": "g\xa5\xa5d"}'
    store._db.execute("UPDATE event SET payload = CAST(? AS TEXT) WHERE seq = 1", (spoilt,))
    events = [entry.event for entry in store.events(uid)]
    assert events == [StageStarted(stage="a", why="g\ufffd\ufffdd"), Heartbeat(rss=1)]


@given(st.floats())
def test_that_every_number_survives_its_columns(value: float) -> None:
    column, flag = encode(value)
    assert column is None or math.isfinite(column)
    np.testing.assert_array_equal(decode(column, flag), value)
    assert math.copysign(1, decode(column, flag)) == math.copysign(1, value) or math.isnan(value)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(), min_size=1, max_size=20))
def test_that_metric_values_come_back_as_they_were(
    store: Store, uid: str, values: list[float]
) -> None:
    store.purge_stage(uid, "s")
    events = [Metrics(stage="s", step=step, values={"x": v}) for step, v in enumerate(values)]
    store.record(uid, events, t=3.0)
    points = store.points(uid, "s", "x")
    np.testing.assert_array_equal(points.values, np.array(values))
    np.testing.assert_array_equal(points.steps, np.arange(len(values)))
    np.testing.assert_array_equal(points.times, np.full(len(values), 3.0))
    logged = [entry.event.values["x"] for entry in store.events(uid)]  # type: ignore[union-attr]
    np.testing.assert_array_equal(logged, np.array(values))
    ((stage, key, n, last_step, last_value),) = store.series(uid)
    assert (stage, key, n, last_step) == ("s", "x", len(values), len(values) - 1)
    np.testing.assert_array_equal(last_value, values[-1])
    finite = [value for value in values if math.isfinite(value)]
    low, high = store._db.execute("SELECT vmin, vmax FROM series").fetchone()
    assert (low, high) == ((min(finite), max(finite)) if finite else (None, None))


def test_that_an_unknown_series_is_empty(store: Store, uid: str) -> None:
    points = store.points(uid, "none", "loss")
    assert len(points.steps) == len(points.times) == len(points.values) == 0
    assert (points.steps.dtype, points.values.dtype) == (np.int64, np.float64)


def test_that_a_point_that_comes_again_replaces_the_older(store: Store, uid: str) -> None:
    def point(step: int, value: float) -> Metrics:
        return Metrics(stage="s", step=step, values={"x": value})

    store.record(uid, [point(1, 9.0), point(3, 3.0), point(2, 2.0)])
    store.record(uid, [point(1, 1.0)])
    points = store.points(uid, "s", "x")
    assert points.steps.tolist() == [1, 2, 3]
    assert points.values.tolist() == [1.0, 2.0, 3.0]
    assert store.series(uid) == [("s", "x", 3, 3, 3.0)]
    assert store._db.execute("SELECT vmin, vmax FROM series").fetchone() == (1.0, 3.0)


def test_that_scores_carry_their_protocol_and_unfinished_ones_are_left_out(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    common = {"run": uid, "subject": "r", "checkpoint": "c" * 64, "task": "tooluse", "n": 2}
    made = {"protocol": "p1", "scorer": "tooluse_official_v1", "dataset": "d1", "seed": 7}
    expected = [
        ScoreRow(**common, **made, step=1, correct=0),  # type: ignore[arg-type]
        ScoreRow(**common, **made, step=None, correct=1),  # type: ignore[arg-type]
    ]
    assert store.scores(uid) == expected
    item = EvaluatedItem(item="x", correct=True, score=1.0)
    store.record(uid, [ItemsEvaluated(stage="q.e", subject="q", task="mmlu", items=(item,))])
    assert store.scores(uid) == expected
    assert store.item_results(uid, "q", "mmlu") == [item]


def test_that_items_come_back_in_order_and_only_those_of_the_finished_checkpoint(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    live = EvaluatedItem(item="live", correct=True, score=1.0)
    store.record(
        uid, [ItemsEvaluated(stage="r", subject="r", task="tooluse", step=2, items=(live,))]
    )
    first, second = store.item_results(uid, "r", "tooluse")
    assert first == EvaluatedItem(item="one", correct=True, score=1.0, completion="4", gold="4")
    assert (second.item, second.correct, second.gold) == ("two", False, "B")
    assert math.isnan(second.score)
    assert store.item_results(uid, "r", "none") == []


def test_that_an_item_scored_again_replaces_the_older(store: Store, uid: str) -> None:
    def scored(item: str, correct: bool) -> ItemsEvaluated:
        row = EvaluatedItem(item=item, correct=correct, score=math.inf)
        return ItemsEvaluated(stage="e", subject="s", task="t", items=(row,))

    store.record(uid, [scored("a", False), scored("b", False), scored("a", True)])
    results = store.item_results(uid, "s", "t")
    assert [(row.item, row.correct, row.score) for row in results] == [
        ("a", True, math.inf),
        ("b", False, math.inf),
    ]


def test_that_checkpoints_are_found_by_run_and_by_identity(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    row = CheckpointRow(
        identity="c" * 64,
        parent="b" * 64,
        kind="sdft",
        path="checkpoints/cc",
        bytes=10,
        step=2,
        final=True,
        run=uid,
        stage="r",
    )
    assert store.checkpoints(uid) == [row]
    assert store.checkpoint("c" * 64) == row
    assert store.checkpoint("d" * 64) is None


def test_that_a_finished_checkpoint_is_preferred_over_another_runs_unfinished(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    other = store.queue_run("{}", name="other", seed=1, base="tiny")
    store.record(other, [whole_run[9]])
    assert [row.final for row in store.checkpoints(other)] == [False]
    found = store.checkpoint("c" * 64)
    assert found is not None
    assert (found.run, found.final) == (uid, True)


def test_that_the_stage_table_follows_the_run(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    rows = store._db.execute(
        "SELECT stage_id, kind, status, input_checkpoint, output_checkpoint, reused, implied, spec_json"
        " FROM stage ORDER BY ordinal"
    ).fetchall()
    spec = json.dumps({"id": "q", "kind": "quantize"})
    a, b, c = "a" * 64, "b" * 64, "c" * 64
    assert rows == [
        ("base", "base", "done", None, a, 0, 0, None),
        ("q", "quantize", "done", a, b, 1, 0, spec),
        ("r", "sdft", "done", b, c, 0, 0, None),
        ("r.evaluate", "evaluate", "done", c, c, 0, 1, None),
    ]


def test_that_the_code_and_machine_of_a_run_are_kept(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    version, environment = store._db.execute("SELECT code_version, env_json FROM run").fetchone()
    assert version == "1"
    assert json.loads(environment) == {"engine": "1", "python": "3.11"}


def test_that_completions_and_cka_are_indexed(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    completion = store._db.execute("SELECT student_text, kl, step FROM completion").fetchall()
    assert completion == [("it is 4", 0.25, 1)]
    current, rows, data, dtype = store._db.execute(
        "SELECT current, rows, data, dtype FROM cka"
    ).fetchone()
    assert (current, json.loads(rows)) == ("r", ["embeddings", "block_0"])
    np.testing.assert_array_equal(np.frombuffer(data, dtype), [1.0, math.nan])


def test_that_rebuilding_gives_identical_tables(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    for event in whole_run:
        store.record(uid, [event])
    other = store.queue_run("{}", name="other", seed=1, base="tiny")
    store.record(other, whole_run)
    store.set_status(other, "stopped", message="kept")
    before = dump(store)
    assert all(before.values())
    store._db.execute("DELETE FROM series WHERE run = ?", (uid,))
    store._db.execute("UPDATE eval_run SET correct = 99 WHERE run = ?", (uid,))
    assert dump(store) != before
    store.rebuild(uid)
    store.rebuild(other)
    after = dump(store)
    after["series"].sort(key=lambda row: row[:3])
    before["series"].sort(key=lambda row: row[:3])
    for table in before:
        assert sorted(map(repr, after[table])) == sorted(map(repr, before[table])), table


_STAGES = st.sampled_from(["a", "b"])
_STEPS = st.integers(0, 6)
_EVENTS = st.one_of(
    st.builds(
        Metrics,
        stage=_STAGES,
        step=_STEPS,
        values=st.dictionaries(st.sampled_from(["loss", "x"]), st.floats(width=32), max_size=2),
    ),
    st.builds(Progress, stage=_STAGES, done=_STEPS, total=st.just(6), unit=st.just("step")),
    st.builds(
        CheckpointSaved,
        stage=_STAGES,
        identity=st.sampled_from(["k1", "k2"]),
        parent=st.none(),
        stage_kind=st.just("sdft"),
        path=st.just("p"),
        bytes=_STEPS,
        step=_STEPS,
        final=st.booleans(),
    ),
    st.builds(
        TaskEvaluated,
        stage=_STAGES,
        subject=_STAGES,
        checkpoint=st.none(),
        task=st.just("t"),
        step=st.none() | _STEPS,
        n=st.just(4),
        correct=st.integers(0, 4),
        protocol=st.just("p"),
        scorer=st.just("s"),
        dataset=st.just("d"),
        seed=st.just(1),
    ),
    st.builds(
        ItemsEvaluated,
        stage=_STAGES,
        subject=_STAGES,
        task=st.just("t"),
        step=st.none() | _STEPS,
        items=st.tuples(
            st.builds(
                EvaluatedItem,
                item=st.sampled_from(["i", "j"]),
                correct=st.booleans(),
                score=st.floats(),
            )
        ),
    ),
    st.builds(StageFinished, stage=_STAGES, status=st.just("done")),
)


def _at(step: int, loss: float) -> list[Event]:
    return [Metrics(stage="a", step=step, values={"loss": loss})]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(_EVENTS, min_size=1, max_size=6), max_size=6), step=_STEPS)
@example(batches=[_at(0, 0.0) * 2, _at(1, -0.0)], step=0)  # SQLite makes a negative zero positive
@example(batches=[_at(0, -math.nan)], step=0)
def test_that_folding_again_or_after_forgetting_equals_folding_what_is_left(
    store: Store, batches: list[list[Event]], step: int
) -> None:
    def contents(uid: str) -> dict[str, list[str]]:
        return {
            table: [repr(row).replace(uid, "run") for row in rows if row[0] == uid]
            for table, rows in dump(store).items()
            if table != "run"
        }

    def without_seq(tables: dict[str, list[str]]) -> dict[str, list[str]]:
        return {
            table: [re.sub(r"seq=\d+", "", row) for row in rows] for table, rows in tables.items()
        }

    def is_left(event: Event) -> bool:
        at = getattr(event, "step", None)
        return getattr(event, "stage", "") != "a" or at is None or at <= step

    uid, other = (store.queue_run("{}", name="n", seed=1, base="tiny") for _ in range(2))
    for batch in batches:
        store.record(uid, batch, t=1.0)
        store.record(other, [event for event in batch if is_left(event)], t=1.0)
    recorded = contents(uid)
    store.rebuild(uid)
    assert contents(uid) == recorded
    store.purge_after(uid, "a", step)
    assert without_seq(contents(uid)) == without_seq(contents(other))
    store.delete_run(uid)
    store.delete_run(other)


def test_that_resuming_forgets_what_came_after_the_saved_step(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    store.purge_after(uid, "r", 1)
    assert store.points(uid, "r", "loss").steps.tolist() == [1]
    (saved,) = store.checkpoints(uid)
    assert (saved.step, saved.final) == (1, False)
    assert [row.step for row in store.scores(uid)] == [1, None]
    kinds = [entry.event.kind for entry in store.events(uid)]
    assert "cka_measured" not in kinds
    assert "completion_sampled" in kinds
    assert store.run(uid).status == "done"  # the run's state is not the log's to change


def test_that_a_stage_can_be_forgotten(store: Store, uid: str, whole_run: list[Event]) -> None:
    store.record(uid, whole_run)
    store.purge_stage(uid, "r")
    assert store.series(uid) == []
    assert store.checkpoints(uid) == []
    assert store.item_results(uid, "r", "tooluse") != []  # reported by the stage r.evaluate
    status = store._db.execute("SELECT status FROM stage WHERE stage_id = 'r'").fetchone()
    assert status == ("waiting",)


def test_that_a_reader_notices_what_others_commit(store: Store, uid: str, database: Path) -> None:
    with Store.open(database, read_only=True) as reader:
        before = reader.data_version()
        assert reader.data_version() == before
        store.rename(uid, "changed")
        assert reader.data_version() != before
        assert reader.run(uid).name == "changed"


def test_that_a_log_from_before_estimates_and_peaks_is_read() -> None:
    started = from_json('{"kind": "stage_started", "stage": "a", "device": "cpu"}')
    finished = from_json('{"kind": "stage_finished", "stage": "a", "status": "done"}')
    assert isinstance(started, StageStarted)
    assert isinstance(finished, StageFinished)
    assert started.estimated_memory is None
    assert started.estimated_seconds is None
    assert finished.peak_memory is None
