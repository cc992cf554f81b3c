"""New run: the recipe as a row of cards, the chosen card's form, and beside it what the recipe comes to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QSplitter, QWidget

from app.settings import Settings
from app.viewmodels.application import Application
from app.views.dialogs import Dialogs
from app.views.estimate_panel import EstimateLine
from app.views.new_run_head import EMPTY, NewRunHead
from app.views.page import Page
from app.views.recipe_form_card import RecipeFormCard, popup
from app.views.recipe_sides import RecipeSides
from app.views.splitting import restore, splitter
from app.views.stage_menu import StageMenus
from app.widgets.actions import PageAction
from app.widgets.controls import Button
from app.widgets.recipe_strip import RecipeStrip
from app.widgets.stage_strip import CARD_WIDTH, RECIPE_HEIGHT
from app.widgets.theme import Theme

FILE_FILTER = "Recipes (*.yaml *.yml);;All files (*)"
SAVED_KINDS = (("Recipe", ".yaml"), ("Recipe", ".yml"))
SAVED_AS = "recipe.yaml"


class NewRunPage(Page):
    """Edits one recipe through its view model, and starts it."""

    run_wanted = Signal(str)

    def __init__(
        self, application: Application, settings: Settings, theme: Theme, dialogs: Dialogs
    ) -> None:
        super().__init__()
        self._model = model = application.new_run
        self._estimates = application.estimates
        self._sweep = application.sweep
        self._check = application.check
        self._settings = settings
        self._theme = theme
        self._dialogs = dialogs
        self._tell = application.message.emit
        self.head = NewRunHead(theme)
        self.head.preset_wanted.connect(self._load_preset)
        self.head.open_wanted.connect(self._open_file)
        self.head.save_wanted.connect(self.save)
        self.head.undo.clicked.connect(self._undo)
        self.head.redo.clicked.connect(self._redo)
        self.head.check.clicked.connect(self._check_now)
        self.start = self.head.start
        self.start.clicked.connect(self._start)
        self.column.addWidget(self.head)
        self.strip = RecipeStrip(theme)
        self.strip.chosen.connect(self._choose_card)
        self.strip.placed.connect(self._place)
        self.add = self._add_card()
        self.strip.add_end(self.add)
        self.menus = StageMenus(model, self)
        self.strip.asked.connect(self._do)
        self.strip.menu_wanted.connect(self.menus.open_card)
        self.column.addWidget(self.strip)
        self.estimate = EstimateLine(self._estimates, theme)
        self.column.addWidget(self.estimate)
        self.card = RecipeFormCard(model, theme)
        self.card.form.sweep_wanted.connect(self._sweep_over)
        self.sides = RecipeSides(application, settings, theme, dialogs)
        self.estimate.asked.connect(lambda: self.sides.choose("estimate"))
        self.sides.save_wanted.connect(self.save)
        self.sides.problems.wanted.connect(self.card.go_to)
        self.sides.problems.fix_wanted.connect(self.card.mend)
        self.sides.teacher.edit_wanted.connect(self._edit_template)
        self.sides.needs.remedy_wanted.connect(self._apply_remedy)
        self.sides.check.opened.connect(self.run_wanted)
        for starting in (self.sides.sweep.starting, self.sides.check.starting):
            starting.connect(self._finish_typing)
        self.body: QSplitter = splitter(settings, "new run", Qt.Orientation.Horizontal)
        self.body.addWidget(self.card)
        self.body.addWidget(self.sides)
        self.body.setStretchFactor(0, 5)
        self.body.setStretchFactor(1, 4)
        restore(self.body, settings, [560, 520])
        self.column.addWidget(self.body, 1)
        model.changed.connect(lambda: self.later(self._show_recipe))
        model.fieldsChanged.connect(lambda: self.later(self._show_fields))
        model.valuesChanged.connect(lambda: self.later(self._show_fields))
        model.problemsChanged.connect(lambda: self.later(self._show_problems, self._show_recipe))
        model.preview.changed.connect(lambda: self.later(self.sides.teacher.refresh))
        self._estimates.changed.connect(lambda: self.later(self._show_estimate))
        self._sweep.changed.connect(lambda: self.later(self._show_sweep))
        self._sweep.started.connect(self._sweep_started)
        self._check.changed.connect(lambda: self.later(self._show_check))
        model.saved.connect(self._saved)
        model.reused.connect(self._begin_to_change)
        model.failed.connect(lambda text, hint: self._tell("error", text, hint))
        self._listen()
        self.later(self._show_recipe, self._show_fields, self._show_problems)

    def page_actions(self) -> tuple[PageAction, ...]:
        """Start, save, undo, and what a stage can do."""
        model, card = self._model, self.card

        def staged() -> bool:
            return bool(card.stage())

        return (
            PageAction(
                "Start the run", self._start, "Ctrl+Return", lambda: model.can_start, "play"
            ),
            PageAction("Save the recipe", self.save, "Ctrl+S", icon="floppy-disk"),
            PageAction("Open a recipe", self._open_file, "Ctrl+O", icon="folder-open"),
            PageAction("Begin with an empty recipe", model.start_empty),
            PageAction("Undo", self._undo, "Ctrl+Z", lambda: model.can_undo),
            PageAction("Redo", self._redo, "Ctrl+Shift+Z", lambda: model.can_redo),
            PageAction("Add a stage", self._add_stage, "Ctrl+Shift+A", icon="plus"),
            PageAction("Branch from the stage", self._branch, "Ctrl+B", icon="git-branch"),
            PageAction("Duplicate the stage", card.duplicate, "Ctrl+D", staged, "copy-simple"),
            PageAction("Remove the stage", card.remove_stage, "", staged, "trash"),
            PageAction("Find a setting", self._find, "Ctrl+F"),
            PageAction("Show the card behind", lambda: self._turn(1), "Ctrl+PgDown"),
            PageAction("Show the card before", lambda: self._turn(-1), "Ctrl+PgUp"),
            PageAction("Go to the next problem", self._next_problem, "F8", self._has_problems),
            PageAction("Check demonstrations", self._check_now, "", lambda: self._check.can_start),
            PageAction("Sweep over a field", lambda: self.sides.go_to("sweep")),
            PageAction("Show the command", lambda: self.sides.go_to("command")),
        )

    def _listen(self) -> None:
        """The keys of the page's actions; where somebody types, undo belongs to the text."""
        for action in self.page_actions():
            if action.keys:
                keys = QShortcut(QKeySequence(action.keys), self)
                keys.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                keys.activated.connect(self._when(action))

    @staticmethod
    def _when(action: PageAction) -> Callable[[], None]:
        def act() -> None:
            if action.enabled():
                action.act()

        return act

    def _add_card(self) -> Button:
        made = Button(self._theme, "Add stage", "dashed", "plus")
        made.setFixedHeight(RECIPE_HEIGHT)
        made.setMinimumWidth(CARD_WIDTH - 40)
        made.setIconSize(QSize(14, 14))
        made.setToolTip("Add a stage behind the chosen card (Ctrl+Shift+A)")
        made.clicked.connect(self._add_stage)
        return made

    # showing

    def _show_recipe(self) -> None:
        self.head.show_presets(self._model.presets(), self._model.file)
        self.strip.set_cards(self._model.cards(), self.card.show_card())
        self.start.setEnabled(self._model.can_start)
        self.head.undo.setEnabled(self._model.can_undo)
        self.head.redo.setEnabled(self._model.can_redo)
        self.sides.show_text()

    def _show_fields(self) -> None:
        self.card.show_fields()
        self._show_recipe()

    def _show_problems(self) -> None:
        problems = self._model.problems()
        self.sides.problems.show_problems(problems)
        self.head.show_count(len(problems))

    def _show_estimate(self) -> None:
        self.estimate.refresh()
        self.sides.needs.refresh()
        self.sides.sweep.refresh()

    def _show_sweep(self) -> None:
        self.sides.sweep.refresh()
        self.sides.show_text()

    def _show_check(self) -> None:
        self.head.check.setEnabled(self._check.can_start)
        self.sides.check.refresh()

    def watch(self, on: bool) -> None:
        """The estimate is reckoned while somebody looks."""
        self._estimates.watch(on)

    # doing

    def _finish_typing(self) -> None:
        """What was typed a moment ago counts for what is done now."""
        self.card.form.finish_typing()
        self.sides.finish_typing()

    def _choose_card(self, place: int) -> None:
        self._finish_typing()
        self._model.select("base" if place == 0 else str(place - 1))

    def _turn(self, delta: int) -> None:
        self._finish_typing()
        self._model.turn(delta)

    def _do(self, act: str, place: int) -> None:
        """What a key on a card means."""
        self._choose_card(place)
        if act == "add":
            self._add_stage()
        elif act == "branch":
            self._branch()
        elif place:
            stage = self._model.cards()[place].id
            acts: dict[str, Callable[[], None]] = {
                "earlier": lambda: self._model.move_stage(stage, -1),
                "later": lambda: self._model.move_stage(stage, 1),
                "duplicate": lambda: self._model.duplicate_stage(stage),
                "remove": lambda: self._model.remove_stage(stage),
            }
            acts[act]()

    def _place(self, place: int, to: int) -> None:
        self._finish_typing()
        if place and to:
            self._model.place_stage(self._model.cards()[place].id, to - 1)

    def _chosen(self) -> int:
        selected = self._model.selected
        return int(selected) + 1 if selected.isdecimal() else 0

    def _add_stage(self) -> None:
        """Behind the chosen card; while data or measurements are shown, at the end."""
        self._finish_typing()
        chosen = self._model.selected in ("base", *map(str, range(len(self._model.cards()))))
        place = self._chosen() if chosen else len(self._model.cards()) - 1
        popup(self.menus.adding(place), self._anchor(place))

    def _branch(self) -> None:
        self._finish_typing()
        popup(self.menus.branching(self._chosen()), self._anchor(self._chosen()))

    def _anchor(self, place: int) -> QWidget:
        cards = self.strip.cards
        return cards[place] if place < len(cards) and cards[place].hasFocus() else self.add

    def _sweep_over(self, path: str) -> None:
        self._sweep.add(path)
        self.sides.choose("sweep")

    def _apply_remedy(self, stage: str, knob: str) -> None:
        self._finish_typing()
        self._model.apply_remedy(stage, knob)

    def _sweep_started(self, count: int) -> None:
        runs = "1 run is" if count == 1 else f"{count:,} runs are"
        tag = f"sweep:{self._sweep.name}"
        self._tell("info", f"{runs} queued.", f"They are tagged {tag}; Runs shows them.")
        self.later(self._show_sweep)

    def _saved(self, path: str) -> None:
        self._tell("info", f"The recipe is saved in {path}.", "")

    def _check_now(self) -> None:
        self._finish_typing()
        self.sides.choose("check")
        self._check.start()

    def _edit_template(self) -> None:
        self.card.form.focus_on(f"stages.{self._model.selected}.teacher_template")

    def _find(self) -> None:
        self.card.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.card.search.selectAll()

    def _begin_to_change(self) -> None:
        """An old run's settings are here: the next thing typed says which of them changes."""
        self.refresh_now()
        self.card.search.clear()
        self._find()

    def _has_problems(self) -> bool:
        return bool(self._model.problems())

    def _next_problem(self) -> None:
        rows = self.sides.problems.list
        self.refresh_now()
        if rows.count():
            rows.setCurrentRow((rows.currentRow() + 1) % rows.count())
            rows.itemActivated.emit(rows.currentItem())

    def _undo(self) -> None:
        self._finish_typing()
        self._model.undo()

    def _redo(self) -> None:
        self._finish_typing()
        self._model.redo()

    def _load_preset(self, path: str) -> None:
        self._finish_typing()  # undo brings it back
        if path == EMPTY:
            self._model.start_empty()
        elif path:
            self._model.load_preset(path)

    def _open_file(self) -> None:
        path = self._dialogs.choose_file(
            self, "Open a recipe", self._settings.recipe_folder, FILE_FILTER
        )
        if path:
            self._settings.recipe_folder = str(Path(path).parent)
            self._load_preset(path)

    def save(self) -> None:
        """Ask for a file and write the recipe into it; the command then names it."""
        self._finish_typing()
        begin = self._model.saves_to or str(Path(self._settings.recipe_folder) / SAVED_AS)
        path = self._dialogs.save_file(self, "Save the recipe", begin, SAVED_KINDS)
        if path:
            self._settings.recipe_folder = str(path.parent)
            self._model.save(str(path))

    def _start(self) -> None:
        self._finish_typing()
        if self._model.can_start:
            self._model.start()
            # Twice clicked is once started: the view model opens the button again.
            self.start.setEnabled(False)
