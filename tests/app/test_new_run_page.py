"""The New run page as a person uses it, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QComboBox, QFileDialog, QLineEdit, QMenu, QWidget
from pytestqt.qtbot import QtBot

from app.settings import Settings
from app.viewmodels import presets, sweep
from app.viewmodels.application import Application
from app.viewmodels.new_run import NewRunViewModel
from app.views.dialogs import Dialogs
from app.views.field_chooser import FieldChooser
from app.views.new_run_page import NewRunPage
from app.widgets.controls import Button
from app.widgets.editor import COMMIT_MS
from app.widgets.recipe_strip import RecipeCard
from app.widgets.theme import Theme
from core.errors import UserError
from core.recipe.spec import Recipe
from core.store.home import Home
from core.store.rows import RunRow
from core.store.store import Store

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints|raise\\(\\)|grabbing the keyboard")

RECIPE = """\
schema: 1
name: Two roads
base: {name: rekindle-1m}
seed: 1
datasets:
  tool: {demo: tooluse, config: known-foreign, split: train, limit: 100}
stages:
  - {id: small, kind: prune, ratio: 0.4, round_to: 1}
  - {id: back, kind: sdft, dataset: tool, max_steps: 4}
"""
WAIT_MS = 10_000


@dataclass
class Answers(Dialogs):
    """Answers every question the same way and remembers them."""

    agree: bool = True
    asked: list[str] = field(default_factory=list)

    def confirm(self, parent: QWidget, title: str, text: str, accept: str) -> bool:
        self.asked.append(accept)
        return self.agree


@dataclass
class Bench:
    """A page over an application that starts no worker."""

    page: NewRunPage
    application: Application
    dialogs: Answers
    home: Home
    qtbot: QtBot

    @property
    def model(self) -> NewRunViewModel:
        return self.application.new_run

    def ids(self) -> list[str]:
        return [card.id for card in self.model.cards()]

    def sources(self) -> dict[str, str | None]:
        return {card.id: card.source for card in self.model.cards()}

    def card(self, place: int) -> RecipeCard:
        self.page.refresh_now()
        found = self.page.strip.cards[place]
        assert isinstance(found, RecipeCard)
        return found

    def press(self, place: int, key: Qt.Key, held: Qt.KeyboardModifier | None = None) -> None:
        card = self.card(place)
        card.setFocus()
        self.qtbot.keyClick(card, key, held or Qt.KeyboardModifier.NoModifier)
        self.page.refresh_now()

    def keys(self, key: Qt.Key, held: Qt.KeyboardModifier) -> None:
        """Keys of the page, pressed on a card."""
        self.press(0, key, held)

    def menu(self) -> QMenu:
        self.qtbot.waitUntil(lambda: QApplication.activePopupWidget() is not None, timeout=WAIT_MS)
        found = QApplication.activePopupWidget()
        assert isinstance(found, QMenu)
        return found

    def chooser(self) -> FieldChooser:
        self.until(lambda: QApplication.activePopupWidget() is not None)
        found = QApplication.activePopupWidget()
        assert isinstance(found, FieldChooser)
        return found

    def pick(self, words: str) -> None:
        """Choose an entry of the open menu."""
        menu = self.menu()
        action = next(it for it in menu.actions() if it.text().startswith(words))
        menu.setActiveAction(action)
        self.qtbot.keyClick(menu, Qt.Key.Key_Return)
        self.qtbot.waitUntil(lambda: QApplication.activePopupWidget() is None, timeout=WAIT_MS)
        self.page.refresh_now()

    def type(self, path: str, text: str) -> None:
        """Type into a field, and leave it."""
        control = self.page.card.form.editor(path).control()
        assert isinstance(control, QLineEdit)
        control.setFocus()
        control.selectAll()
        self.qtbot.keyClicks(control, text)
        self.qtbot.keyClick(control, Qt.Key.Key_Return)
        self.page.refresh_now()

    def narrow(self, width: int) -> None:
        """As in a window, which may be narrower than its page wants."""
        self.page.setMinimumSize(1, 1)
        self.page.resize(width, 600)
        self.until(lambda: self.page.width() == width)

    def type_sweep_name(self, name: str) -> None:
        line = self.page.sides.sweep.name
        line.setFocus()
        line.selectAll()
        self.qtbot.keyClicks(line, name)
        self.qtbot.keyClick(line, Qt.Key.Key_Return)

    def choose(self, path: str, key: str) -> None:
        """Choose in a combo box, by the keyboard."""
        combo = self.page.card.form.editor(path).control()
        assert isinstance(combo, QComboBox)
        wanted = combo.findText(key, Qt.MatchFlag.MatchStartsWith)
        assert wanted >= 0, [combo.itemText(row) for row in range(combo.count())]
        combo.setFocus()
        while combo.currentIndex() != wanted:
            before = combo.currentIndex()
            step = Qt.Key.Key_Down if wanted > before else Qt.Key.Key_Up
            self.qtbot.keyClick(combo, step)
            assert combo.currentIndex() != before
        self.page.refresh_now()

    def click(self, widget: QWidget) -> None:
        self.qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)
        self.page.refresh_now()

    def rows(self) -> list[RunRow]:
        with Store.open(self.home.database, read_only=True) as store:
            return store.runs()

    def until(self, condition: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(condition, timeout=WAIT_MS)
        self.page.refresh_now()


def _no_worker(*_: object) -> None:
    raise OSError("no worker in this test")


@pytest.fixture
def bench(home: Home, theme: Theme, qtbot: QtBot) -> Iterator[Bench]:
    settings, dialogs = Settings(), Answers()
    application = Application(home, settings, spawn=_no_worker)
    application.begin()
    page = NewRunPage(application, settings, theme, dialogs)
    qtbot.addWidget(page)
    page.resize(1104, 736)
    page.show()
    qtbot.waitExposed(page)
    application.new_run.load_recipe(RECIPE)
    page.refresh_now()
    yield Bench(page, application, dialogs, home, qtbot)
    page.hide()
    application.close()
    application.deleteLater()


CTRL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


def test_that_a_recipe_is_built_from_empty_by_the_form_alone(bench: Bench) -> None:
    page, model = bench.page, bench.model
    row = page.head.presets.findData("empty")
    page.head.presets.setCurrentIndex(row)
    page.head.presets.activated.emit(row)
    page.refresh_now()
    assert bench.ids() == ["base", "quantized"]
    bench.choose("base.source", "Hugging Face")
    bench.type("base.hub", "owner/model")
    assert "base: {hub: owner/model}" in model.text
    bench.choose("base.source", "ships")
    page.card.part.choose("datasets")
    page.refresh_now()
    bench.click(page.card.more)
    bench.pick("Dataset")
    bench.choose("datasets.data.source", "generated")
    assert "demo: tooluse" in model.text
    bench.press(1, Qt.Key.Key_Space)
    bench.press(1, Qt.Key.Key_Insert)
    bench.pick("sdft")
    assert bench.ids() == ["base", "quantized", "recovered"]
    page.card.part.choose("datasets")
    page.refresh_now()
    bench.click(page.card.more)
    bench.pick("Task")
    assert model.selected == "measure"
    assert "tasks: [task]" in model.text
    assert model.problems() == ()
    bench.until(lambda: page.start.isEnabled())


def test_that_arrows_walk_along_the_cards_and_show_their_forms(bench: Bench) -> None:
    bench.press(0, Qt.Key.Key_Right)
    assert bench.model.selected == "0"
    assert bench.card(1).hasFocus()
    bench.press(1, Qt.Key.Key_End)
    assert bench.model.selected == "1"
    bench.press(2, Qt.Key.Key_Home)
    assert bench.model.selected == "base"


def test_that_a_stage_is_moved_by_keys_and_the_focus_goes_with_it(bench: Bench) -> None:
    bench.press(2, Qt.Key.Key_Left, CTRL)
    assert bench.ids() == ["base", "back", "small"]
    assert bench.card(1).hasFocus()
    bench.press(1, Qt.Key.Key_Right, ALT)
    assert bench.ids() == ["base", "small", "back"]


def test_that_a_stage_is_duplicated_as_a_branch_and_followed_by_the_same(bench: Bench) -> None:
    bench.press(1, Qt.Key.Key_D, CTRL)
    assert bench.ids() == ["base", "small", "small_2", "back"]
    assert bench.sources() == {"base": None, "small": "base", "small_2": "base", "back": "small"}
    links = bench.page.strip.branches()
    assert [(a.card.id, b.card.id) for a, b in links if a.card and b.card] == [
        ("base", "small_2"),
        ("small", "back"),
    ]
    assert bench.page.strip.below > 0
    assert "from base" in bench.card(2).accessibleName()


def test_that_a_branch_reads_the_card_it_was_made_from(bench: Bench) -> None:
    bench.press(1, Qt.Key.Key_B)
    bench.pick("sft")
    assert bench.ids() == ["base", "small", "back", "tuned"]
    assert bench.sources()["tuned"] == "small"


def test_that_a_removed_stage_comes_back_by_undo_and_goes_by_redo(bench: Bench) -> None:
    text = bench.model.text
    bench.press(1, Qt.Key.Key_Delete)
    assert bench.ids() == ["base", "back"]
    bench.keys(Qt.Key.Key_Z, CTRL)
    assert (bench.model.text, bench.ids()) == (text, ["base", "small", "back"])
    bench.keys(Qt.Key.Key_Z, CTRL | SHIFT)
    assert bench.ids() == ["base", "back"]
    bench.click(bench.page.head.undo)
    assert bench.model.text == text


def test_that_a_preset_loaded_by_mistake_is_undone(bench: Bench) -> None:
    text = bench.model.text
    bench.model.load_preset(str(presets.QUICKSTART))
    bench.page.refresh_now()
    assert bench.page.head.presets.key() == str(presets.QUICKSTART)
    bench.click(bench.page.head.undo)
    assert bench.model.text == text
    assert bench.page.head.presets.key() == ""


def test_that_a_card_is_dragged_to_another_place_and_the_base_stays_first(bench: Bench) -> None:
    def drag(place: int, to: int) -> None:
        card, target = bench.card(place), bench.card(to)
        far = card.mapFromGlobal(target.mapToGlobal(QPoint(4, 10)))
        bench.qtbot.mousePress(card, Qt.MouseButton.LeftButton, pos=QPoint(20, 10))
        bench.qtbot.mouseMove(card, far)
        bench.qtbot.mouseRelease(card, Qt.MouseButton.LeftButton, pos=far)
        bench.page.refresh_now()

    drag(2, 1)
    assert bench.ids() == ["base", "back", "small"]
    drag(2, 0)
    assert bench.ids() == ["base", "small", "back"]
    drag(0, 2)
    assert bench.ids() == ["base", "small", "back"]


def test_that_the_command_for_a_sweep_leads_into_its_panel(bench: Bench, qtbot: QtBot) -> None:
    bench.page.activateWindow()
    actions = {action.title: action for action in bench.page.page_actions()}
    actions["Sweep over a field"].act()
    panel = bench.page.sides.sweep
    qtbot.waitUntil(panel.add.hasFocus)
    qtbot.keyClick(panel.add, Qt.Key.Key_Space)
    chooser = bench.chooser()
    assert chooser.line.hasFocus()
    qtbot.keyClicks(chooser.line, "nowhere")
    assert chooser.nothing.isVisible()
    qtbot.keyClick(chooser.line, Qt.Key.Key_Return)  # nothing is chosen
    chooser.line.selectAll()
    qtbot.keyClicks(chooser.line, "seed")
    assert [chooser.list.item(row).text() for row in range(chooser.list.count())][:2] == [
        "Seed",
        "back: Seed",
    ]
    qtbot.keyClick(chooser.line, Qt.Key.Key_Down)
    assert chooser.line.accessibleDescription() == "back: Seed"
    qtbot.keyClick(chooser.line, Qt.Key.Key_Up)
    qtbot.keyClick(chooser.line, Qt.Key.Key_Return)
    line = panel.axis("seed").lines["text"]
    qtbot.waitUntil(line.hasFocus)
    assert line.selectedText() == line.text()
    passed, widget = [], panel.name.nextInFocusChain()
    while widget is not panel.start:
        passed.append(widget)
        widget = widget.nextInFocusChain()
    assert line in passed  # Tab goes on to the button that queues the runs


def test_that_a_menu_of_stages_says_behind_which_it_adds(bench: Bench) -> None:
    first, *kinds = bench.page.menus.adding(1).actions()
    assert (first.text(), first.isEnabled()) == ("Add after small", False)
    assert not any(kind.isSeparator() for kind in kinds)


def test_that_the_menu_of_a_card_does_what_the_keys_do(bench: Bench) -> None:
    bench.page.menus.open_card(2, bench.page.mapToGlobal(QPoint(300, 100)))
    entries = [action.text() for action in bench.menu().actions()]
    assert entries[:2] == ["Add after back", "Branch from back"]
    bench.pick("Duplicate")
    assert bench.ids() == ["base", "small", "back", "back_2"]
    bench.page.menus.open_card(3, bench.page.mapToGlobal(QPoint(300, 100)))
    bench.pick("Remove")
    assert bench.ids() == ["base", "small", "back"]


def test_that_three_problems_are_mended_where_they_stand(bench: Bench) -> None:
    form = bench.page.card.form
    bench.press(2, Qt.Key.Key_Space)
    bench.type("stages.1.max_steps", "0")
    assert "at least 1" in form.note("stages.1.max_steps")
    assert form.row("stages.1.max_steps").way_out.text().strip() == "Use 1"
    bench.click(form.row("stages.1.max_steps").way_out)
    assert "max_steps: 1" in bench.model.text
    bench.model.set("stages.1.teacher", "smal")
    bench.page.refresh_now()
    way_out = form.row("stages.1.teacher").way_out
    assert way_out.text().strip() == "Use small"
    way_out.setFocus()
    bench.qtbot.keyClick(way_out, Qt.Key.Key_Return)
    assert "teacher: small" in bench.model.text
    bench.model.remove_dataset("tool")
    bench.page.refresh_now()
    bench.page.sides.choose("problems")
    problems = bench.page.sides.problems
    assert problems.list.count() == 1
    bench.keys(Qt.Key.Key_F8, Qt.KeyboardModifier.NoModifier)
    assert bench.model.selected == "1"
    bench.click(problems.fix)
    assert not [it for it in bench.model.problems() if it.path == "stages.1.dataset"]


def test_that_a_field_says_its_limits_and_goes_back_to_its_default(bench: Bench) -> None:
    form = bench.page.card.form
    bench.press(2, Qt.Key.Key_Space)
    row = form.row("stages.1.learning_rate")
    bench.until(row.editor.isVisible)
    assert not row.reset.isVisible()
    assert "above 0 to 1" in row.note.text().casefold()
    bench.type("stages.1.learning_rate", "3e-4")
    assert "default 0.0001" in row.note.text()
    assert row.reset.isVisible()
    bench.click(row.reset)
    assert "learning_rate" not in bench.model.text
    assert "Paper: base, or the expert." in form.note("stages.1.teacher")


def test_that_a_field_goes_back_to_its_default_while_it_is_being_typed_in(bench: Bench) -> None:
    path = "stages.1.learning_rate"
    bench.press(2, Qt.Key.Key_Space)
    row = bench.page.card.form.row(path)
    line = row.editor.control()
    assert isinstance(line, QLineEdit)
    bench.type(path, "0.5")
    bench.until(row.reset.isVisible)
    for text in ("1", "2"):
        line.setFocus()
        line.selectAll()
        bench.qtbot.keyClicks(line, text)
        bench.qtbot.mouseClick(row.reset, Qt.MouseButton.LeftButton)  # the focus stays in the line
        bench.qtbot.wait(2 * COMMIT_MS)
        bench.page.refresh_now()
        assert (line.text(), "learning_rate" in bench.model.text) == ("", False)
        bench.type(path, "0.5")
        bench.until(row.reset.isVisible)


def test_that_the_way_out_of_a_problem_is_shown_where_it_was_typed(bench: Bench) -> None:
    path = "stages.1.num_generations"
    bench.press(2, Qt.Key.Key_Space)
    form = bench.page.card.form
    form.focus_on(path)
    line = form.editor(path).control()
    assert isinstance(line, QLineEdit)
    bench.qtbot.keyClicks(line, "0")
    bench.until(form.row(path).way_out.isVisible)
    bench.qtbot.mouseClick(form.row(path).way_out, Qt.MouseButton.LeftButton)
    bench.until(lambda: not bench.model.problems())
    assert line.text() != "0"


def test_that_what_was_typed_before_a_preset_was_loaded_comes_back_by_undo(bench: Bench) -> None:
    bench.press(2, Qt.Key.Key_Space)
    line = bench.page.card.form.editor("stages.1.max_steps").control()
    assert isinstance(line, QLineEdit)
    line.setFocus()
    line.selectAll()
    bench.qtbot.keyClicks(line, "7")
    row = bench.page.head.presets.findData("empty")
    bench.page.head.presets.activated.emit(row)
    assert bench.ids() == ["base", "quantized"]
    bench.model.undo()
    assert "max_steps: 7" in bench.model.text


def test_that_a_setting_is_found_by_its_name_even_a_folded_one(bench: Bench) -> None:
    form = bench.page.card.form
    bench.press(2, Qt.Key.Key_Space)
    bench.until(form.row("stages.1.max_steps").editor.isVisible)
    assert not form.row("stages.1.lora_r").editor.isVisible()
    bench.keys(Qt.Key.Key_F, CTRL)
    assert bench.page.card.search.hasFocus()
    bench.qtbot.keyClicks(bench.page.card.search, "lora_r")
    assert form.row("stages.1.lora_r").editor.isVisible()
    assert not form.row("stages.1.max_steps").editor.isVisible()
    bench.qtbot.keyClicks(bench.page.card.search, "nowhere")
    assert form.nothing.isVisible()
    bench.page.card.search.clear()
    assert form.row("stages.1.max_steps").editor.isVisible()


def test_that_an_old_run_is_changed_and_started_by_keys_alone(bench: Bench, qtbot: QtBot) -> None:
    page, model = bench.page, bench.model
    page.activateWindow()
    page.card.search.setText("left over")
    model.reuse(RECIPE, {"Two roads", "Two roads (2)"})
    assert model.name == "Two roads (3)"
    qtbot.waitUntil(page.card.search.hasFocus)
    assert page.card.search.text() == ""
    qtbot.keyClicks(page.card.search, "steps")
    qtbot.keyClick(page.card.search, Qt.Key.Key_Return)
    control = page.card.form.editor("stages.1.max_steps").control()
    qtbot.waitUntil(control.hasFocus)
    qtbot.keyClicks(control, "9")  # in the place of what stood there
    qtbot.keyClick(control, Qt.Key.Key_Return, CTRL)
    bench.until(lambda: len(bench.rows()) == 1)
    made = Recipe.model_validate_json(bench.rows()[0].recipe_json)
    assert (bench.rows()[0].name, made.model_dump()["stages"][1]["max_steps"]) == (model.name, 9)
    bench.keys(Qt.Key.Key_Z, CTRL)
    bench.keys(Qt.Key.Key_Z, CTRL)
    assert model.name == "Two roads"


def test_that_the_search_goes_on_to_the_card_that_has_the_setting(
    bench: Bench, qtbot: QtBot
) -> None:
    card = bench.page.card
    bench.page.activateWindow()
    bench.model.select("1")
    bench.page.refresh_now()
    bench.keys(Qt.Key.Key_F, CTRL)
    qtbot.keyClicks(card.search, "ratio")  # here only of a dataset to replay, which rests
    qtbot.keyClick(card.search, Qt.Key.Key_Return)
    bench.page.refresh_now()
    assert bench.model.selected == "1"
    qtbot.keyClick(card.search, Qt.Key.Key_Escape)
    assert card.search.text() == ""
    qtbot.keyClicks(card.search, "round_to")
    assert card.form.nothing.isVisible()
    qtbot.keyClick(card.search, Qt.Key.Key_Return)
    qtbot.waitUntil(card.form.editor("stages.0.round_to").control().hasFocus)
    assert bench.model.selected == "0"


def test_that_neighbours_are_shown_by_keys_from_within_a_field(bench: Bench) -> None:
    seen = []
    for key in (Qt.Key.Key_PageDown,) * 5 + (Qt.Key.Key_PageUp,) * 2:
        bench.qtbot.keyClick(bench.page.card.search, key, CTRL)
        seen.append(bench.model.selected)
    assert seen == ["0", "1", "datasets", "measure", "base", "measure", "datasets"]


def test_that_no_preset_is_named_while_the_recipe_is_none(bench: Bench) -> None:
    assert bench.page.head.presets.currentIndex() == -1
    bench.model.load_preset(str(presets.QUICKSTART))
    bench.page.refresh_now()
    assert bench.page.head.presets.key() == str(presets.QUICKSTART)
    assert bench.page.head.presets.currentText() == bench.model.name


def test_that_yaml_and_form_are_edited_both_ways(bench: Bench) -> None:
    bench.press(2, Qt.Key.Key_Space)
    bench.type("stages.1.max_steps", "7")
    assert "max_steps: 7" in bench.page.sides.yaml.toPlainText()
    yaml = bench.page.sides.yaml
    yaml.setFocus()
    yaml.setPlainText(yaml.toPlainText().replace("max_steps: 7", "max_steps: 9"))
    bench.until(lambda: "max_steps: 9" in bench.model.text)
    control = bench.page.card.form.editor("stages.1.max_steps").control()
    assert isinstance(control, QLineEdit)
    assert control.text() == "9"
    bench.click(bench.page.head.undo)
    assert "max_steps: 7" in yaml.toPlainText()


def test_that_a_sweep_of_four_queues_four_tagged_runs_with_its_values_in_their_names(
    bench: Bench,
) -> None:
    panel, model = bench.page.sides.sweep, bench.application.sweep
    bench.press(2, Qt.Key.Key_Space)
    bench.page.card.form.sweep_wanted.emit("stages.1.learning_rate")
    model.add("seed")
    bench.page.refresh_now()
    assert bench.page.sides.stack.currentWidget() is panel
    rate, seed = panel.axis("stages.back.learning_rate"), panel.axis("seed")
    for line, text in (
        (rate.lines["start"], "1e-4"),
        (rate.lines["stop"], "1e-3"),
        (rate.lines["count"], "2"),
        (seed.lines["text"], "1, 2"),
    ):
        line.setFocus()
        line.selectAll()
        bench.qtbot.keyClicks(line, text)
        bench.qtbot.keyClick(line, Qt.Key.Key_Return)
    bench.until(lambda: model.can_start and len(model.variants()) == 4)
    assert panel.table.rowCount() == 4
    assert panel.start.text().strip() == "Queue 4 runs"
    bench.page.sides.choose("command")
    bench.page.refresh_now()
    command = bench.page.sides.command.text.toPlainText()
    assert "--sweep stages.back.learning_rate=1e-4..1e-3:log:2 --sweep seed=1,2" in command
    bench.page.sides.choose("sweep")
    bench.click(panel.start)
    bench.click(panel.start)  # twice clicked is once queued
    bench.until(lambda: len(bench.rows()) == 4)
    bench.qtbot.wait(100)
    found = bench.rows()
    assert len(found) == 4
    assert {row.name for row in found} == {
        f"Two roads · lr {rate} · seed {seed}" for rate in ("1e-4", "1e-3") for seed in (1, 2)
    }
    assert {tag for row in found for tag in row.tags} == {"sweep:two-roads"}
    assert sorted(row.seed for row in found) == [1, 1, 2, 2]


def test_that_a_sweep_shows_the_problems_of_each_run_and_starts_none(bench: Bench) -> None:
    model, panel = bench.application.sweep, bench.page.sides.sweep
    model.add("stages.1.max_steps")
    bench.page.sides.choose("sweep")
    model.change("stages.back.max_steps", text="4, 0, -1")
    bench.until(lambda: len(model.variants()) == 3)
    assert model.faulty == 2
    assert not panel.start.isEnabled()
    assert "at least 1" in panel.table.item(1, 2).text()
    model.change("stages.back.max_steps", shape="log", start="0", stop="4")
    bench.until(lambda: bool(model.axes()[0].problem))
    assert "above 0" in panel.axis("stages.back.max_steps").problem.text()


def test_that_pairs_need_equally_many_values(bench: Bench) -> None:
    model = bench.application.sweep
    model.add("stages.1.max_steps")
    model.add("seed")
    model.change("stages.back.max_steps", text="1, 2")
    model.change("seed", text="1, 2, 3")
    bench.page.sides.choose("sweep")
    bench.page.refresh_now()
    bench.page.sides.sweep.combine.choose("zip")
    bench.until(lambda: "equally many" in model.summary)
    model.change("seed", text="5, 6")
    bench.until(lambda: len(model.variants()) == 2)
    assert [it.values for it in model.variants()] == [("1", "5"), ("2", "6")]


def test_that_hundreds_of_runs_are_asked_about_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "MANY", 3)
    bench.dialogs.agree = False
    bench.application.sweep.add("seed")
    bench.application.sweep.change("seed", text="1, 2, 3, 4")
    bench.page.sides.choose("sweep")
    bench.until(lambda: bench.application.sweep.can_start)
    bench.click(bench.page.sides.sweep.start)
    assert bench.dialogs.asked == ["Queue 4 runs"]
    assert bench.rows() == []


def test_that_every_field_of_a_sweep_says_whose_it_is(bench: Bench) -> None:
    bench.model.load_preset(str(presets.QUICKSTART.with_name("forgetting.yaml")))
    choices = dict(bench.application.sweep.choices())
    assert len(set(choices.values())) == len(choices)
    assert choices["measure.every_steps"] == "measure: Measure every"
    assert choices["measure.cka.every_steps"] == "CKA: Measure every"
    assert choices["stages.expert.learning_rate"] == "expert: Learning rate"
    assert choices["seed"] == "Seed"


def test_that_a_value_typed_a_moment_ago_is_queued_by_one_click_and_only_once(
    bench: Bench,
) -> None:
    panel, model = bench.page.sides.sweep, bench.application.sweep
    bench.page.sides.choose("sweep")
    model.add("seed")
    bench.until(lambda: model.can_start)
    line = panel.axis("seed").lines["text"]
    line.setFocus()
    line.selectAll()
    bench.qtbot.keyClicks(line, "5, 6, 7, 8")
    bench.qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    bench.until(lambda: len(bench.rows()) == 4)
    bench.until(lambda: "4 runs queued" in panel.summary.text())
    assert not panel.start.isEnabled()  # a slow double click has nothing to press
    model.start()
    bench.type_sweep_name("again")
    bench.until(panel.start.isEnabled)
    assert len(bench.rows()) == 4


def test_that_a_sweep_is_queued_though_the_page_is_left_at_once(bench: Bench) -> None:
    panel, model = bench.page.sides.sweep, bench.application.sweep
    bench.page.sides.choose("sweep")
    model.add("seed")
    bench.until(lambda: model.can_start)
    bench.qtbot.keyClicks(panel.axis("seed").lines["text"], ", 8")
    bench.qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    assert model.busy
    bench.page.hide()  # a hidden page shows nothing new, and is asked nothing
    bench.until(lambda: len(bench.rows()) > 0)
    bench.page.show()


def test_that_what_is_typed_in_the_form_counts_for_the_sweep(bench: Bench) -> None:
    panel, model = bench.page.sides.sweep, bench.application.sweep
    bench.press(2, Qt.Key.Key_Space)
    bench.page.sides.choose("sweep")
    model.add("seed")
    bench.until(lambda: model.can_start)
    line = bench.page.card.form.editor("stages.1.max_steps").control()
    assert isinstance(line, QLineEdit)
    line.setFocus()
    line.selectAll()
    bench.qtbot.keyClicks(line, "3")
    bench.qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    bench.until(lambda: len(bench.rows()) == 3)
    made = [Recipe.model_validate_json(row.recipe_json) for row in bench.rows()]
    assert {it.model_dump()["stages"][1]["max_steps"] for it in made} == {3}


def test_that_the_time_of_a_sweep_is_that_of_its_own_values(bench: Bench) -> None:
    model, panel = bench.application.sweep, bench.page.sides.sweep
    bench.model.load_recipe(RECIPE.replace("Two roads", "Timed roads"))
    bench.page.sides.choose("sweep")
    model.add("stages.1.max_steps")
    model.change("stages.back.max_steps", text="30, 60, 90")
    model.add("stages.1.learning_rate")  # takes no time of its own
    model.change("stages.back.learning_rate", count="2")
    bench.until(lambda: "one after another" in panel.summary.text())
    assert panel.summary.text() == (
        "6 runs, about 5 m to about 15 m each, about 1 h one after another, less what they share."
    )


def test_that_very_many_different_runs_take_as_long_as_the_recipe_stands(bench: Bench) -> None:
    model, panel = bench.application.sweep, bench.page.sides.sweep
    bench.model.load_recipe(RECIPE.replace("Two roads", "Timed roads"))
    bench.page.sides.choose("sweep")
    model.add("stages.1.max_steps")
    model.change("stages.back.max_steps", shape="linear", start="1", stop="40", count="40")
    bench.until(lambda: "as the recipe stands" in panel.summary.text())


def test_that_what_could_not_be_queued_can_be_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise UserError("The disk is full.", "Delete something.")

    told: list[str] = []
    bench.application.message.connect(lambda level, text, hint: told.append(text))
    sweep_model, check = bench.application.sweep, bench.application.check
    sweep_model.add("seed")
    bench.until(lambda: sweep_model.can_start and check.can_start and bench.page.start.isEnabled())
    monkeypatch.setattr(Store, "queue_run", full)
    for count, start in enumerate((sweep_model.start, check.start, bench.model.start), start=1):
        start()
        bench.until(lambda count=count: told == ["The disk is full."] * count)  # type: ignore[misc]
    assert sweep_model.can_start
    assert check.can_start
    assert bench.model.can_start


def test_that_a_field_that_goes_leaves_the_sweep(bench: Bench) -> None:
    bench.application.sweep.add("stages.1.max_steps")
    assert len(bench.application.sweep.axes()) == 1
    bench.model.remove_stage("back")
    assert bench.application.sweep.axes() == ()


def test_that_a_saved_recipe_has_the_command_that_runs_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my recipe.yaml"
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(file.with_suffix("")), "Recipes")
    )
    bench.page.sides.choose("command")
    bench.page.refresh_now()
    panel = bench.page.sides.command
    assert "Save it" in panel.said.text()
    with bench.qtbot.waitSignal(bench.model.saved, timeout=WAIT_MS):
        bench.keys(Qt.Key.Key_S, CTRL)
    bench.page.refresh_now()
    assert file.read_text(encoding="utf-8") == bench.model.text
    assert panel.text.toPlainText() == f"python -m app run '{file}'"
    assert "exactly" in panel.said.text()
    bench.model.set("stages.1.max_steps", 5)
    bench.page.refresh_now()
    bench.click(bench.page.sides._copy)
    copied = QGuiApplication.clipboard().text()
    assert copied == f"python -m app run '{file}' --set stages.back.max_steps=5"


def test_that_relative_files_are_still_found_after_saving_elsewhere(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    (old / "data.jsonl").write_text("{}\n", encoding="utf-8")
    model = NewRunViewModel(lambda recipe: None)
    text = RECIPE.replace(
        "{demo: tooluse, config: known-foreign, split: train, limit: 100}", "{file: data.jsonl}"
    )
    model.load_recipe(text, str(old))
    model.save(str(new / "r.yaml"))
    assert str(old / "data.jsonl") in (new / "r.yaml").read_text(encoding="utf-8")


def test_that_prompts_are_read_item_by_item_beside_each_other(bench: Bench) -> None:
    bench.press(2, Qt.Key.Key_Space)
    bench.page.sides.choose("teacher")
    panel, preview = bench.page.sides.teacher, bench.model.preview
    bench.until(lambda: bool(preview.prompt.turns))
    first = panel.turns.toPlainText()
    assert not panel.back.isEnabled()
    bench.click(panel.forth)
    bench.until(lambda: "item 2" in preview.prompt.item)
    assert panel.turns.toPlainText() != first
    panel.who.choose("both")
    assert panel.student.isVisible()
    assert panel.turns.isVisible()
    shown = panel.student.toPlainText()
    assert "example for a response" not in shown
    assert "example for a response" in panel.turns.toPlainText()
    panel.back.setFocus()
    bench.qtbot.keyClick(panel.back, Qt.Key.Key_Return)
    bench.until(lambda: "first item" in preview.prompt.item)
    assert panel.turns.toPlainText() == first


def test_that_the_last_item_is_where_paging_ends(bench: Bench) -> None:
    bench.model.set("datasets.tool.limit", 2)
    bench.model.select("1")
    preview = bench.model.preview
    bench.until(lambda: bool(preview.prompt.turns))
    preview.turn(1)
    bench.until(lambda: "item 2" in preview.prompt.item)
    preview.turn(1)
    bench.until(lambda: not preview.can_go_on)
    assert preview.number == 1
    assert "item 2" in preview.prompt.item


def test_that_the_estimate_shows_its_sum_and_a_click_makes_it_smaller(bench: Bench) -> None:
    needs = bench.page.sides.needs
    bench.page.sides.choose("estimate")
    bench.until(lambda: bool(bench.application.estimates.lines()))
    sizes = [needs.table.item(row, 1).text() for row in range(needs.table.rowCount())]
    assert any("GiB" in size for size in sizes)
    needs.remedy_wanted.emit("back", "gradient_checkpointing")
    assert "gradient_checkpointing: true" in bench.model.text
    needs.remedy_wanted.emit("back", "per_device_train_batch_size")
    assert "per_device_train_batch_size: 2" in bench.model.text
    assert "gradient_accumulation_steps: 16" in bench.model.text
    needs.remedy_wanted.emit("back", "quantize")
    assert bench.ids() == ["base", "small", "quantized", "back"]


def test_that_the_page_offers_its_actions_and_its_keys_are_told_apart(bench: Bench) -> None:
    actions = bench.page.page_actions()
    keys = [it.keys for it in actions if it.keys]
    assert len(keys) == len(set(keys))
    titles = {it.title for it in actions if it.enabled()}
    assert {"Start the run", "Save the recipe", "Add a stage"} <= titles
    assert "Duplicate the stage" not in titles  # the base is chosen
    bench.model.select("1")
    assert "Duplicate the stage" in {it.title for it in bench.page.page_actions() if it.enabled()}


def test_that_the_side_shown_last_is_remembered(bench: Bench, theme: Theme) -> None:
    settings = Settings(views={"new.side": "sweep"})
    page = NewRunPage(bench.application, settings, theme, bench.dialogs)
    bench.qtbot.addWidget(page)
    assert page.sides.side.current() == "sweep"
    assert page.sides.stack.currentWidget() is page.sides.sweep
    page.sides.choose("check")
    assert settings.views["new.side"] == "check"


def test_that_a_missing_file_says_where_it_comes_from_and_is_chosen_on_the_spot(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = presets.FOLDER / presets.PAPER / "tables_2_3_nf4_3b.yaml"
    bench.model.load_preset(str(paper))
    bench.until(lambda: len(bench.model.problems()) == 4)
    bench.page.sides.choose("problems")
    assert "SDFT paper" in bench.page.sides.problems.list.item(0).text()
    assert not bench.page.start.isEnabled()
    file = tmp_path / "train.jsonl"
    file.write_text("{}\n", encoding="utf-8")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    bench.click(bench.page.sides.problems.fix)
    bench.until(lambda: len(bench.model.problems()) == 3)
    assert str(file) in bench.model.text  # a long path has a line of its own


def test_that_a_file_that_cannot_be_read_is_told_and_changes_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    text = bench.model.text
    told: list[tuple[str, str, str]] = []
    bench.application.message.connect(lambda *it: told.append(it))
    bench.model.load_preset(str(tmp_path / "gone.yaml"))
    assert bench.model.text == text
    assert told[0][0] == "error"
    assert "gone.yaml" in told[0][1]


def test_that_what_named_a_stage_follows_its_new_name(bench: Bench) -> None:
    bench.model.set("stages.1.from", "small")
    bench.model.set("stages.1.teacher", ("base", "small"))
    bench.press(1, Qt.Key.Key_Space)
    bench.type("stages.0.id", "tiny")
    assert bench.sources()["back"] == "tiny"
    assert "teacher: [base, tiny]" in bench.model.text
    assert bench.model.problems() == ()
    bench.model.set("stages.0.id", "back")  # taken: nothing follows, and the problem is told
    assert "from: tiny" in bench.model.text
    assert bench.model.problems()


def test_that_the_menu_of_a_field_sweeps_and_resets_it(bench: Bench) -> None:
    bench.press(2, Qt.Key.Key_Space)
    bench.type("stages.1.temperature", "0.7")
    control = bench.page.card.form.editor("stages.1.temperature").control()
    control.customContextMenuRequested.emit(QPoint(4, 4))
    entries = [it.text() for it in bench.menu().actions() if it.text()]
    assert entries[-3:] == ["Back to the default, 1", "Sweep…", "Copy the path"]
    bench.pick("Sweep…")
    assert [it.path for it in bench.application.sweep.axes()] == ["stages.back.temperature"]
    assert bench.page.sides.side.current() == "sweep"
    control.customContextMenuRequested.emit(QPoint(4, 4))
    bench.pick("Back to")
    assert "temperature" not in bench.model.text


def _clipped(bench: Bench) -> list[str]:
    """Buttons that have less room than their words want, and controls of the form that its edge cuts."""
    form = bench.page.card.form
    edge = form.viewport().width()
    buttons = [it for it in bench.page.findChildren(Button) if it.isVisible() and it.text()]
    tight = [it for it in buttons if it.width() < it.minimumSizeHint().width()]
    editors = (form.editor(it.path) for it in bench.model.fields())
    shown = [it for it in editors if it.isVisible()]
    cut = [it for it in shown if it.mapTo(form.widget(), it.rect().bottomRight()).x() > edge]
    return [it.accessibleName() for it in tight] + [it.control().accessibleName() for it in cut]


@pytest.mark.parametrize("width", [1104, 1080, 848, 784])
def test_that_no_control_is_clipped_where_there_is_little_room(bench: Bench, width: int) -> None:
    bench.model.select("1")
    bench.page.refresh_now()
    bench.narrow(width)
    bench.until(lambda: not _clipped(bench))
    sides = bench.page.sides
    assert sides.side.isVisible() != sides.picker.isVisible()
    assert sides.side.isVisible() == (width > 1000)


def test_that_the_picker_shows_what_the_segments_do(bench: Bench) -> None:
    sides = bench.page.sides
    bench.narrow(848)
    bench.until(sides.picker.isVisible)
    row = sides.picker.findData("problems")
    sides.picker.setCurrentIndex(row)
    sides.picker.activated.emit(row)
    assert sides.stack.currentWidget() is sides.problems
    bench.page.resize(1104, 736)
    bench.until(sides.side.isVisible)
    assert sides.side.current() == "problems"
    sides.choose("yaml")
    assert sides.picker.key() == "yaml"


def test_that_words_go_below_their_controls_where_there_is_no_room_beside(bench: Bench) -> None:
    bench.model.select("1")
    bench.page.refresh_now()
    row = bench.page.card.form.row("stages.1.max_steps")
    bench.until(lambda: row.words.y() < row.editor.geometry().bottom())
    bench.narrow(848)
    bench.until(lambda: row.words.y() > row.editor.geometry().bottom())
    bench.page.resize(1104, 736)
    bench.until(lambda: row.words.x() > row.editor.geometry().right())
