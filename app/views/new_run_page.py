"""New run: the recipe as a row of cards, the chosen card's form, and the YAML beside it, always equal."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPlainTextEdit,
    QSplitter,
    QStackedWidget,
    QWidget,
)

from app.settings import Settings
from app.viewmodels.estimates import EstimatesViewModel
from app.viewmodels.new_run import NewRunViewModel
from app.views.estimate_panel import EstimateLine, EstimatePanel
from app.views.page import Page
from app.views.splitting import restore, splitter
from app.views.teacher_preview import TeacherPreview
from app.widgets.controls import Button, Card, Chip, Picker, Segments, label
from app.widgets.messages import Empty
from app.widgets.spec_form import SpecForm
from app.widgets.stage_strip import CARD_WIDTH, RECIPE_HEIGHT, StageStrip
from app.widgets.theme import Theme

TYPING_MS = 400
PARTS = (("stage", "Stage"), ("datasets", "Data and tasks"), ("measure", "Measure"))
SIDES = (
    ("yaml", "YAML"),
    ("problems", "Problems"),
    ("teacher", "Teacher sees"),
    ("estimate", "Estimate"),
    ("command", "Command"),
)
FILE_FILTER = "Recipes (*.yaml *.yml);;All files (*)"


class NewRunPage(Page):
    """Edits one recipe through its view model, and starts it."""

    def __init__(
        self,
        model: NewRunViewModel,
        estimates: EstimatesViewModel,
        settings: Settings,
        theme: Theme,
    ) -> None:
        super().__init__()
        self._model = model
        self._estimates = estimates
        self._settings = settings
        self._theme = theme
        self._card_key = "base"
        self.column.addLayout(self._head())
        self.strip = StageStrip(theme, recipe=True)
        self.strip.chosen.connect(self._choose_card)
        self.strip.add_end(self._add_card())
        self.column.addWidget(self.strip)
        self.estimate = EstimateLine(estimates, theme)
        self.estimate.asked.connect(lambda: self.side.choose("estimate"))
        self.column.addWidget(self.estimate)
        self.body: QSplitter = splitter(settings, "new run", Qt.Orientation.Horizontal)
        self.body.addWidget(self._form_card())
        self.body.addWidget(self._side_card())
        self.body.setStretchFactor(0, 5)
        self.body.setStretchFactor(1, 4)
        restore(self.body, settings, [600, 480])
        self.column.addWidget(self.body, 1)
        model.changed.connect(lambda: self.later(self._show_recipe))
        model.fieldsChanged.connect(lambda: self.later(self._show_fields))
        model.valuesChanged.connect(lambda: self.later(self._show_fields))
        model.problemsChanged.connect(lambda: self.later(self._show_problems, self._show_recipe))
        model.preview.changed.connect(lambda: self.later(self.teacher.refresh))
        estimates.changed.connect(lambda: self.later(self._show_estimate))
        start_keys = QShortcut(QKeySequence("Ctrl+Return"), self)
        start_keys.activated.connect(self._start)
        self.later(self._show_recipe, self._show_fields, self._show_problems)

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(label("New run", "title"))
        self.presets = Picker("Preset")
        self.presets.setProperty("flat", False)
        self.presets.setMaximumWidth(300)
        self.presets.setMinimumWidth(180)
        self.presets.setPlaceholderText("start from a preset")
        self.presets.chosen.connect(self._load_preset)
        row.addWidget(self.presets)
        load = Button(self._theme, "Open…", "", "folder-open")
        load.setToolTip("Open a recipe file")
        load.clicked.connect(self._open_file)
        row.addWidget(load)
        row.addStretch(1)
        self.state = Chip(self._theme, "")
        row.addWidget(self.state)
        self.start = Button(self._theme, "Start", "primary", "play")
        self.start.setToolTip("Start the run (Ctrl+Enter)")
        self.start.clicked.connect(self._start)
        row.addWidget(self.start)
        return row

    def _add_card(self) -> Button:
        self.add = Button(self._theme, "Add stage", "dashed", "plus")
        self.add.setFixedHeight(RECIPE_HEIGHT)
        self.add.setMinimumWidth(CARD_WIDTH - 40)
        self.add.setIconSize(QSize(14, 14))
        self.add.clicked.connect(self._stage_menu)
        return self.add

    def _form_card(self) -> Card:
        card = Card("")
        self._form_head = card
        self.part = Segments(self._theme, "Part of the recipe", PARTS)
        self.part.chosen.connect(self._choose_part)
        self._back = self._tool("arrow-left", "Move the stage earlier", lambda: self._move(-1))
        self._forth = self._tool("arrow-right", "Move the stage later", lambda: self._move(1))
        self._remove = self._tool("trash", "Remove the stage", self._remove_stage)
        self._more = self._tool(
            "plus", "Add or remove a dataset, a task or a further model", self._data_menu
        )
        for tool in (self._back, self._forth, self._remove, self._more, self.part):
            card.add_tool(tool)
        self.about = label("", "caption", wrap=True)
        card.body.addWidget(self.about)
        self.form = SpecForm(self._theme)
        self.form.changed.connect(self._model.set)
        card.body.addWidget(self.form)
        return card

    def _tool(self, icon: str, words: str, act: object) -> Button:
        made = Button(self._theme, "", "quiet", icon)
        made.setAccessibleName(words)
        made.setToolTip(words)
        made.clicked.connect(act)
        return made

    def _side_card(self) -> Card:
        card = Card("As the file has it")
        self._side_head = card
        card.caption.hide()  # the segments need the room
        self.side = Segments(self._theme, "Beside the form", SIDES)
        self.side.chosen.connect(self._choose_side)
        self._copy = self._tool("copy", "Copy", self._copy_side)
        card.add_tool(self._copy)
        card.add_tool(self.side)
        self.yaml = QPlainTextEdit()
        self.yaml.setFont(self._theme.mono())
        self.yaml.setAccessibleName("Recipe as YAML")
        self.yaml.setProperty("flat", True)
        self.yaml.setFrameShape(QFrame.Shape.NoFrame)
        self.yaml.setTabChangesFocus(True)
        self.yaml.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self._typed)
        self.yaml.textChanged.connect(self._yaml_changed)
        self.problems = QListWidget()
        self.problems.setWordWrap(True)
        self.problems.setAccessibleName("Problems of the recipe")
        self.problems.itemActivated.connect(self._go_to_problem)
        self.problems.itemClicked.connect(self._go_to_problem)
        self._fine = Empty(
            self._theme,
            "check-circle",
            "No problems",
            "Every field was checked. A problem would stand here and beside its field.",
            small=True,
        )
        self.command = QPlainTextEdit()
        self.command.setReadOnly(True)
        self.command.setFont(self._theme.mono())
        self.command.setAccessibleName("The same run from the command line")
        self.command.setProperty("flat", True)
        self.command.setFrameShape(QFrame.Shape.NoFrame)
        self.command.setTabChangesFocus(True)
        self.teacher = TeacherPreview(self._model.preview, self._theme)
        self.teacher.edit_wanted.connect(self._edit_template)
        self.needs = EstimatePanel(self._estimates, self._theme)
        self.sides = QStackedWidget()
        shown = (self.yaml, self.problems, self._fine, self.teacher, self.needs, self.command)
        for widget in shown:
            self.sides.addWidget(widget)
        card.body.addWidget(self.sides)
        return card

    def _show_recipe(self) -> None:
        presets = self._model.presets()
        options = [(preset.path, preset.name) for preset in presets]
        self.presets.set_options(options, self.presets.key())
        for row, preset in enumerate(presets):
            self.presets.setItemData(row, preset.description, Qt.ItemDataRole.ToolTipRole)
        cards = self._model.cards()
        selected = self._model.selected
        if selected == "base" or selected.isdigit():
            self._card_key = selected
        place = 0 if selected == "base" else int(selected) + 1 if selected.isdigit() else -1
        self.strip.set_cards(cards, place)
        part = selected if selected in ("datasets", "measure") else "stage"
        if self.part.current() != part:
            self.part.choose(part)
        stage = place > 0
        for tool, on in (
            (self._back, stage and place > 1),
            (self._forth, stage and place < len(cards) - 1),
            (self._remove, stage),
        ):
            tool.setVisible(stage)
            tool.setEnabled(on)
        self._more.setVisible(part == "datasets" or place == 0)
        title = cards[place].title if 0 <= place < len(cards) else dict(PARTS)[part]
        self._form_head.heading.set_text(title)
        self.about.setText(self._model.about())
        self.about.setVisible(bool(self._model.about()))
        self.start.setEnabled(self._model.can_start)
        if not self._typing.isActive() and self.yaml.toPlainText() != self._model.text:
            self._replace_yaml(self._model.text)
        if self.side.current() == "command":
            self.command.setPlainText(self._model.command())

    def _replace_yaml(self, text: str) -> None:
        bar = self.yaml.verticalScrollBar()
        at, place = bar.value(), self.yaml.textCursor().position()
        self.yaml.blockSignals(True)
        self.yaml.setPlainText(text)
        self.yaml.blockSignals(False)
        cursor = self.yaml.textCursor()
        cursor.setPosition(min(place, len(text)))
        self.yaml.setTextCursor(cursor)
        bar.setValue(at)

    def _show_fields(self) -> None:
        self.form.show_fields(self._model.fields())
        self._show_recipe()

    def _show_problems(self) -> None:
        problems = self._model.problems()
        self.problems.clear()
        for problem in problems:
            words = f"{problem.message} {problem.hint}".strip()
            item = QListWidgetItem(f"{problem.path}\n{words}" if problem.path else words)
            item.setData(Qt.ItemDataRole.UserRole, (problem.card, problem.path))
            self.problems.addItem(item)
        count = len(problems)
        texts = {0: "no problems", 1: "1 problem"}
        self.state.set(texts.get(count, f"{count} problems"), "bad" if count else "recovered")
        self._choose_side(self.side.current())

    def _show_estimate(self) -> None:
        self.estimate.refresh()
        self.needs.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        """Somebody looks: the estimate is reckoned."""
        super().showEvent(event)
        self._estimates.watch(True)

    def hideEvent(self, event: QHideEvent) -> None:
        """Nobody looks."""
        super().hideEvent(event)
        self._estimates.watch(False)

    def _choose_card(self, place: int) -> None:
        self._model.select("base" if place == 0 else str(place - 1))

    def _choose_part(self, part: str) -> None:
        if part == "stage":
            if self._model.selected in ("datasets", "measure"):
                self._model.select(self._card_key)
        elif self._model.selected != part:
            self._model.select(part)

    def _choose_side(self, side: str) -> None:
        self._copy.setVisible(side in ("yaml", "command"))
        titles = {
            "yaml": "",  # the button that copies stands there
            "problems": "To mend",
            "teacher": "First item",
            "estimate": "Needs",
            "command": "",
        }
        self._side_head.heading.set_text(titles[side])
        if side == "problems":
            empty = self.problems.count() == 0
            self.sides.setCurrentWidget(self._fine if empty else self.problems)
        elif side == "estimate":
            self.sides.setCurrentWidget(self.needs)
        elif side == "command":
            self.command.setPlainText(self._model.command())
            self.sides.setCurrentWidget(self.command)
        elif side == "teacher":
            self.sides.setCurrentWidget(self.teacher)
        else:
            self.sides.setCurrentWidget(self.yaml)

    def _edit_template(self) -> None:
        self.form.focus_on(f"stages.{self._model.selected}.teacher_template")

    def _copy_side(self) -> None:
        if self.side.current() == "teacher":
            self.teacher.copy()
            return
        source = self.command if self.side.current() == "command" else self.yaml
        QGuiApplication.clipboard().setText(source.toPlainText())

    def _go_to_problem(self, item: QListWidgetItem) -> None:
        card, path = item.data(Qt.ItemDataRole.UserRole)
        if card:
            self._model.select(card)
        self.refresh_now()
        self.form.focus_on(path)

    def _yaml_changed(self) -> None:
        self._typing.start()

    def _typed(self) -> None:
        self._model.set_text(self.yaml.toPlainText())

    def _stage_menu(self) -> None:
        menu = QMenu(self)
        for kind in self._model.stage_kinds():
            action = menu.addAction(kind.label)
            action.triggered.connect(lambda _=False, kind=kind.value: self._model.add_stage(kind))
        self._popup(menu, self.add)

    def _data_menu(self) -> None:
        menu = QMenu(self)
        model = self._model
        if model.selected == "base":
            menu.addAction("Further model").triggered.connect(lambda: model.add_model())
            kinds = [("model", model.remove_model)]
        else:
            menu.addAction("Dataset").triggered.connect(lambda: model.add_dataset())
            menu.addAction("Task").triggered.connect(lambda: model.add_task())
            kinds = [("dataset", model.remove_dataset), ("task", model.remove_task)]
        menu.addSeparator()
        for kind, remove in kinds:
            for name in self._names(f"{kind}s."):
                action = menu.addAction(f"Remove {kind} {name}")
                action.triggered.connect(lambda _=False, remove=remove, name=name: remove(name))
        self._popup(menu, self._more)

    def _names(self, root: str) -> list[str]:
        """The names of the datasets or tasks whose fields are shown."""
        paths = [field.path for field in self._model.fields() if field.path.startswith(root)]
        return list(dict.fromkeys(path.split(".")[1] for path in paths))

    def _popup(self, menu: QMenu, below: QWidget) -> None:
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(below.mapToGlobal(below.rect().bottomLeft()))

    def _stage_id(self) -> str:
        place = int(self._model.selected) + 1
        return self._model.cards()[place].id

    def _move(self, delta: int) -> None:
        self._model.move_stage(self._stage_id(), delta)

    def _remove_stage(self) -> None:
        self._model.remove_stage(self._stage_id())

    def _load_preset(self, path: str) -> None:
        self._model.load_preset(path)

    def _open_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Open a recipe", self._settings.recipe_folder, FILE_FILTER
        )
        if path:
            self._model.load_preset(path)

    def _start(self) -> None:
        if self._typing.isActive():
            self._typing.stop()
            self._typed()
        if self._model.can_start:
            self._model.start()
            # Twice clicked is once started: the view model opens the button again.
            self.start.setEnabled(False)
