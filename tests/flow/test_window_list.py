"""The run list by mouse and keyboard: deleted and brought back, compared, found by the palette."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from app.views.main_window import MainWindow
from core.store.rows import RunRow
from core.store.store import Store
from tests.app.sample_runs import add, events, recipe
from tests.flow.desk import Desk
from tests.flow.hands import Hands

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", r"raise\(\)", "grabbing the keyboard")
NAMES = ("the first", "the second", "the third")
NAME_COLUMN = 2


@pytest.fixture
def hands(qtbot: QtBot) -> Hands:
    return Hands(qtbot)


@pytest.fixture
def window(desk: Desk, hands: Hands) -> MainWindow:
    """A window on three hand-made runs; the first is starred, tagged and noted."""
    with Store.open(desk.home.database) as store:
        uids = [add(store, recipe(name), events(recipe(name))) for name in NAMES]
        store.set_star(uids[0], 1)
        store.set_tags(uids[0], ("kept", "good"))
        store.set_notes(uids[0], "the one to show")
    opened = desk.open()
    hands.until(lambda: len(hands.cells("Runs", NAME_COLUMN)) == len(NAMES))
    return opened


def stored(desk: Desk, name: str) -> tuple[RunRow, int, int, int]:
    """All that the database knows of a run: its row, and how many events, scores and checkpoints."""
    with Store.open(desk.home.database, read_only=True) as store:
        row = store.find(name)
        uid = row.uid
        return row, len(store.events(uid)), len(store.scores(uid)), len(store.checkpoints(uid))


def listed(window: MainWindow) -> dict[str, list[str]]:
    """What the list shows of each run, by its id."""
    model = window.runs_page.model
    rows = (
        [str(model.index(row, at).data()) for at in range(model.columnCount())]
        for row in range(model.rowCount())
    )
    return {cells[NAME_COLUMN]: cells for cells in rows}


@pytest.mark.parametrize("way", ["key", "button"])
def test_that_a_deleted_run_comes_back_whole(
    desk: Desk, hands: Hands, window: MainWindow, way: str
) -> None:
    name = NAMES[0]
    before, shown = stored(desk, name), listed(window)
    hands.row("Runs", name)
    hands.press("Delete")
    hands.until(lambda: name not in listed(window) and hands.sees("Undo"))
    assert len(listed(window)) == len(NAMES) - 1
    assert any(name in words for words in desk.answers.asked)
    if way == "key":
        hands.press("Ctrl+Z")
    else:
        hands.click("Undo")
    hands.until(lambda: listed(window) == shown)
    assert stored(desk, name) == before
    assert hands.reads("Taken back")

    hands.row("Runs", name)
    hands.press("Return")
    hands.until(lambda: window.page == "run")
    run = window.run_page.run
    assert run is not None
    hands.until(lambda: run.loaded)
    assert run.name == name
    assert len(run.series("loss")[0].x) > 0


def test_that_two_runs_of_the_list_are_compared_by_the_keyboard(
    hands: Hands, window: MainWindow
) -> None:
    first, second = hands.cells("Runs", NAME_COLUMN)[:2]
    hands.press("Ctrl+Home")
    hands.press("Shift+Down")
    hands.press("C")
    hands.until(lambda: window.page == "compare")
    compare = window.application.compare
    hands.until(lambda: len(compare.runs()) == 2 and not compare.loading)
    assert {it.name for it in compare.runs()} == {first, second}
    hands.until(lambda: hands.reads(first) and hands.reads(second))
    assert compare.overlay("loss")


def test_that_the_palette_opens_a_run_by_its_name(hands: Hands, window: MainWindow) -> None:
    hands.press("Ctrl+2")
    hands.press("Ctrl+K")
    hands.write("second")
    hands.press("Return")
    hands.until(lambda: window.page == "run")
    run = window.run_page.run
    assert run is not None
    hands.until(lambda: run.name == "the second")
    assert not hands.sees("Command palette")


def test_that_esc_closes_the_shortcuts_and_nothing_else(
    desk: Desk, hands: Hands, window: MainWindow
) -> None:
    hands.row("Runs", NAMES[1])
    hands.press("?")
    hands.until(lambda: hands.sees("Close the shortcuts"))
    hands.press("Esc")
    hands.until(lambda: not hands.sees("Close the shortcuts"))
    assert window.isVisible()
    assert window.page == "runs"
    assert window.runs_page.selected() == [stored(desk, NAMES[1])[0].uid]
    hands.press("Esc")
    assert window.isVisible()
    assert len(window.runs_page.selected()) == 1
    hands.press("Return")
    hands.until(lambda: window.page == "run")
    assert desk.answers.asked == []
