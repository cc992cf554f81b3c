from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.dialogs import Dialogs
from app.views.main_window import MainWindow
from app.views.new_run_page import NewRunPage
from app.views.runs_page import RunsPage
from app.widgets.controls import Card
from app.widgets.theme import Theme
from core.store.home import Home
from tests.app.conftest import Sample

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints")


class Answers(Dialogs):
    """Answers instead of a person, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.agree = True
        self.leaving = "keep"

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        self.asked.append(f"{title} {text} {accept}")
        return self.agree

    def leave(self, parent: QWidget, running: int) -> str:
        self.asked.append(f"leave {running}")
        return self.leaving

    def leave_project(self, parent: QWidget, running: int) -> str:
        self.asked.append(f"leave the project {running}")
        return self.leaving

    def ask_text(self, parent: QWidget, title: str, label: str, text: str) -> str | None:
        self.asked.append(f"{title} {text}")
        return "another name"


def no_worker(*_: object) -> None:
    """These tests start no process."""
    raise OSError("no worker in this test")


class Opened:
    """A window on a store of hand-made runs, and what answers its questions."""

    def __init__(self, home: Home, theme: Theme, runs: dict[str, str]) -> None:
        self.home = home
        self.runs = runs
        self.answers = Answers()
        self.settings = Settings(path=home.settings)
        self.application = Application(home, self.settings, spawn=no_worker)
        self.window = MainWindow(self.application, self.settings, theme, self.answers)


@pytest.fixture
def opened(sample: Sample, theme: Theme, qtbot: QtBot) -> Iterator[Opened]:
    made = Opened(sample.home, theme, sample.runs)
    made.window.show()
    qtbot.waitExposed(made.window)
    qtbot.waitUntil(lambda: made.application.runs.rowCount() == len(sample.runs), timeout=10_000)
    yield made
    made.answers.leaving = "keep"
    made.window.close()
    made.window.deleteLater()
    made.application.deleteLater()


def test_that_the_window_is_painted_without_pyqtgraph_and_torch() -> None:
    code = (
        "import sys, app.views.main_window, app.viewmodels.application, app.widgets.theme\n"
        "print([name for name in ('pyqtgraph', 'qtawesome', 'qtpy', 'torch', 'transformers')"
        " if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_that_ctrl_and_a_number_reach_every_page(opened: Opened, qtbot: QtBot) -> None:
    window = opened.window
    for key, page in (("2", "new"), ("3", "run"), ("4", "compare"), ("1", "runs")):
        qtbot.keyClick(window, getattr(Qt.Key, f"Key_{key}"), Qt.KeyboardModifier.ControlModifier)
        assert window.page == page
    assert opened.settings.page == "runs"


def test_that_every_control_of_every_page_has_a_name(opened: Opened, qtbot: QtBot) -> None:
    window = opened.window
    window.open_run(opened.runs["done"])
    window.compare([opened.runs["done"], opened.runs["pruned"]])
    window.show_page("new")
    qtbot.wait(300)
    nameless = [
        f"{type(it).__name__} in {type(it.parent()).__name__}"
        for kind in (QAbstractButton, QLineEdit, QComboBox)
        for it in window.findChildren(kind)
        if not it.accessibleName() and not it.objectName().startswith("qt_") and _ours(it)
    ]
    assert nameless == []


def test_that_tab_goes_from_card_to_card_as_one_reads(opened: Opened, qtbot: QtBot) -> None:
    window = opened.window
    window.resize(1280, 800)
    window.open_run(opened.runs["done"])
    qtbot.waitUntil(lambda: window.run_page.completions.view.isVisible(), timeout=10_000)
    qtbot.wait(300)
    assert _cards_by_tab(window.run_page) == [
        "Divergence to teacher",
        "Accuracy: Tooluse",
        "CKA",
        "Completions",
        "Scores, guards and log",
    ]
    window.compare([opened.runs["done"], opened.runs["pruned"]])
    qtbot.wait(300)
    cards = _cards_by_tab(window.compare_page)
    assert cards.index("Accuracy") < cards.index("CKA by layer")
    assert cards[-1] == "What differs in the recipes"


def _cards_by_tab(page: QWidget) -> list[str]:
    """Names of the cards in the order in which Tab passes through them."""
    passed: list[str] = []
    widget = page.nextInFocusChain()
    while widget is not page:
        card = widget.parentWidget()
        while card is not None and not isinstance(card, Card):
            card = card.parentWidget()
        reached = widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        if card is not None and page.isAncestorOf(card) and reached:
            name = card.accessibleName()
            if not passed or passed[-1] != name:
                passed.append(name)
        widget = widget.nextInFocusChain()
    return passed


def _ours(widget: QWidget) -> bool:
    """Whether the widget is not a part that Qt or pyqtgraph put into one of its own."""
    return type(widget).__module__.startswith("app.") or type(
        widget.parent()
    ).__module__.startswith("app.")


def test_that_nothing_sticks_out_at_the_smallest_size_of_the_pictures(
    opened: Opened, qtbot: QtBot
) -> None:
    window = opened.window
    window.resize(1280, 800)
    for show in (
        lambda: window.show_page("runs"),
        lambda: window.show_page("new"),
        lambda: window.open_run(opened.runs["done"]),
        lambda: window.compare([opened.runs["done"], opened.runs["pruned"]]),
    ):
        show()
        qtbot.wait(300)
        assert (window.width(), window.height()) == (1280, 800)
        assert window.minimumSizeHint().width() <= 1280
        assert window.minimumSizeHint().height() <= 800


def test_that_closing_with_a_run_in_progress_asks_and_can_be_cancelled(
    opened: Opened, qtbot: QtBot
) -> None:
    qtbot.waitUntil(lambda: bool(opened.application.active()), timeout=10_000)
    opened.answers.leaving = "cancel"
    assert not opened.window.close()
    assert opened.window.isVisible()
    assert opened.answers.asked == ["leave 1"]


def test_that_closing_while_models_are_at_work_says_what_is_left_of_them(
    opened: Opened, qtbot: QtBot, tmp_path: Path
) -> None:
    jobs = opened.application.jobs
    key = jobs.export("0" * 64, str(tmp_path / "out"), "merged", "lora")
    opened.answers.agree = False
    assert not opened.window.close()
    assert opened.window.isVisible()
    (asked,) = opened.answers.asked
    assert "Export lora, merged: half-written files are removed." in asked
    jobs.cancel(key)
    qtbot.waitUntil(lambda: jobs.working == 0, timeout=10_000)
    assert jobs.loss == ""


def test_that_closing_keeps_geometry_and_columns(opened: Opened) -> None:
    opened.window.resize(1300, 900)
    opened.window.close()
    kept = Settings.load(opened.home.settings)
    assert kept.geometry
    assert kept.columns["runs"]


def test_that_messages_stand_above_the_page_until_dismissed(opened: Opened) -> None:
    window = opened.window
    assert not window.notice.isVisible()
    opened.application.message.emit("error", "The disk is full.", "Free some space.")
    assert window.notice.isVisible()
    assert window.notice.accessibleName() == "The disk is full."


def test_that_what_was_only_told_goes_with_the_page_and_an_offer_stays(opened: Opened) -> None:
    window = opened.window
    window.show_page("runs")
    window.notice.tell("info", "Done.")
    window.show_page("new")
    assert window.notice.isHidden()
    window.notice.tell("info", "2 runs were deleted.")
    window.notice.offer("Undo", lambda: None)
    window.show_page("runs")
    assert window.notice.isVisible()
    window.notice.tell("error", "It failed.")
    window.show_page("new")
    assert window.notice.isVisible()


def test_that_the_keys_of_a_page_work_as_soon_as_it_is_shown(opened: Opened, qtbot: QtBot) -> None:
    window = opened.window
    window.activateWindow()
    control = Qt.KeyboardModifier.ControlModifier
    qtbot.keyClick(window, Qt.Key.Key_2, control)
    page = cast(NewRunPage, window.page_at("new"))
    qtbot.waitUntil(lambda: QApplication.focusWidget() is page)
    qtbot.keyClick(page, Qt.Key.Key_F, control)
    qtbot.waitUntil(page.card.search.hasFocus)


def test_that_keys_move_in_the_list_as_soon_as_runs_are_shown(opened: Opened, qtbot: QtBot) -> None:
    window = opened.window
    window.show_page("new")
    window.show_page("runs")
    window.activateWindow()
    table = cast(RunsPage, window.page_at("runs")).table
    qtbot.waitUntil(lambda: QApplication.focusWidget() is table)


def test_that_the_queue_opens_its_run(opened: Opened, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: bool(opened.application.active()), timeout=10_000)
    opened.window.rail.run_chosen.emit(opened.runs["running"])
    assert opened.window.page == "run"
    shown = opened.window.run_page.run
    assert shown is not None
    assert shown.uid == opened.runs["running"]


def test_that_pressing_the_theme_goes_through_all_three(opened: Opened, theme: Theme) -> None:
    button = next(
        it
        for it in opened.window.findChildren(QAbstractButton)
        if it.accessibleName().startswith("Theme")
    )
    seen = []
    for _ in range(3):
        button.click()
        seen.append(theme.choice)
        assert opened.settings.theme == theme.choice
        assert button.accessibleName() == f"Theme: {theme.choice}"
    assert sorted(seen) == ["dark", "light", "system"]
