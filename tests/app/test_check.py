"""The check of demonstrations beside the form: queued, followed, cancelled, and its verdict."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.viewmodels.check import NOTHING_MEASURED, TAG, CheckViewModel
from app.viewmodels.new_run import NewRunViewModel
from app.viewmodels.queueing import Queued
from app.viewmodels.run import RunViewModel
from app.views.check_panel import CheckPanel
from app.views.dialogs import Dialogs
from app.views.new_run_page import NewRunPage
from app.widgets.theme import Theme
from core.events import Event, RunStatus
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.rows import LoggedEvent
from core.store.store import Store
from tests.app.sample_runs import checked
from tests.app.test_new_run_page import RECIPE
from tests.app.test_viewmodels_run import row

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")
WAIT_MS = 240_000


class Bench:
    """A check whose run the test speaks for."""

    def __init__(self) -> None:
        self.editor = NewRunViewModel(lambda recipe: None)
        self.editor.load_recipe(RECIPE)
        self.queued: list[tuple[Recipe, Sequence[str]]] = []
        self.stopped: list[tuple[str, bool]] = []
        self.run = RunViewModel("u")
        self.model = CheckViewModel(
            self.editor, self.queue, lambda uid: self.run, lambda *it: self.stopped.append(it)
        )

    def queue(self, recipes: Sequence[Recipe], tags: Sequence[str], done: Queued) -> None:
        self.queued += [(recipe, tags) for recipe in recipes]
        self.tell("queued")
        done(("u",))

    def tell(self, status: RunStatus, *events: Event) -> None:
        text = self.queued[-1][0].model_dump_json(by_alias=True)
        self.run.describe(row(status, recipe_json=text))
        self.run.apply([LoggedEvent(place, 1.0 + place, it) for place, it in enumerate(events)])


@pytest.fixture
def bench(qtbot: QtBot) -> Bench:
    return Bench()


@pytest.fixture
def panel(bench: Bench, theme: Theme, qtbot: QtBot) -> CheckPanel:
    made = CheckPanel(bench.model, theme)
    bench.model.changed.connect(made.refresh)
    qtbot.addWidget(made)
    made.resize(460, 500)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_that_the_check_is_one_short_tagged_run_of_the_chosen_stage(
    bench: Bench, panel: CheckPanel, qtbot: QtBot
) -> None:
    bench.editor.select("1")
    panel.start.setFocus()
    qtbot.keyClick(panel.start, Qt.Key.Key_Return)
    bench.model.start()  # one is going on already
    ((recipe, tags),) = bench.queued
    assert (tags, recipe.name) == ((TAG,), "Demonstrations of Two roads")
    assert [spec.id for spec in recipe.stages] == ["small", "back"]
    assert not panel.start.isVisible()
    assert panel.bar.isVisible()
    assert "waits" in panel.said.text()


def test_that_the_check_can_be_cancelled_and_discards_what_it_made(
    bench: Bench, panel: CheckPanel, qtbot: QtBot
) -> None:
    bench.model.start()
    qtbot.mouseClick(panel.cancel, Qt.MouseButton.LeftButton)
    assert bench.stopped == [("u", False)]
    bench.tell("stopped")
    assert "stopped" in panel.said.text()
    assert panel.start.isVisible()


@pytest.mark.parametrize(("taught", "answer"), [(1.0, "Yes."), (0.48, "No.")])
def test_that_the_verdict_comes_with_its_numbers_and_where_they_are_from(
    bench: Bench, panel: CheckPanel, taught: float, answer: str
) -> None:
    bench.model.start()
    recipe = bench.queued[0][0]
    bench.tell("running", *checked(recipe, taught=taught))
    assert panel.verdict.text() == f"Does the demonstration help? {answer}"
    assert "student 45 %" in panel.facts.text()
    assert "32 held-out items" in panel.facts.text()
    assert "held-out training items" in panel.source.text()
    assert panel.advice.isVisible() == (answer == "No.")


def test_that_a_verdict_on_an_older_recipe_says_so(bench: Bench, panel: CheckPanel) -> None:
    bench.model.start()
    bench.tell("done", *checked(bench.queued[0][0], taught=1.0))
    bench.editor.set("name", "Renamed")
    assert not bench.model.is_stale
    bench.editor.set("stages.1.temperature", 0.5)
    assert bench.model.is_stale
    assert panel.stale.isVisible()
    assert panel.start.isEnabled()  # to ask again


def test_that_a_check_that_measured_nothing_says_why(bench: Bench, panel: CheckPanel) -> None:
    bench.model.start()
    bench.tell("done")
    assert panel.said.text() == NOTHING_MEASURED


def test_that_a_recipe_that_cannot_be_checked_says_why(bench: Bench, panel: CheckPanel) -> None:
    bench.editor.remove_stage("back")
    assert not panel.start.isEnabled()
    assert "Add an sdft stage" in panel.said.text()
    bench.editor.set("seed", -1)
    assert "problems" in panel.said.text()


def _workers() -> list[psutil.Process]:
    """Worker processes that are not gone yet."""
    return [
        it
        for it in psutil.Process().children()
        if it.is_running()
        and it.status() != psutil.STATUS_ZOMBIE
        and "core.engine.worker" in it.cmdline()
    ]


@pytest.mark.slow
def test_that_the_check_really_runs_on_the_small_model(
    home: Home, theme: Theme, qtbot: QtBot, qapp: QApplication
) -> None:
    application = Application(home, Settings())
    application.begin()
    page = NewRunPage(application, Settings(), theme, Dialogs())
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    qtbot.waitExposed(page)
    text = RECIPE.replace("max_steps: 4", "max_steps: 4, method: full, max_completion_length: 24")
    application.new_run.load_recipe(text.replace("limit: 100", "limit: 90"))
    qtbot.waitUntil(lambda: application.check.can_start, timeout=WAIT_MS)
    page.refresh_now()
    qtbot.mouseClick(page.head.check, Qt.MouseButton.LeftButton)
    panel = page.sides.check
    assert page.sides.stack.currentWidget() is panel
    qtbot.waitUntil(lambda: application.check.result is not None, timeout=WAIT_MS)
    qtbot.waitUntil(lambda: not application.check.busy, timeout=WAIT_MS)
    page.refresh_now()
    assert panel.verdict.isVisible()
    assert "9 held-out items" in panel.facts.text()
    with Store.open(home.database, read_only=True) as store:
        (found,) = store.runs()
    assert (found.status, list(found.tags)) == ("done", [TAG])
    qtbot.waitUntil(lambda: not _workers(), timeout=WAIT_MS)
    page.hide()
    application.close()
    application.deleteLater()
