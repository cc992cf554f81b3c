from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.run import RunViewModel
from app.viewmodels.run_cells import COLUMNS
from app.views import pages
from app.views.dialogs import Dialogs
from app.views.new_run_page import NewRunPage
from app.views.run_page import RunPage
from app.views.runs_page import RunsPage
from app.widgets.theme import Theme
from core.store.home import Home
from tests.app.conftest import Sample
from tests.app.shell import shell_on

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


class Agreeing(Dialogs):
    """Says yes, or no, and remembers the questions."""

    def __init__(self) -> None:
        self.agree = True
        self.asked: list[str] = []

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        self.asked.append(title)
        return self.agree

    def ask_text(self, parent: QWidget, title: str, label: str, text: str) -> str | None:
        return "renamed"


@dataclass
class Told:
    """What the pages asked of the application, instead of doing it."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    def spawn(self, *_: object) -> None:
        raise OSError("no worker in this test")


@dataclass
class Desk:
    """An application on hand-made runs, with what its pages need."""

    application: Application
    settings: Settings
    dialogs: Agreeing
    told: Told
    runs: dict[str, str]


@pytest.fixture
def desk(sample: Sample, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    told = Told()
    settings = Settings()
    application = Application(sample.home, settings, spawn=told.spawn)
    for name in ("stop", "save_now", "resume", "delete"):
        monkeypatch.setattr(
            application, name, lambda *given, name=name: told.calls.append((name, *given))
        )
    application.begin()
    qtbot.waitUntil(lambda: application.runs.rowCount() == len(sample.runs), timeout=10_000)
    yield Desk(application, settings, Agreeing(), told, sample.runs)
    application.close()
    application.deleteLater()


def _shown(page: QWidget, qtbot: QtBot) -> None:
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    qtbot.waitExposed(page)


@pytest.fixture
def runs_page(desk: Desk, theme: Theme, qtbot: QtBot) -> RunsPage:
    made = RunsPage(desk.application, desk.settings, theme, desk.dialogs)
    _shown(made, qtbot)
    made.refresh_now()
    return made


@pytest.fixture
def run_page(desk: Desk, theme: Theme, qtbot: QtBot) -> RunPage:
    made = RunPage(desk.application, desk.settings, theme, desk.dialogs)
    _shown(made, qtbot)
    return made


def _open(desk: Desk, page: RunPage, which: str, qtbot: QtBot) -> RunViewModel:
    run = desk.application.open_run(desk.runs[which])
    page.show_run(run)
    qtbot.waitUntil(lambda: run.loaded, timeout=15_000)
    page.refresh_now()
    return run


def test_that_searching_and_filtering_narrow_the_list_and_can_be_undone(
    runs_page: RunsPage, qtbot: QtBot
) -> None:
    table = runs_page.table.model()
    assert table.rowCount() == 6
    runs_page.head.search.setText("pruned fixture")
    assert table.rowCount() == 2
    runs_page.head.search.clear()
    runs_page.head.status.chosen.emit("failed")
    assert table.rowCount() == 1
    runs_page.head.search.setText("nothing has this name")
    assert table.rowCount() == 0
    runs_page.refresh_now()
    assert not runs_page.table.isVisible()


def test_that_the_newest_run_is_first_and_enter_opens_it(
    runs_page: RunsPage, desk: Desk, qtbot: QtBot
) -> None:
    runs_page.table.selectRow(0)
    with qtbot.waitSignal(runs_page.opened) as told:
        qtbot.keyClick(runs_page.table, Qt.Key.Key_Return)
    assert told.args == [desk.runs["waiting"]]


def test_that_keys_star_and_cross_and_take_it_back(
    runs_page: RunsPage, desk: Desk, qtbot: QtBot
) -> None:
    model = desk.application.runs
    runs_page.table.selectRow(0)
    star = COLUMNS.index("star")
    role = Qt.ItemDataRole.UserRole + 4

    def mark() -> int:
        return int(model.index(model.row_of(desk.runs["waiting"]), star).data(role))

    for key, expected in ((Qt.Key.Key_S, 1), (Qt.Key.Key_X, -1), (Qt.Key.Key_X, 0)):
        runs_page.table.selectRow(0)
        qtbot.keyClick(runs_page.table, key)
        qtbot.waitUntil(lambda expected=expected: mark() == expected, timeout=5000)


def test_that_nothing_in_the_list_is_cut_beside_a_name_of_ordinary_length(
    runs_page: RunsPage, qtbot: QtBot
) -> None:
    table = runs_page.table
    shown = [place for place in range(len(COLUMNS)) if not table.isColumnHidden(place)]
    assert {COLUMNS[place] for place in shown} >= {"status", "name", "recovered", "fraction"}
    for place in shown:
        if COLUMNS[place] not in ("star", "loss"):  # painted, not written
            assert table.columnWidth(place) >= table.sizeHintForColumn(place), COLUMNS[place]
    assert sum(map(table.columnWidth, shown)) <= table.viewport().width()
    runs_page.columns.choose("model", True)
    assert runs_page.columns.shown("model")
    assert not runs_page.columns.shown("created")
    runs_page.resize(1800, 736)
    assert runs_page.columns.shown("created")


def test_that_deleting_asks_first_and_does_nothing_on_no(
    runs_page: RunsPage, desk: Desk, qtbot: QtBot
) -> None:
    runs_page.table.selectRow(0)
    desk.dialogs.agree = False
    qtbot.keyClick(runs_page.table, Qt.Key.Key_Delete)
    assert desk.dialogs.asked == ["Delete the run?"]
    assert desk.told.calls == []
    desk.dialogs.agree = True
    qtbot.keyClick(runs_page.table, Qt.Key.Key_Delete)
    assert desk.told.calls == [("delete", [desk.runs["waiting"]])]


def test_that_selected_runs_are_compared_and_copied_as_tsv(
    runs_page: RunsPage, desk: Desk, qtbot: QtBot
) -> None:
    assert not runs_page.head.compare.isEnabled()
    runs_page.table.selectAll()
    with qtbot.waitSignal(runs_page.compared) as told:
        runs_page.head.compare.click()
    assert len(told.args[0]) == 6
    qtbot.keyClick(runs_page.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 7
    assert {line.count("\t") for line in lines} == {lines[0].count("\t")}


def test_that_an_empty_list_teaches_and_leads_to_a_new_run(
    home: Home, theme: Theme, qtbot: QtBot
) -> None:
    application = Application(home, Settings(), spawn=Told().spawn)
    page = RunsPage(application, Settings(), theme, Dialogs())
    _shown(page, qtbot)
    application.begin()
    qtbot.waitUntil(lambda: application.runs.loaded, timeout=10_000)
    qtbot.waitUntil(page.empty.isVisible, timeout=2000)
    application.close()


@pytest.mark.parametrize(
    ("which", "visible"),
    [("running", {"save_now", "stop", "discard"}), ("done", set()), ("failed", {"resume"})],
)
def test_that_the_buttons_are_those_the_status_allows(
    run_page: RunPage, desk: Desk, qtbot: QtBot, which: str, visible: set[str]
) -> None:
    _open(desk, run_page, which, qtbot)
    names = ("save_now", "stop", "discard", "resume")
    assert {name for name in names if getattr(run_page, name).isVisible()} == visible


def test_that_the_buttons_reach_the_application_and_discard_asks(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    uid = _open(desk, run_page, "running", qtbot).uid
    run_page.save_now.click()
    run_page.stop.click()
    desk.dialogs.agree = False
    run_page.discard.trigger()
    assert desk.told.calls == [("save_now", uid), ("stop", uid, True)]
    desk.dialogs.agree = True
    run_page.discard.trigger()
    assert desk.told.calls[-1] == ("stop", uid, False)


def test_that_a_finished_run_fills_every_part(run_page: RunPage, desk: Desk, qtbot: QtBot) -> None:
    run = _open(desk, run_page, "done", qtbot)
    assert run_page.title.whole() == run.name
    assert len(run_page.strip.cards) == 3
    assert run_page.area.shown() == ["divergence", "accuracy/tooluse"]
    for chart in (tile.chart for tile in run_page.area.tiles):
        chart.redraw()
        assert not chart.empty.isVisible()
    assert not run_page.cka.map.empty.isVisible()
    assert run_page.details.scores.rowCount() == 2
    assert run_page.details.guards.rowCount() > 0
    assert "Run done" in run_page.details.log.toPlainText()
    assert "axolotl" in run_page.completions.view.student.toPlainText().lower()
    assert not run_page.failure.isVisible()


def test_that_a_failed_run_says_what_happened_and_what_to_do(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    _open(desk, run_page, "failed", qtbot)
    assert run_page.failure.isVisible()
    assert "ran out of memory" in run_page.failure.accessibleName()


def test_that_the_metric_and_the_map_can_be_chosen(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    _open(desk, run_page, "done", qtbot)
    card = run_page.area.tiles[0]
    assert card.which.key() == "divergence"
    card.which.setCurrentIndex(card.which.findData("entropy"))
    card.which.chosen.emit("entropy")
    assert card.which.key() == "entropy"
    assert desk.settings.views["run.charts"] == "entropy,accuracy/tooluse"
    cka = run_page.cka
    cka.layout_choice.choose("layers")
    assert cka.slider.isVisible()
    cka.slider.setValue(0)
    assert cka.at.text() == "step 5"
    low, _ = cka.map.levels
    cka.range.chosen.emit("0")
    assert cka.map.levels == (0.0, 1.0) != (low, 1.0)
    assert desk.settings.views["run.cka_range"] == "0"


def test_that_the_map_turns_to_the_steps_when_training_is_measured(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    run = _open(desk, run_page, "done", qtbot)
    cka = run_page.cka
    steps = run.cka_subjects
    run.cka_subjects = lambda: ()  # type: ignore[method-assign]
    cka.show_run(run)
    assert cka.layout_choice.current() == "layers"
    run.cka_subjects = steps  # type: ignore[method-assign]
    cka.refresh()
    assert cka.layout_choice.current() == "steps"
    cka.layout_choice.choose("layers")  # a person's choice stays
    cka.refresh()
    assert cka.layout_choice.current() == "layers"


def test_that_another_run_leaves_no_wire_to_the_one_before(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    before = _open(desk, run_page, "done", qtbot)
    after = _open(desk, run_page, "failed", qtbot)
    before.headerChanged.emit()
    before.seriesChanged.emit()
    qtbot.wait(120)
    assert run_page.title.whole() == after.name


def test_that_a_hidden_page_does_not_refresh_until_it_is_shown(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    _open(desk, run_page, "running", qtbot)
    run_page.hide()
    called: list[int] = []
    run_page.later(lambda: called.append(1))
    qtbot.wait(120)
    assert called == []
    run_page.show()
    qtbot.waitUntil(lambda: called == [1], timeout=2000)


def test_that_recipe_and_form_are_two_sides_of_one_thing(
    desk: Desk, theme: Theme, qtbot: QtBot
) -> None:
    model = desk.application.new_run
    page = NewRunPage(desk.application, desk.settings, theme, desk.dialogs)
    _shown(page, qtbot)
    desk.application.duplicate(desk.runs["done"])
    qtbot.waitUntil(lambda: "sdft" in model.text, timeout=5000)
    model.select("1")
    page.refresh_now()
    assert [card.isChecked() for card in page.strip.cards] == [False, False, True]
    page.card.form.changed.emit("stages.1.max_steps", 7)
    page.refresh_now()
    assert "max_steps: 7" in page.sides.yaml.toPlainText()
    page.sides.yaml.setPlainText(
        page.sides.yaml.toPlainText().replace("max_steps: 7", "max_steps: -3")
    )

    def problem() -> str:
        found = [it.message for it in model.problems() if it.path == "stages.1.max_steps"]
        return found[0] if found else ""

    qtbot.waitUntil(lambda: bool(problem()), timeout=5000)
    page.refresh_now()
    assert not page.start.isEnabled()
    assert problem() in page.card.form.note("stages.1.max_steps")
    page.sides.side.choose("problems")
    assert page.sides.problems.list.count() == len(model.problems())


def test_that_a_run_waiting_for_its_first_event_shows_what_will_be_there(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    run = desk.application.open_run(desk.runs["waiting"])
    run_page.show_run(run)
    run_page.refresh_now()
    chart = run_page.area.tiles[0].chart
    chart.redraw()
    assert chart.empty.isVisible()
    assert run_page.cka.map.empty.isVisible()
    assert not run_page.completions.view.isVisible()


def test_that_the_run_says_what_memory_was_expected_and_what_was_measured(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    _open(desk, run_page, "done", qtbot)
    assert "recovered: memory peak 2.0 GiB (2.2 GiB expected)" in run_page.facts.whole()
    card = run_page.strip.cards[-1]
    assert "peak 2.0 GiB (2.2 GiB expected)" in card.toolTip()
    log = run_page.details.log.toPlainText()
    assert "recovered: started on cpu, float32; expected: 2.2 GiB at most, about 1 h." in log
    assert "recovered: done after 1 m 1 s, peak 2.0 GiB." in log


def test_that_a_running_stage_says_what_memory_is_expected(
    run_page: RunPage, desk: Desk, qtbot: QtBot
) -> None:
    _open(desk, run_page, "running", qtbot)
    assert "recovered: memory 2.2 GiB expected" in run_page.facts.whole()


def test_that_the_recipe_being_written_shows_what_it_will_need(
    desk: Desk, theme: Theme, qtbot: QtBot
) -> None:
    model, estimates = desk.application.new_run, desk.application.estimates
    page = NewRunPage(desk.application, desk.settings, theme, desk.dialogs)
    _shown(page, qtbot)
    desk.application.duplicate(desk.runs["done"])
    qtbot.waitUntil(lambda: bool(estimates.lines()), timeout=20_000)
    page.refresh_now()
    assert page.estimate.text.whole() == "recovered: 4.0 GiB at most, about 2 m"
    page.estimate.more.click()
    table = page.sides.needs.table
    assert page.sides.stack.currentWidget() is page.sides.needs
    shown = [table.item(row, 0).text().strip() for row in range(table.rowCount())]
    assert "activations kept for backward" in shown
    assert "The run as a whole: 4.0 GiB at most" in page.sides.needs.notes.text()
    assert not page.sides.needs.remedies.isVisible()
    model.set("name", "Huge one")
    qtbot.waitUntil(lambda: estimates.verdict == "too_large", timeout=20_000)
    page.refresh_now()
    assert "recovered will not fit: 64.0 GiB of 16.0 GiB." in page.estimate.text.whole()
    assert page.sides.needs.remedies.isVisible()
    page.hide()
    model.set("name", "Plain")
    qtbot.wait(900)
    assert estimates.verdict == "too_large"  # nobody looks
    page.show()
    qtbot.waitUntil(lambda: estimates.verdict == "fits", timeout=20_000)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A page "slow" whose module is imported when the event is set."""
    gate = threading.Event()
    monkeypatch.setattr(threading, "slow_gate", gate, raising=False)
    text = "import threading\nthreading.slow_gate.wait()\nclass SlowPage:\n    pass\n"
    (tmp_path / "slow_page_of_a_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    place = pages.Place("slow", "Slow", "rows", "slow_page_of_a_test", "SlowPage")
    monkeypatch.setattr(pages, "LISTED", (place,))
    monkeypatch.setitem(pages.BY_KEY, "slow", place)
    yield gate
    gate.set()
    sys.modules.pop("slow_page_of_a_test", None)


def test_that_a_page_that_is_still_imported_is_waited_for_beside_the_event_loop(
    slow: threading.Event, qtbot: QtBot
) -> None:
    imports, done = pages.PageImports(), list[str]()
    assert not imports.has("slow", lambda: done.append("first"))
    assert not imports.has("slow", lambda: done.append("newest"))
    qtbot.wait(20)
    assert done == []
    slow.set()
    qtbot.waitUntil(lambda: done == ["newest"])
    assert imports.has("slow", lambda: done.append("again"))
    assert imports.has("runs", lambda: done.append("early"))
    qtbot.wait(0)
    assert done == ["newest"]


def test_that_a_wish_for_a_page_ends_with_another_page_and_with_the_window(
    slow: threading.Event, qtbot: QtBot
) -> None:
    imports, done = pages.PageImports(), list[str]()
    assert not imports.has("slow", lambda: done.append("slow"))
    assert imports.has("settings", lambda: done.append("settings"))
    slow.set()
    imports.close()
    qtbot.wait(20)
    assert done == []
    other = pages.PageImports()
    slow.clear()
    sys.modules.pop("slow_page_of_a_test")
    assert not other.has("slow", lambda: done.append("slow"))
    slow.set()
    other.close()
    qtbot.wait(20)
    assert done == []


def test_that_a_run_opened_before_its_page_is_imported_is_shown_when_it_is(
    sample: Sample, theme: Theme, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    wishes: list[Callable[[], None]] = []
    with shell_on(sample, theme, qtbot) as shell:
        window = shell.window
        with monkeypatch.context() as patch:
            patch.setattr(pages.PageImports, "has", lambda _, key, then: wishes.append(then))
            window.open_run(shell.runs["done"])
            window.show_page("compare")
        assert window.page == "runs"
        assert not window.findChildren(RunPage)
        wishes[1]()
        qtbot.waitUntil(lambda: window.page == "compare", timeout=10_000)
        wishes[0]()
        qtbot.waitUntil(lambda: window.page == "run", timeout=10_000)
        assert window.run_page.run is not None
        assert window.run_page.run.uid == shell.runs["done"]
