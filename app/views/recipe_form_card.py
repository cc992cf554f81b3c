"""The form of the chosen card, with the tools that change stages, datasets, tasks and models."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QSizePolicy, QToolButton, QWidget

from app.viewmodels.new_run import NewRunViewModel
from app.widgets.controls import GAP, Button, Card, Segments, label
from app.widgets.spec_form import SpecForm, is_called
from app.widgets.theme import Theme

PARTS = (("stage", "Stage"), ("datasets", "Data"), ("measure", "Measure and tasks"))
FIND_WIDTH = 150
LEAST_WIDTH = 384
"""Room for a title and its control beside each other, unclipped."""
_OTHERS = ("datasets", "measure")


class SearchLine(QLineEdit):
    """A line to search in: the arrow down leads to what was found, Escape clears it."""

    down = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setClearButtonEnabled(True)
        for button in self.findChildren(QToolButton):
            button.setAccessibleName("Clear the search")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """These two; all else is text."""
        if event.key() == Qt.Key.Key_Down:
            self.down.emit()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)


class RecipeFormCard(Card):
    """Edits one card of a recipe through its view model."""

    def __init__(self, model: NewRunViewModel, theme: Theme) -> None:
        super().__init__("")
        self._model = model
        self._theme = theme
        self._card_key = "base"
        self.setMinimumWidth(LEAST_WIDTH)
        self.search = SearchLine()
        self.search.setPlaceholderText("Find a setting")
        self.search.setAccessibleName("Find a setting of this card")
        self.search.setToolTip("Find a setting (Ctrl+F)")
        self.search.setMaximumWidth(FIND_WIDTH)
        self.part = Segments(theme, "Part of the recipe", PARTS)
        self.part.chosen.connect(self._choose_part)
        self.back = self._tool("arrow-left", "Move the stage earlier", lambda: self._move(-1))
        self.forth = self._tool("arrow-right", "Move the stage later", lambda: self._move(1))
        self.copy = self._tool("copy-simple", "Duplicate the stage", self.duplicate)
        self.remove = self._tool("trash", "Remove the stage", self.remove_stage)
        self.more = self._tool(
            "plus", "Add or remove a dataset, a task or a further model", self._menu
        )
        self.part.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)  # unclipped
        self.add_tool(self.part)
        self.about = label("", "caption", wrap=True)
        words = QHBoxLayout()
        words.setSpacing(GAP)
        words.addWidget(self.about, 1)
        for tool in (self.back, self.forth, self.copy, self.remove, self.more, self.search):
            words.addWidget(tool, 0, Qt.AlignmentFlag.AlignTop)
        self.body.addLayout(words)
        self.form = SpecForm(theme)
        self.form.changed.connect(model.set)
        self.form.fix_wanted.connect(model.fix)
        self.search.textChanged.connect(self.form.set_filter)
        self.body.addWidget(self.form)
        self.search.returnPressed.connect(self.find_setting)
        self.search.down.connect(self.form.focus_first)
        QWidget.setTabOrder(self.part.last(), self.search)

    def stage(self) -> str:
        """Id of the stage whose form is shown; "" for none."""
        selected = self._model.selected
        return self._model.cards()[int(selected) + 1].id if selected.isdecimal() else ""

    def duplicate(self) -> None:
        """Copy the shown stage."""
        self.form.finish_typing()
        if self.stage():
            self._model.duplicate_stage(self.stage())

    def remove_stage(self) -> None:
        """Take the shown stage out."""
        self.form.finish_typing()
        if self.stage():
            self._model.remove_stage(self.stage())

    def show_card(self) -> int:
        """Show which card is chosen; its place in the strip, -1 for none."""
        cards, selected = self._model.cards(), self._model.selected
        if selected not in _OTHERS:
            self._card_key = selected
        place = 0 if selected == "base" else int(selected) + 1 if selected.isdecimal() else -1
        part = selected if selected in _OTHERS else "stage"
        if self.part.current() != part:
            self.part.choose(part)
        is_stage = place > 0
        for tool, on in (
            (self.back, place > 1),
            (self.forth, place < len(cards) - 1),
            (self.copy, True),
            (self.remove, True),
        ):
            tool.setVisible(is_stage)
            tool.setEnabled(is_stage and on)
        self.more.setVisible(part != "stage" or place == 0)
        self.heading.set_text(cards[place].title if 0 <= place < len(cards) else dict(PARTS)[part])
        self.about.setText(self._model.about())
        return place

    def show_fields(self) -> None:
        """Show the fields of the card."""
        self.form.show_fields(self._model.fields())

    def go_to(self, card: str, path: str) -> None:
        """Show a field and give it the focus."""
        self.form.finish_typing()
        if card:
            self._model.select(card)
        self.show_card()
        self.show_fields()
        self.form.focus_on(path)

    def find_setting(self) -> None:
        """Go to the setting that the search means: on this card, else on the next one that has it."""
        if self.form.focus_first():
            return
        text, keys = self.search.text().strip().casefold(), self._model.keys()
        at = keys.index(self._model.selected) + 1
        for key in (*keys[at:], *keys[:at]):
            if any(is_called(it, text) and not it.idle for it in self._model.fields_of(key)):
                self._model.select(key)
                self.show_card()
                self.show_fields()
                self.form.focus_first()
                return

    def mend(self, card: str, path: str) -> None:
        """Take the way out of a problem, wherever its field is."""
        self.form.finish_typing()
        if self._model.field(path) is None:
            self._model.fix(path)
            return
        self.go_to(card, path)
        if self.form.has(path):
            self.form.row(path).mend()

    def _tool(self, icon: str, words: str, act: Callable[[], None]) -> Button:
        made = Button(self._theme, "", "quiet", icon)
        made.setAccessibleName(words)
        made.setToolTip(words)
        made.clicked.connect(act)
        return made

    def _choose_part(self, part: str) -> None:
        self.form.finish_typing()
        if part != "stage":
            self._model.select(part)
        elif self._model.selected in _OTHERS:
            self._model.select(self._card_key)

    def _move(self, delta: int) -> None:
        self.form.finish_typing()
        self._model.move_stage(self.stage(), delta)

    def _menu(self) -> None:
        self.form.finish_typing()
        menu = QMenu(self)
        model = self._model
        if model.selected == "base":
            menu.addAction("Further model").triggered.connect(lambda: model.add_model())
            kinds = [("model", model.remove_model)]
        else:
            menu.addAction("Dataset").triggered.connect(lambda: model.add_dataset())
            menu.addAction("Task").triggered.connect(lambda: self._add_task())
            kinds = [("dataset", model.remove_dataset), ("task", model.remove_task)]
        menu.addSeparator()
        for kind, remove in kinds:
            for name in model.entries(f"{kind}s"):
                action = menu.addAction(f"Remove {kind} {name}")
                action.triggered.connect(lambda _=False, remove=remove, name=name: remove(name))
        popup(menu, self.more)

    def _add_task(self) -> None:
        """A task stands where measurements do: that is where its form is."""
        self._model.add_task()
        self._model.select("measure")


def popup(menu: QMenu, below: QWidget) -> None:
    """Open a menu below a widget; it goes when it is closed."""
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    menu.popup(below.mapToGlobal(QPoint(0, below.height())))
