"""What people change about runs: in one go, and so that deleting can be undone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.events import Event, Metrics
from core.store.edits import RunEdit, merged
from core.store.store import Store


def _queued(store: Store, *names: str) -> list[str]:
    return [store.queue_run("{}", name=name, seed=1, base="tiny") for name in names]


def test_that_a_hidden_run_is_in_no_list_and_comes_back_with_everything(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    store.record(uid, whole_run)
    before = (
        store.run(uid),
        repr(store.events(uid)),
        store.scores(uid),
        repr(store.item_results(uid, "r", "tooluse")),
        store.points(uid, "r", "loss").values.tolist(),
        store.checkpoints(uid),
    )
    store.edit({uid: RunEdit(deleted=True)})
    assert store.runs() == []
    assert store.run_marks() == {}
    with pytest.raises(UserError, match="holds no runs yet"):
        store.find("first")
    with pytest.raises(UserError, match="There is no run"):
        store.claim(uid, 1, 1.0)
    store.edit({uid: RunEdit(deleted=False)})
    assert store.runs() == [before[0]]
    assert before == (
        store.run(uid),
        repr(store.events(uid)),
        store.scores(uid),
        repr(store.item_results(uid, "r", "tooluse")),
        store.points(uid, "r", "loss").values.tolist(),
        store.checkpoints(uid),
    )


def test_that_only_what_was_hidden_long_enough_is_deleted_for_good(store: Store) -> None:
    kept, hidden = _queued(store, "kept", "hidden")
    store.edit({hidden: RunEdit(deleted=True)})
    assert store.purge_deleted(0.0) == 0
    assert store.run(hidden).name == "hidden"
    assert store.purge_deleted(float("inf")) == 1
    with pytest.raises(UserError, match="There is no run"):
        store.run(hidden)
    assert [row.uid for row in store.runs()] == [kept]


def test_that_many_changes_are_made_all_or_not_at_all(store: Store) -> None:
    a, b = _queued(store, "a", "b")
    store.edit({a: RunEdit(star=1, tags=("x", "y")), b: RunEdit(name="bee", notes="n")})
    assert (store.run(a).star, store.run(a).tags) == (1, ("x", "y"))
    assert (store.run(b).name, store.run(b).notes) == ("bee", "n")
    with pytest.raises(UserError, match="There is no run"):
        store.edit({a: RunEdit(star=0), "0" * 12: RunEdit(star=0)})
    assert store.run(a).star == 1
    with pytest.raises(ValueError, match="star is"):
        store.edit({a: RunEdit(star=2)})
    store.edit({a: RunEdit()})


def test_that_the_queue_keeps_its_order_and_forgets_what_started_or_was_deleted(
    store: Store,
) -> None:
    a, b, c = _queued(store, "a", "b", "c")
    assert store.queue() == []
    store.set_queue([c, a, b])
    assert store.queue() == [c, a, b]
    store.claim(c, 1, 1.0)
    assert store.queue() == [a, b]
    store.edit({a: RunEdit(deleted=True)})
    assert store.queue() == [b]
    store.set_queue([c, b])  # c runs: it cannot wait
    assert store.queue() == [b]


def test_that_a_mark_changes_when_and_only_when_the_row_does(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    (other,) = _queued(store, "other")

    def changed(act: object) -> set[str]:
        before = store.run_marks()
        assert callable(act)
        act()
        return {it for it, mark in store.run_marks().items() if before[it] != mark}

    assert changed(lambda: store.record(uid, whole_run)) == {uid}
    assert changed(
        lambda: store.record(uid, [Metrics(stage="r", step=3, values={"loss": 1.0})])
    ) == {uid}
    assert changed(lambda: store.set_notes(other, "n")) == {other}
    assert changed(lambda: store.set_tags(other, ["t"])) == {other}
    assert changed(lambda: store.claim(other, 1, 1.0)) == {other}
    assert changed(lambda: store.runs()) == set()
    assert list(store.run_marks()) == [row.uid for row in store.runs()]


def test_that_only_the_runs_asked_for_are_read(
    store: Store, uid: str, whole_run: list[Event]
) -> None:
    (other,) = _queued(store, "other")
    store.record(uid, whole_run)
    assert store.runs([uid]) == [store.run(uid)]
    assert store.runs([other])[0].last == {}
    assert store.runs([]) == []


@pytest.mark.parametrize(
    ("known", "wanted", "present", "after"),
    [
        ("abc", "cab", "abc", "cab"),  # nobody else was there
        ("abc", "cab", "abcx", "cabx"),  # one joined elsewhere
        ("abc", "cba", "axbc", "cbax"),  # it stays behind the one it stood behind
        ("abc", "acb", "xabc", "xacb"),
        ("abc", "cab", "bc", "cb"),  # a was started elsewhere
        ("abc", "ac", "cba", "ca"),  # reordered elsewhere, b taken out here
        ("ab", "abn", "bxa", "bxan"),  # one joined here, reordered elsewhere
        ("abc", "bca", "cba", "bca"),  # both reordered: the last hand counts
        ("", "n", "xy", "xyn"),
        ("ab", "", "abx", "x"),
        ("abc", "abc", "", ""),
    ],
)
def test_that_two_windows_keep_what_each_did_to_the_queue(
    known: str, wanted: str, present: str, after: str
) -> None:
    assert "".join(merged(known, wanted, present)) == after


@given(
    st.permutations("abcd"),
    st.permutations("abcx"),
    st.lists(st.sampled_from("abcdn"), unique=True),
)
def test_that_merging_loses_no_run_that_nobody_took_out(
    known: list[str], present: list[str], wanted: list[str]
) -> None:
    after = merged(known, wanted, present)
    assert len(after) == len(set(after))
    gone, dropped = set(known) - set(present), set(known) - set(wanted)
    assert set(after) == (set(wanted) | set(present)) - gone - dropped


def test_that_the_queue_takes_up_what_another_window_added(store: Store) -> None:
    a, b, c = _queued(store, "a", "b", "c")
    assert store.set_queue([a, b], []) == [a, b]
    assert store.set_queue([c], []) == [a, b, c]  # another window, which knew of none
    assert store.set_queue([b, a], [a, b]) == [b, a, c]
