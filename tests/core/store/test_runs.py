"""The run's own row: queueing, claiming, status, what people write on it, finding, deleting."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path

import pytest

from core.errors import UserError
from core.events import Event, Failure, Heartbeat, Metrics, RunFinished, RunStarted
from core.store.store import Store


def test_that_a_queued_run_is_listed_with_what_it_was_given(store: Store, uid: str) -> None:
    row = store.run(uid)
    assert store.runs() == [row]
    assert (row.uid, row.name, row.seed, row.base, row.created) == (uid, "first", 7, "tiny", 100.0)
    assert row.status == "queued"
    assert json.loads(row.recipe_json)["name"] == "Quantize and recover"
    assert (row.session, row.star, row.tags, row.notes, row.failure) == (0, 0, (), "", "")
    assert row.started is row.ended is row.heartbeat is row.pid is row.pid_started is None
    assert len(uid) == 12
    assert int(uid, 16) >= 0


def test_that_a_recipe_that_is_no_json_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        store.queue_run("name: yaml", name="x", seed=1, base="tiny")
    assert store.runs() == []


def test_that_runs_come_newest_first(store: Store) -> None:
    ids = [
        store.queue_run("{}", name="x", seed=1, base="tiny", created=t)
        for t in (5.0, 9.0, 9.0, 1.0)
    ]
    assert [row.uid for row in store.runs()] == [ids[2], ids[1], ids[0], ids[3]]


def test_that_the_running_runs_are_those_that_a_worker_claimed(store: Store, uid: str) -> None:
    store.queue_run("{}", name="waits", seed=1, base="tiny")
    assert store.running() == []
    store.claim(uid, 1, 1.0)
    assert store.running() == [store.run(uid)]
    store.set_status(uid, "interrupted")
    assert store.running() == []


def test_that_claiming_makes_a_run_run_and_counts_sessions(store: Store, uid: str) -> None:
    before = time.time()
    assert store.claim(uid, pid=11, pid_started=1.5) == 1
    row = store.run(uid)
    assert (row.status, row.pid, row.pid_started, row.session) == ("running", 11, 1.5, 1)
    assert row.started is not None
    assert before <= row.started <= time.time()

    store.set_status(uid, "interrupted", "bug", "it vanished")
    assert store.claim(uid, pid=12, pid_started=2.5) == 2
    again = store.run(uid)
    assert (again.started, again.ended) == (row.started, None)
    assert (again.failure, again.failure_message) == ("", "")


def test_that_of_two_processes_that_saw_the_same_session_one_gets_the_run(
    store: Store, uid: str
) -> None:
    seen = store.run(uid).session
    assert store.claim(uid, 11, 1.0, expected_session=seen) == 1
    with pytest.raises(UserError, match="just started by another process"):
        store.claim(uid, 12, 2.0, expected_session=seen)
    assert store.run(uid).pid == 11


def test_that_events_move_the_run(store: Store, uid: str, whole_run: list[Event]) -> None:
    store.record(uid, whole_run[:1], t=10.0)
    row = store.run(uid)
    assert (row.status, row.started, row.ended) == ("running", 10.0, None)
    store.record(uid, [Heartbeat(rss=1)], t=12.0)
    assert store.run(uid).heartbeat == 12.0
    failure = Failure(failure="out_of_memory", message="It did not fit.", hint="Lower the batch.")
    store.record(uid, [RunFinished(status="failed", seconds=5.0, failure=failure)], t=15.0)
    row = store.run(uid)
    assert (row.status, row.ended, row.failure) == ("failed", 15.0, "out_of_memory")
    assert row.failure_message == "It did not fit. Lower the batch."
    store.record(uid, [RunStarted(session=2, stages=(), environment={})], t=20.0)
    row = store.run(uid)
    assert (row.status, row.started, row.ended, row.failure) == ("running", 10.0, None, "")


def test_that_a_run_that_ended_by_itself_is_not_called_interrupted(store: Store, uid: str) -> None:
    store.claim(uid, 11, 1.0)
    store.record(uid, [RunFinished(status="done", seconds=1.0)], t=50.0)
    store.set_status(uid, "interrupted", message="The worker vanished.")
    row = store.run(uid)
    assert (row.status, row.ended, row.failure_message) == ("done", 50.0, "")


def test_that_a_watcher_can_mark_a_dead_run(store: Store, uid: str) -> None:
    store.claim(uid, 11, 1.0)
    store.set_status(uid, "interrupted", "bug", "The worker vanished.")
    row = store.run(uid)
    assert (row.status, row.failure, row.failure_message) == (
        "interrupted",
        "bug",
        "The worker vanished.",
    )
    assert row.ended is not None
    store.set_status(uid, "queued")
    assert store.run(uid).ended is None


def test_that_people_can_write_on_a_run(store: Store, uid: str) -> None:
    store.rename(uid, "second")
    store.set_star(uid, -1)
    store.set_tags(uid, ["paper", "größer, 量子"])
    store.set_notes(uid, "kept")
    row = store.run(uid)
    assert (row.name, row.star, row.tags, row.notes) == (
        "second",
        -1,
        ("paper", "größer, 量子"),
        "kept",
    )
    with pytest.raises(ValueError, match="star"):
        store.set_star(uid, 2)


def test_that_an_unknown_run_is_an_error_the_user_can_read(store: Store) -> None:
    for act in (
        lambda: store.run("0" * 12),
        lambda: store.claim("0" * 12, 1, 1.0),
        lambda: store.set_status("0" * 12, "queued"),
        lambda: store.rename("0" * 12, "x"),
        lambda: store.delete_run("0" * 12),
        lambda: store.record("0" * 12, [Heartbeat(rss=1)]),
    ):
        with pytest.raises(UserError, match="There is no run 000000000000"):
            act()


def test_that_a_run_is_found_by_id_by_its_beginning_and_by_name(store: Store, uid: str) -> None:
    assert store.find(uid).uid == uid
    assert store.find(uid[:5].upper()).uid == uid
    assert store.find(" First ").uid == uid


def test_that_finding_none_or_several_names_candidates(store: Store, uid: str) -> None:
    other = store.queue_run("{}", name="first", seed=1, base="tiny")
    with pytest.raises(UserError, match="2 runs fit 'first'") as several:
        store.find("first")
    assert uid in several.value.hint
    assert other in several.value.hint
    for text in ("zzz", "", "%"):
        with pytest.raises(UserError, match="No run fits") as none:
            store.find(text)
        assert f"{uid} (first)" in none.value.hint


def test_that_the_candidates_named_are_few_and_near(store: Store) -> None:
    for number in range(20):
        store.queue_run("{}", name=f"alpha {number}", seed=1, base="tiny")
    store.queue_run("{}", name="beta", seed=1, base="tiny")
    with pytest.raises(UserError) as error:
        store.find("alph")
    assert "beta" not in error.value.hint
    assert error.value.hint.endswith("and 12 more.")


def test_that_finding_in_an_empty_store_says_so(store: Store) -> None:
    with pytest.raises(UserError, match="holds no runs yet"):
        store.find("x")


def test_that_a_deleted_run_leaves_nothing_but_its_checkpoints(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    other = store.queue_run("{}", name="other", seed=1, base="tiny")
    store.record(uid, whole_run)
    store.record(other, whole_run[:8])
    store.delete_run(uid)
    assert [row.uid for row in store.runs()] == [other]
    left = {
        table: store._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("metric", "series", "eval_item", "eval_run", "cka", "completion")
    }
    assert left == {
        "metric": 2,
        "series": 2,
        "eval_item": 0,
        "eval_run": 0,
        "cka": 0,
        "completion": 0,
    }
    kept = store.checkpoint("c" * 64)
    assert kept is not None
    assert (kept.run, kept.final) == ("", True)
    assert store.events(uid) == []
    assert len(store.events(other)) == 8


def test_that_deleting_one_of_two_runs_with_a_checkpoint_leaves_one_row(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    other = store.queue_run("{}", name="other", seed=1, base="tiny")
    store.record(uid, whole_run)
    store.record(other, whole_run)
    store.delete_run(uid)
    row = store.checkpoint("c" * 64)
    assert row is not None
    assert row.run == other
    store.delete_run(other)
    assert store._db.execute("SELECT run FROM checkpoint").fetchall() == [(None,)]


def test_that_the_run_list_shows_scores_last_values_and_a_sparkline(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    row = store.run(uid)
    assert row.last == {"r/loss": 0.25, "r/entropy": float("inf")}
    assert row.scores == {"r/tooluse": 0.5}
    assert row.recovered_fraction == {"r": {"tooluse": 0.5}}
    assert row.loss == (0.5, 0.25)
    assert store.runs() == [row]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 127, 128, 1000])
def test_that_a_sparkline_is_evenly_thinned_and_ends_with_the_newest(
    store: Store, uid: str, count: int
) -> None:
    losses = [Metrics(stage="r", step=step, values={"loss": float(step)}) for step in range(count)]
    for start in range(0, count, 37):
        store.record(uid, losses[start : start + 37])
    loss = store.run(uid).loss
    assert loss[0] == 0.0
    assert loss[-1] == count - 1
    assert min(count, 32) <= len(loss) <= 64
    gaps = {later - earlier for earlier, later in itertools.pairwise(loss[:-1])}
    assert len(gaps) <= 1


def test_that_the_sparkline_is_of_the_last_training_stage(store: Store, uid: str) -> None:
    store.record(uid, [Metrics(stage="sft", step=1, values={"loss": 5.0})])
    store.record(uid, [Metrics(stage="sdft", step=1, values={"loss": 1.0})])
    store.record(uid, [Metrics(stage="sft", step=2, values={"loss": 4.0})])
    assert store.run(uid).loss == (1.0,)


def test_that_threads_may_share_a_store(store: Store, database: Path) -> None:
    ids = [store.queue_run("{}", name=str(n), seed=n, base="tiny") for n in range(4)]

    def write(uid: str) -> None:
        for step in range(20):
            store.record(uid, [Metrics(stage="s", step=step, values={"loss": 1.0})])
            store.runs()

    threads = [threading.Thread(target=write, args=(uid,)) for uid in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.series(uid)[0][2] for uid in ids] == [20] * 4
