"""One item of a dataset: what student and teacher read, the demonstration, the key, and the row as it stands."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QSplitter,
    QStackedWidget,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.settings import Settings
from app.viewmodels.data import CHARACTERS, DataViewModel
from app.views.splitting import restore, splitter
from app.widgets.completions import reading_pane
from app.widgets.controls import Button, Picker, Segments, label
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

NUMBER_WIDTH = 84
SEARCH_WIDTH = 220
CELL_CHARACTERS = 300
"""Of a value in the table of the row; the whole stands beside it."""
MOST_SHOWN = 8_000
"""Characters in one pane: laying out more takes longer than the window may stand still."""
TURN_GAP = "\n\n"
Turns = Sequence[tuple[str, str]]
"""Who speaks ("" for nobody), and the text."""
SHOWN = (("read", "As it is read"), ("row", "Row"))


class ItemPane(QWidget):
    """A heading over a text that is only ever plain."""

    def __init__(self, theme: Theme, title: str) -> None:
        super().__init__()
        self._theme = theme
        self.title = label(title, "section")
        self.text: QTextEdit = reading_pane(theme, title)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.title)
        column.addWidget(self.text, 1)
        self._shown: tuple[Turns, str] = ((), "")
        theme.changed.connect(self._write)

    def show_turns(self, title: str, turns: Turns, tinted: str = "") -> None:
        """Show turns, each under its speaker; the first place of `tinted` has a ground of its own."""
        self.title.setText(title)
        if self._shown != (tuple(turns), tinted):  # else a reader would lose the place
            self._shown = (tuple(turns), tinted)
            self._write()

    def _write(self) -> None:
        turns, tinted = self._shown
        self.text.clear()
        tokens = self._theme.tokens
        speaker, plain, ground = QTextCharFormat(), QTextCharFormat(), QTextCharFormat()
        speaker.setForeground(QColor(tokens.third))
        speaker.setFontWeight(QFont.Weight.DemiBold)
        plain.setForeground(QColor(tokens.ink))
        ground.setForeground(QColor(tokens.ink))
        ground.setBackground(QColor(tokens.accent_background))
        cursor = QTextCursor(self.text.document())
        cursor.beginEditBlock()
        room = MOST_SHOWN
        for place, (role, whole) in enumerate(turns):
            text, room = whole[:room], room - len(whole[:room])
            if role:
                cursor.insertText(f"{TURN_GAP if place else ''}{role}\n", speaker)
            before, found, after = text.partition(tinted) if tinted else (text, "", "")
            cursor.insertText(before, plain)
            cursor.insertText(found, ground)
            cursor.insertText(after, plain)
        more = sum(len(text) for _, text in turns) - MOST_SHOWN
        if more > 0:
            cursor.insertText(
                f"{TURN_GAP}… and {more:,} more characters; “Copy the item” has them", speaker
            )
        cursor.endEditBlock()
        self.text.verticalScrollBar().setValue(0)


class ItemReading(QWidget):
    """Student, teacher and what is known of the answer, side by side."""

    def __init__(self, model: DataViewModel, settings: Settings, theme: Theme, name: str) -> None:
        super().__init__()
        self._model = model
        self.student = ItemPane(theme, "Student reads")
        self.teacher = ItemPane(theme, "Teacher reads")
        self.answer = ItemPane(theme, "Demonstration")
        self.panes: QSplitter = splitter(settings, name, Qt.Orientation.Horizontal)
        for pane in (self.student, self.teacher, self.answer):
            self.panes.addWidget(pane)
        restore(self.panes, settings, [380, 380, 240])
        self.empty = Empty(theme, "file-text", "", "", small=True)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.panes)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._stack)

    def refresh(self) -> None:
        """Show the item as it is now."""
        items = self._model.items
        item = items.item
        if items.error[0]:
            self.empty.set(*items.error)
        elif item is None:
            self.empty.set("Reading…" if items.source is not None else "No dataset chosen", "")
        elif item.problem:
            self.empty.set(item.problem, item.hint)
        self._stack.setCurrentIndex(1 if item is not None and not item.problem else 0)
        if item is None or item.problem:
            return
        for pane, side, turns in (
            (self.student, "student", item.student),
            (self.teacher, "teacher", item.teacher),
        ):
            title = f"{side.capitalize()} reads"
            if side == "teacher" and (stage := self._model.teaching()[1]):
                title += f", as {stage} asks it"
            shown = items.rendered.get(side)
            tinted = item.demonstration if side == "teacher" else ""
            if shown is not None:
                pane.show_turns(f"{title} · {shown[1]:,} tokens", (("", shown[0]),), tinted)
            elif turns:
                pane.show_turns(title, turns, tinted)
            else:
                none = "This item has no demonstration, so no teacher can be shown one."
                pane.show_turns(title, (("", none),))
        known = [("", item.demonstration or "none")]
        known += [("key", item.gold)] if item.gold else []
        known += [("group", item.group)] if item.group else []
        self.answer.show_turns("Demonstration", known)


class ItemsView(QWidget):
    """Goes through the items of the dataset that is looked at."""

    def __init__(self, model: DataViewModel, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self._settings = settings
        self._theme = theme
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._tools())
        self.reading = ItemReading(model, settings, theme, "data item")
        self.fields = Table(theme, "The row as it stands")
        self.fields.itemSelectionChanged.connect(self._show_value)
        self.value = ItemPane(theme, "Value")
        self.row: QSplitter = splitter(settings, "data row", Qt.Orientation.Horizontal)
        self.row.addWidget(self.fields)
        self.row.addWidget(self.value)
        restore(self.row, settings, [560, 440])
        self._stack = QStackedWidget()
        self._stack.addWidget(self.reading)
        self._stack.addWidget(self.row)
        column.addWidget(self._stack, 1)
        self.shown.chosen.connect(self._choose_shown)
        kept = settings.views.get("data.shown", "read")
        self.shown.choose(kept if kept in dict(SHOWN) else "read")

    def _tools(self) -> QHBoxLayout:
        tools = QHBoxLayout()
        tools.setSpacing(6)
        items = self._model.items
        self.previous = self._tool("caret-left", "Previous item (Alt+Left)", lambda: items.step(-1))
        self.next = self._tool("caret-right", "Next item (Alt+Right)", lambda: items.step(1))
        self.any = self._tool("shuffle", "Any item (Alt+R)", items.shuffle)
        self.number = QLineEdit()
        self.number.setAccessibleName("Number of the item")
        self.number.setFixedWidth(NUMBER_WIDTH)
        self.number.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.number.returnPressed.connect(self._go)
        self.of = label("", "caption")
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find in the rows")
        self.search.setAccessibleName("Find in the rows")
        self.search.setMaximumWidth(SEARCH_WIDTH)
        self.search.returnPressed.connect(lambda: self.find_text(1))
        self.back = self._tool(
            "caret-up", "Find the one before (Shift+F3)", lambda: self.find_text(-1)
        )
        self.forth = self._tool("caret-down", "Find the next (F3)", lambda: self.find_text(1))
        self.note = label("", "hint")
        self.template = Picker("Template that the prompts are shown with")
        self.template.setToolTip("The turns as they are, or with the chat template of a model")
        self.template.chosen.connect(self._choose_template)
        self.shown = Segments(self._theme, "What is shown of the item", SHOWN)
        for widget in (
            self.previous,
            self.number,
            self.of,
            self.next,
            self.any,
            self.search,
            self.back,
            self.forth,
        ):
            tools.addWidget(widget)
        tools.addWidget(self.note, 1)
        tools.addWidget(self.template)
        tools.addWidget(self.shown)
        return tools

    def _tool(self, icon: str, words: str, act: object) -> Button:
        made = Button(self._theme, "", "quiet", icon)
        made.setAccessibleName(words.partition(" (")[0])
        made.setToolTip(words)
        made.clicked.connect(act)
        return made

    def refresh(self) -> None:
        """Show what is known now."""
        items = self._model.items
        item = items.item
        for widget in (self.previous, self.next, self.any, self.number, self.search):
            widget.setEnabled(item is not None)
        for button in (self.back, self.forth):
            button.setEnabled(item is not None and bool(self.search.text().strip()))
        if item is None:
            self.number.clear()
        elif not (self.number.hasFocus() and self.number.isModified()):
            self.number.setText(f"{item.number + 1}")
        self.of.setText(f"of {item.of:,}" if item is not None else "")
        where = item.where if item is not None else ""
        self.note.setText("opening the tokenizer…" if items.rendering else items.note or where)
        options = [("turns", "Turns")]
        options += [
            (key, f"Template of {text.removeprefix('tokens of ')}")
            for key, text in self._model.models()
            if key != CHARACTERS
        ]
        self.template.set_options(options, self.template.key() or "turns")
        self.reading.refresh()
        self._show_row()

    def find_text(self, step: int) -> None:
        """The next item that holds what is searched, or the one before."""
        self._model.items.find(self.search.text(), step)

    def copy(self) -> None:
        """Put the shown item on the clipboard, as plain text."""
        item = self._model.items.item
        if item is None:
            return
        if self.shown.current() == "row":
            text = "\n".join(f"{name}\t{value}" for name, _, value in item.fields)
        else:
            turns = item.teacher or item.student
            text = TURN_GAP.join(f"[{role}]\n{content}" for role, content in turns)
        QGuiApplication.clipboard().setText(text)

    def _show_row(self) -> None:
        item = self._model.items.item
        columns = [
            Column("column", numeric=False),
            Column("kind", numeric=False),
            Column("value", numeric=False, stretch=True),
        ]
        fields = item.fields if item is not None else ()
        self.fields.show_rows(
            columns,
            [
                [Cell(name), Cell(kind, "third"), Cell(" ".join(value[:CELL_CHARACTERS].split()))]
                for name, kind, value in fields
            ],
        )
        if fields and not self.fields.selectedIndexes():
            self.fields.selectRow(0)
        self._show_value()

    def _show_value(self) -> None:
        item = self._model.items.item
        chosen = self.fields.selectedIndexes()
        if item is None or not chosen or chosen[0].row() >= len(item.fields):
            self.value.show_turns("Value", ())
            return
        name, _, value = item.fields[chosen[0].row()]
        self.value.show_turns(name, (("", value),))

    def _go(self) -> None:
        text = self.number.text().replace(",", "").strip()
        item = self._model.items.item
        self.number.setModified(False)
        if item is not None and text.isdecimal():
            self._model.items.go(min(max(int(text), 1), item.of) - 1)

    def _choose_shown(self, shown: str) -> None:
        self._settings.views["data.shown"] = shown
        self._stack.setCurrentWidget(self.row if shown == "row" else self.reading)
        self.template.setVisible(shown != "row")

    def _choose_template(self, key: str) -> None:
        self._model.items.render(self._model.model(key))
