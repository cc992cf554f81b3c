"""The queue: its order, its expected ends, pausing, and finding it again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QMimeData, QModelIndex, QPoint, QPointF, Qt
from PySide6.QtGui import (
    QColor,
    QDrag,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QMouseEvent,
)
from PySide6.QtWidgets import QApplication
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.queue import Waiting, clash, finish_times, moved
from app.settings import Settings
from app.viewmodels import words
from app.viewmodels.application import Application
from app.viewmodels.run_cells import UID_ROLE
from app.viewmodels.run_queue import COLUMNS, MIME, NOT_KNOWN, RECKONED
from app.viewmodels.types import RunSummary
from app.views import run_notices
from app.views.queue_panel import QueuePanel
from app.views.queue_table import QueueTable
from app.widgets.messages import Notice
from app.widgets.theme import Theme
from core.events import Progress, RunFinished, RunStarted, StageStarted
from core.store.home import Home
from core.store.store import Store
from tests.app.test_viewmodels_run import RECIPE, STAGES

LENGTH = 3610.0
DEVICES, ENDS = ("cpu", "cuda", "cuda:0", "cuda:1", "auto"), (None, 1.0, 5.0)
A, B, C = Waiting("a", "cuda:0"), Waiting("b", "cuda:1"), Waiting("c", "cuda:0")


@given(st.permutations("abcde"), st.sampled_from("abcdex"), st.integers(-3, 9))
def test_that_moving_keeps_every_run_once_and_the_others_in_order(
    order: list[str], uid: str, place: int
) -> None:
    queue = [Waiting(it, "cpu") for it in order]
    after = [it.uid for it in moved(queue, uid, place)]
    assert sorted(after) == sorted(order)
    assert [it for it in after if it != uid] == [it for it in order if it != uid]
    if uid in order:
        assert after.index(uid) == min(max(place, 0), len(order) - 1)


def test_that_a_run_ends_after_those_before_it_on_its_device() -> None:
    lengths = {"a": 10.0, "b": 20.0, "c": 5.0}
    assert finish_times([("cuda", 100.0)], [A, B, C], lengths) == {"a": 110, "b": 20, "c": 115}


def test_that_nothing_is_said_of_what_waits_behind_the_unknown() -> None:
    assert finish_times([("cuda:0", None)], [A, B], {"a": 1.0, "b": 2.0}) == {"a": None, "b": 2.0}
    assert finish_times([], [A, C], {"a": None, "c": 1.0}) == {"a": None, "c": None}


@given(
    st.lists(st.tuples(st.sampled_from(DEVICES), st.sampled_from(ENDS)), max_size=3),
    st.lists(st.tuples(st.sampled_from(DEVICES), st.sampled_from(ENDS)), max_size=6),
)
def test_that_every_end_is_the_latest_before_it_and_its_own_length(
    running: list[tuple[str, float | None]], queue: list[tuple[str, float | None]]
) -> None:
    waiting = [Waiting(str(place), device) for place, (device, _) in enumerate(queue)]
    lengths = {str(place): length for place, (_, length) in enumerate(queue)}
    ends: list[tuple[str, float | None]] = list(running)
    expected: dict[str, float | None] = {}
    for run in waiting:
        length = lengths[run.uid]
        before = [end for device, end in ends if clash(run.device, device)]
        known = [end for end in before if end is not None]
        end = None if length is None or known != before else max(known, default=0.0) + length
        expected[run.uid] = end
        ends.append((run.device, end))
    assert finish_times(running, waiting, lengths) == expected


@dataclass
class Desk:
    """An application whose workers never start, with three runs that waited when it was closed."""

    application: Application
    store: Store
    uids: list[str]

    @property
    def waiting(self) -> list[str]:
        return [it.run.uid for it in self.application.queue.lines]

    def saved(self, qtbot: QtBot, uids: list[str]) -> None:
        qtbot.waitUntil(lambda: self.store.queue() == uids, timeout=5000)


def queued(store: Store, name: str, seed: int = 1) -> str:
    text = RECIPE.model_copy(update={"name": name, "seed": seed}).model_dump_json(by_alias=True)
    return store.queue_run(text, name=name, seed=seed, base="b")


def refuse(*_: object) -> None:
    raise OSError("no worker in this test")


@pytest.fixture
def desk(tmp_path: Path, qtbot: QtBot) -> Iterator[Desk]:
    home = Home(tmp_path / "home")
    home.create()
    with Store.open(home.database) as store:
        done = queued(store, "earlier")
        store.claim(done, 1, 1.0)
        store.record(done, [RunStarted(session=1, stages=STAGES, environment={})])
        finished = RunFinished(status="done", seconds=LENGTH, recovered_fraction={})
        store.record(done, [finished], t=time.time() + LENGTH)
        uids = [queued(store, name, seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))]
        store.set_queue(uids)
        application = Application(home, Settings(), spawn=refuse)
        with qtbot.waitSignal(application.queue.found, timeout=10_000) as found:
            application.begin()
        assert found.args == [3]
        yield Desk(application, store, uids)
        application.close()


@pytest.fixture
def panel(desk: Desk, theme: Theme, qtbot: QtBot) -> QueuePanel:
    made = QueuePanel(theme, desk.application.queue)
    qtbot.addWidget(made)
    made.resize(900, 300)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_that_what_waited_waits_again_in_its_order_and_nothing_starts_by_itself(
    desk: Desk, qtmodeltester: ModelTester
) -> None:
    qtmodeltester.check(desk.application.queue)
    assert desk.waiting == desk.uids
    assert desk.application.queue.paused
    assert desk.store.queue() == desk.uids


def test_that_the_order_is_changed_by_keys_and_written_down(
    desk: Desk, panel: QueuePanel, qtbot: QtBot, qtmodeltester: ModelTester
) -> None:
    qtmodeltester.check(desk.application.queue)
    a, b, c = desk.uids
    alt = Qt.KeyboardModifier.AltModifier
    panel.table.choose(c)
    qtbot.keyClick(panel.table, Qt.Key.Key_Up, alt)
    desk.saved(qtbot, [a, c, b])
    assert panel.table.chosen() == c  # the line stays the current one
    qtbot.keyClick(panel.table, Qt.Key.Key_Down, alt)
    desk.saved(qtbot, [a, b, c])
    qtbot.keyClick(panel.table, Qt.Key.Key_Home, alt)
    desk.saved(qtbot, [c, a, b])
    qtbot.keyClick(panel.table, Qt.Key.Key_Up, alt)  # it is the first already
    assert desk.waiting == [c, a, b]


def test_that_the_progress_of_a_line_moves_while_nothing_else_does(
    desk: Desk, panel: QueuePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = desk.application.queue
    at_work = replace(queue.lines[0].run, status="running", progress=0.25, note="sdft: step 1 / 4")
    monkeypatch.setattr(queue, "_active", lambda: (at_work,))
    desk.application.machine.sampled.emit()
    assert queue.index(0, COLUMNS.index("note")).data() == "25% · sdft: step 1 / 4"


def test_that_a_line_dropped_between_others_takes_that_place(desk: Desk, qtbot: QtBot) -> None:
    queue = desk.application.queue
    a, b, c = desk.uids

    def drop(uid: str, row: int) -> None:
        data = queue.mimeData([queue.index(queue.row_of(uid), 0)])
        move = Qt.DropAction.MoveAction
        assert not queue.dropMimeData(data, move, row, 0, QModelIndex())

    drop(a, 3)
    assert desk.waiting == [b, c, a]
    drop(a, 1)
    assert desk.waiting == [b, a, c]
    drop(c, -1)  # below the last line
    assert desk.waiting == [b, a, c]
    desk.saved(qtbot, [b, a, c])
    flags = queue.index(0, 0).flags()
    assert flags & Qt.ItemFlag.ItemIsDragEnabled


def test_that_two_windows_keep_what_each_does_to_the_queue(desk: Desk, qtbot: QtBot) -> None:
    first = desk.application
    second = Application(first.home, Settings(), spawn=refuse)
    a, b, c = desk.uids

    def both(uids: list[str]) -> None:
        def same() -> bool:
            lists = (first.queue.lines, second.queue.lines)
            return all([it.run.uid for it in lines] == uids for lines in lists)

        qtbot.waitUntil(same, timeout=10_000)
        desk.saved(qtbot, uids)

    try:
        with qtbot.waitSignal(second.queue.found, timeout=10_000):
            second.begin()
        both([a, b, c])
        second.queue.run_next(c)
        both([c, a, b])
        second.stop(a, True)  # taken out of the queue there
        both([c, b])
        first.start(RECIPE.model_copy(update={"name": "joined"}))
        qtbot.waitUntil(lambda: len(desk.waiting) == 3, timeout=10_000)
        joined = desk.waiting[-1]
        desk.saved(qtbot, [c, b, joined])
        second.queue.move(b, -1)  # it does not know of the third, and keeps it
        desk.saved(qtbot, [b, c, joined])
        qtbot.waitUntil(lambda: desk.waiting == [b, c, joined], timeout=10_000)
    finally:
        second.close()


def test_that_a_run_which_another_window_runs_waits_no_longer(desk: Desk, qtbot: QtBot) -> None:
    a, b, c = desk.uids
    desk.store.claim(b, os.getpid(), psutil.Process().create_time())
    qtbot.waitUntil(lambda: desk.application.queue.waiting == 2, timeout=10_000)
    assert desk.waiting == [b, a, c]  # it is at work


class Mouse:
    """Drags lines of a queue by the events that a desktop sends: a drag cannot be held offscreen."""

    ACTION, BUTTON = Qt.DropAction.MoveAction, Qt.MouseButton.LeftButton
    KEYS = Qt.KeyboardModifier.NoModifier

    def __init__(self, table: QueueTable) -> None:
        self._table = table
        self._port = table.viewport()

    def at(self, row: int, share: float) -> QPoint:
        """A point in a line, `share` of its height from its top."""
        top = self._table.rowViewportPosition(row)
        return QPoint(200, top + int(share * self._table.rowHeight(row)))

    def take(self, uid: str) -> None:
        queue = self._table.model()
        row = next(it for it in range(queue.rowCount()) if queue.index(it, 0).data(UID_ROLE) == uid)
        self._table.choose(uid)
        self._data = queue.mimeData([queue.index(row, 0)])
        start = self.at(row, 0.5)
        enter = QDragEnterEvent(start, self.ACTION, self._data, self.BUTTON, self.KEYS)
        QApplication.sendEvent(self._port, enter)
        assert enter.isAccepted()

    def over(self, at: QPoint) -> int:
        """Hold it there; where it is shown to land."""
        move = QDragMoveEvent(at, self.ACTION, self._data, self.BUTTON, self.KEYS)
        QApplication.sendEvent(self._port, move)
        return self._table.landing

    def leave(self) -> None:
        """Away from the table; a drag that is not ended would haunt the next test."""
        QApplication.sendEvent(self._port, QDragLeaveEvent())
        assert self._table.landing == -1

    def drop(self, at: QPoint) -> None:
        drop = QDropEvent(QPointF(at), self.ACTION, self._data, self.BUTTON, self.KEYS)
        QApplication.sendEvent(self._port, drop)
        assert self._table.landing == -1


def test_that_a_line_lands_by_the_mouse_where_the_drop_line_stands(
    desk: Desk, panel: QueuePanel, qtbot: QtBot
) -> None:
    a, b, c = desk.uids
    mouse = Mouse(panel.table)
    below = QPoint(200, panel.table.viewport().height() - 1)
    for uid, at, shown, after in (
        (a, mouse.at(1, 0.9), 2, [b, a, c]),  # lower half: after that line
        (a, mouse.at(0, 0.1), 0, [a, b, c]),  # upper half: before it
        (c, mouse.at(1, 0.4), 1, [a, c, b]),
        (a, mouse.at(2, 0.6), 3, [c, b, a]),
        (c, mouse.at(0, 0.8), 1, [c, b, a]),  # on itself
        (c, below, 3, [b, a, c]),
    ):
        mouse.take(uid)
        assert mouse.over(at) == shown
        mouse.drop(at)
        assert desk.waiting == after
        assert panel.table.chosen() == uid
        desk.saved(qtbot, after)


def test_that_nothing_waiting_is_dropped_before_what_runs(
    desk: Desk, panel: QueuePanel, qtbot: QtBot
) -> None:
    a, b, c = desk.uids
    other = queued(desk.store, "at work")
    desk.store.claim(other, os.getpid(), psutil.Process().create_time())
    qtbot.waitUntil(lambda: desk.waiting == [other, a, b, c], timeout=10_000)
    assert not desk.application.queue.index(0, 0).flags() & Qt.ItemFlag.ItemIsDragEnabled
    mouse = Mouse(panel.table)
    mouse.take(c)
    assert mouse.over(mouse.at(0, 0.1)) == 1
    mouse.drop(mouse.at(0, 0.1))
    assert desk.waiting == [other, c, a, b]


def test_that_the_drop_line_is_seen_and_goes_when_the_mouse_leaves(
    panel: QueuePanel, desk: Desk, theme: Theme
) -> None:
    mouse, port = Mouse(panel.table), panel.table.viewport()
    accent = QColor(theme.tokens.accent)

    def accented(y: int) -> bool:
        return port.grab().toImage().pixelColor(300, y) == accent

    mouse.take(desk.uids[0])
    edge = panel.table.rowViewportPosition(2)
    assert not accented(edge)
    mouse.over(mouse.at(1, 0.8))
    assert accented(edge)
    mouse.leave()
    assert not accented(edge)
    mouse.take(desk.uids[0])
    mouse.over(QPoint(200, port.height() - 1))
    assert accented(port.height() - 1)
    mouse.leave()


def test_that_only_a_line_of_the_queue_is_taken(panel: QueuePanel, desk: Desk) -> None:
    foreign = QMimeData()
    foreign.setText("a word")
    enter = QDragEnterEvent(QPoint(5, 5), Mouse.ACTION, foreign, Mouse.BUTTON, Mouse.KEYS)
    QApplication.sendEvent(panel.table.viewport(), enter)
    assert not enter.isAccepted()
    move = QDragMoveEvent(QPoint(5, 5), Mouse.ACTION, foreign, Mouse.BUTTON, Mouse.KEYS)
    QApplication.sendEvent(panel.table.viewport(), move)
    assert panel.table.landing == -1
    assert desk.waiting == desk.uids
    Mouse(panel.table).leave()


def test_that_pulling_a_waiting_line_takes_it_along_and_a_running_one_stays(
    desk: Desk, panel: QueuePanel, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled: list[str] = []

    def remember(drag: QDrag, _: Qt.DropAction) -> Qt.DropAction:
        pulled.append(bytes(drag.mimeData().data(MIME).data()).decode())
        assert not drag.pixmap().isNull()
        return Qt.DropAction.IgnoreAction

    monkeypatch.setattr(QDrag, "exec", remember)
    table, mouse = panel.table, Mouse(panel.table)

    def pull(row: int) -> None:
        start = mouse.at(row, 0.5)
        qtbot.mousePress(table.viewport(), Qt.MouseButton.LeftButton, pos=start)
        for step in (1, 2, 3):
            far = start + QPoint(0, step * QApplication.startDragDistance())
            buttons = Qt.MouseButton.LeftButton
            at = QPointF(far)
            glob = QPointF(table.viewport().mapToGlobal(far))
            kind = QMouseEvent.Type.MouseMove
            event = QMouseEvent(kind, at, glob, Qt.MouseButton.NoButton, buttons, Mouse.KEYS)
            QApplication.sendEvent(table.viewport(), event)
        qtbot.mouseRelease(table.viewport(), Qt.MouseButton.LeftButton, pos=start)

    pull(1)
    assert pulled == [desk.uids[1]]
    other = queued(desk.store, "at work")
    desk.store.claim(other, os.getpid(), psutil.Process().create_time())
    qtbot.waitUntil(lambda: len(desk.waiting) == 4, timeout=10_000)
    pull(0)
    assert pulled == [desk.uids[1]]


def test_that_a_run_leaves_the_queue_by_a_key_and_opens_by_enter(
    desk: Desk, panel: QueuePanel, qtbot: QtBot
) -> None:
    a, b, c = desk.uids
    panel.table.choose(b)
    with qtbot.waitSignal(panel.opened) as opened:
        qtbot.keyClick(panel.table, Qt.Key.Key_Return)
    assert opened.args == [b]
    panel.removed.connect(lambda uid: desk.application.stop(uid, True))
    qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
    assert desk.waiting == [a, c]
    qtbot.waitUntil(lambda: desk.store.run(b).status == "stopped", timeout=5000)
    desk.saved(qtbot, [a, c])


def test_that_a_waiting_run_that_is_deleted_and_brought_back_waits_again(
    desk: Desk, qtbot: QtBot
) -> None:
    a, b, c = desk.uids
    desk.application.delete([a])
    desk.saved(qtbot, [b, c])
    qtbot.waitUntil(lambda: bool(desk.application.edits.next_undo), timeout=5000)
    desk.application.edits.undo()
    desk.saved(qtbot, [b, c, a])
    qtbot.waitUntil(lambda: desk.application.runs.entry(a) is not None, timeout=5000)
    assert desk.waiting == [b, c, a]


def test_that_the_button_says_what_it_does_and_going_on_starts_the_first(
    desk: Desk, panel: QueuePanel, qtbot: QtBot
) -> None:
    assert panel.pause.text() == "Continue"
    qtbot.mouseClick(panel.pause, Qt.MouseButton.LeftButton, pos=QPoint(5, 5))
    assert panel.pause.text() == "Pause"
    assert desk.uids[0] not in desk.application.queue._workers.waiting
    qtbot.waitUntil(lambda: not desk.application.queue.waiting, timeout=10_000)  # none can start


def test_that_the_expected_end_comes_from_a_finished_run_of_the_same_recipe(
    desk: Desk, qtbot: QtBot
) -> None:
    queue, place = desk.application.queue, COLUMNS.index("expected")

    def expected() -> list[str]:
        return [str(queue.index(row, place).data()) for row in range(queue.rowCount())]

    assert expected() == [words.NONE] * 3  # paused: nobody can say
    assert queue.index(0, place).data(Qt.ItemDataRole.ToolTipRole) == NOT_KNOWN
    other = queued(desk.store, "of somebody else")
    desk.store.claim(other, os.getpid(), psutil.Process().create_time())
    qtbot.waitUntil(lambda: queue.rowCount() == 4, timeout=10_000)
    queue.pause(False)  # the device is taken, so that nothing starts
    assert [it.rpartition("in ")[2] for it in expected()] == ["1 h", "2 h", "3 h", "4 h"]
    assert queue.index(1, place).data(Qt.ItemDataRole.ToolTipRole) == RECKONED


def test_that_without_an_earlier_run_the_end_is_reckoned_by_the_share_that_is_done(
    desk: Desk, qtbot: QtBot
) -> None:
    queue = desk.application.queue
    alone = desk.store.queue_run("{}", name="like no other", seed=1, base="another")
    desk.store.claim(alone, os.getpid(), psutil.Process().create_time())
    qtbot.waitUntil(lambda: desk.application.runs.entry(alone) is not None, timeout=10_000)
    entry = desk.application.runs.entry(alone)
    assert entry is not None
    assert entry.row.started is not None
    summary = RunSummary(alone, "", "", "running", "", progress=0.25)
    passed = time.time() - entry.row.started
    left = queue._left(summary)
    assert left is not None
    assert left == pytest.approx(3 * passed, abs=3.0)
    assert queue._left(replace(summary, progress=0.05)) is None
    assert queue._left(replace(summary, stage_left=900.0)) == 900.0  # at least what the note says
    assert queue._left(replace(summary, progress=None)) is None


def test_that_a_running_run_which_nobody_opened_shows_its_progress(
    desk: Desk, qtbot: QtBot
) -> None:
    other = queued(desk.store, "of another window")
    desk.store.claim(other, os.getpid(), psutil.Process().create_time())
    stage = STAGES[0].id
    desk.store.record(
        other,
        [
            RunStarted(session=1, stages=STAGES, environment={}),
            StageStarted(stage=stage),
            Progress(stage=stage, done=3, total=4, unit="step", eta=60.0),
        ],
    )

    def note() -> str:
        queue = desk.application.queue
        return str(queue.index(0, COLUMNS.index("note")).data() or "")

    def told() -> bool:
        desk.application.queue.refresh()
        return "step 3 / 4" in note()

    qtbot.waitUntil(told, timeout=10_000)


def test_that_the_notice_of_a_paused_queue_goes_when_it_goes_on(
    desk: Desk, panel: QueuePanel, theme: Theme, qtbot: QtBot
) -> None:
    notice = Notice(theme)
    qtbot.addWidget(notice)
    run_notices.connect(notice, desk.application)
    desk.application.queue.found.emit(3)
    assert notice.isVisible()
    desk.application.queue.refresh()
    assert notice.isVisible()
    qtbot.mouseClick(panel.pause, Qt.MouseButton.LeftButton, pos=QPoint(5, 5))
    assert not notice.isVisible()


def test_that_an_empty_queue_takes_no_room(home: Home, theme: Theme, qtbot: QtBot) -> None:
    application = Application(home, Settings(), spawn=refuse)
    panel = QueuePanel(theme, application.queue)
    qtbot.addWidget(panel)
    assert panel.isHidden()
