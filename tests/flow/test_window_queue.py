"""A sweep through the queue: reordered by keys, shortened, and run by a real worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from core.recipe.files import dump
from core.store.store import Store
from tests.app.sample_runs import recipe
from tests.flow.desk import Desk
from tests.flow.hands import Hands
from tests.flow.test_window_flows import brief

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)", "grabbing the keyboard")
SEEDS = (1, 2, 3, 4)
SWEEP = "four seeds"
QUEUED_NAME = 1
"""The column of the queue in which a run's name stands."""


@pytest.fixture
def hands(qtbot: QtBot) -> Hands:
    return Hands(qtbot)


def waiting(hands: Hands, names: Sequence[str]) -> list[str]:
    """Which of these runs are in the queue, from top to bottom."""
    return [it for it in hands.cells("Queue", QUEUED_NAME) if it in names]


def test_that_what_waits_is_reordered_by_keys_and_taken_out(desk: Desk, hands: Hands) -> None:
    names = ["one", "two", "three", "four"]
    with Store.open(desk.home.database) as store:
        made = [recipe(name) for name in names]
        uids = [
            store.queue_run(it.model_dump_json(by_alias=True), name=it.name, seed=it.seed, base="b")
            for it in made
        ]
        store.set_queue(uids)
    desk.open()
    hands.until(lambda: waiting(hands, names) == names)
    hands.row("Queue", "four")
    hands.press("Alt+Up")
    hands.press("Alt+Up")
    hands.until(lambda: waiting(hands, names) == ["one", "four", "two", "three"])
    hands.press("Alt+Home")
    hands.until(lambda: waiting(hands, names) == ["four", "one", "two", "three"])
    hands.row("Queue", "two")
    hands.press("Alt+Down")
    hands.until(lambda: waiting(hands, names) == ["four", "one", "three", "two"])
    hands.row("Queue", "one")
    hands.press("Delete")
    hands.until(lambda: waiting(hands, names) == ["four", "three", "two"])

    def kept() -> list[str]:
        with Store.open(desk.home.database, read_only=True) as store:
            return [store.run(uid).name for uid in store.queue()]

    hands.until(lambda: kept() == ["four", "three", "two"])
    hands.until(lambda: len(hands.cells("Runs", 0)) == len(names))


@pytest.mark.slow
def test_that_a_sweep_is_queued_reordered_shortened_and_run_in_the_new_order(
    desk: Desk, hands: Hands, tmp_path: Path
) -> None:
    window = desk.open()
    hands.press("Ctrl+2")
    hands.paste("Recipe as YAML", dump(brief(tmp_path, name="swept", steps=1)))
    hands.until(lambda: hands.reads("no problems"))
    hands.click("Beside the form: Sweep")
    hands.click("Add a field")
    hands.write("seed")
    hands.row("Fields", "Seed")
    hands.type("Seed: values, with commas", ", ".join(map(str, SEEDS)))
    hands.type("Name of the sweep; its runs are tagged with it", SWEEP)
    hands.click("Queue 4 runs")

    hands.press("Ctrl+1")  # at once: what was asked for is queued, whatever page is shown
    hands.until(lambda: hands.sees("Pause"))
    hands.click("Pause")
    names = [f"swept · seed {seed}" for seed in SEEDS]
    rest = names[1:]
    hands.until(lambda: waiting(hands, rest) == rest)
    hands.row("Queue", names[3])
    hands.press("Alt+Up")
    hands.press("Alt+Up")
    hands.until(lambda: waiting(hands, rest) == [names[3], names[1], names[2]])
    hands.row("Queue", names[1])
    hands.press("Delete")
    hands.until(lambda: waiting(hands, rest) == [names[3], names[2]])
    hands.click("Continue")
    hands.press("?")
    hands.press("Esc")  # ends the help, and no run
    hands.until(lambda: not hands.cells("Queue", QUEUED_NAME))

    with Store.open(desk.home.database, read_only=True) as store:
        rows = {row.name: row for row in store.runs()}
    assert set(rows) == set(names)
    assert all(row.tags == ("sweep:four-seeds",) for row in rows.values())
    done = sorted(
        (it for it in rows.values() if it.status == "done"), key=lambda it: it.started or 0
    )
    assert [it.name for it in done] == [names[0], names[3], names[2]]
    assert rows[names[1]].started is None
    assert {name: rows[name].seed for name in names} == dict(zip(names, SEEDS, strict=True))
    assert sorted(hands.cells("Runs", window.runs_page.model.columns.index("name"))) == names
