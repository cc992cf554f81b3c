"""The field in which the run list is filtered: completion while typing, help, and what is wrong, below it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QCompleter,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QWidget,
)

from app.viewmodels.run_filter import EXAMPLES, All, FilterError, Query, parse
from app.viewmodels.run_vocabulary import Vocabulary, complete
from app.widgets.controls import Button, label
from app.widgets.theme import Theme

FIELD_PX = 300
PATIENCE_MS = 700
"""How long half a word may look wrong before it is called so."""
MOST_OFFERED = 12
ABOUT_FIELD = (
    "Words, or a filter such as status:done tag:paper; the button beside it shows examples."
)
GAP = "   "
"""Between a key and what it is, in the list of completions."""


class FilterField(QWidget):
    """Text, a button with examples, and `error`, a label for the page to place below.

    Args:
        theme: for the icon.
        vocabulary: what can be typed; asked for when typing begins.
    """

    changed = Signal(object)
    """The query that the text now means; not sent while the text means none."""

    def __init__(self, theme: Theme, vocabulary: Callable[[], Vocabulary]) -> None:
        super().__init__()
        self._vocabulary = vocabulary
        self._known = Vocabulary()
        self.edit = _Edit()
        self.edit.setPlaceholderText("Search, or status:done lr>1e-4")
        self.edit.setAccessibleName("Search runs")
        self.edit.setAccessibleDescription(ABOUT_FIELD)
        self.edit.setClearButtonEnabled(True)
        for button in self.edit.findChildren(QAbstractButton):
            button.setAccessibleName("Clear the search")
        self.edit.setFixedWidth(FIELD_PX)
        self.help = Button(theme, "", "quiet", "question")
        self.help.setAccessibleName("Filter examples")
        self.help.setToolTip("What can be written here, by examples")
        self.help.clicked.connect(self._show_help)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        row.addWidget(self.edit)
        row.addWidget(self.help)
        self.setFocusProxy(self.edit)
        self.error = label("", "problem", wrap=True)
        self.error.setTextFormat(Qt.TextFormat.PlainText)
        self.error.hide()
        self._words = QStringListModel(self)
        self._completer = QCompleter(self._words, self)
        self._completer.setWidget(self.edit)
        self._completer.setCompletionMode(QCompleter.CompletionMode.UnfilteredPopupCompletion)
        self._list = QListView()
        self._list.setAccessibleName("Completions")
        self._completer.setPopup(self._list)
        self._completer.activated.connect(self._insert)
        self._start = 0
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self._settle)
        self._problem = ""
        self._wrong = (0, 0)
        self._query: Query = All(())
        self.edit.textEdited.connect(lambda _: self._offer())
        self.edit.textChanged.connect(self._read)
        self.edit.returnPressed.connect(self._answer)
        self.edit.offered.connect(self._offer)

    def text(self) -> str:
        """What stands in the field."""
        return self.edit.text()

    def setText(self, text: str) -> None:
        """Write it."""
        self.edit.setText(text)

    def clear(self) -> None:
        """Show everything again."""
        self.edit.clear()

    def completions(self) -> list[str]:
        """What is offered at the moment."""
        return self._words.stringList() if self._list.isVisible() else []

    def _read(self, text: str) -> None:
        if not self._known.fields:
            self._known = self._vocabulary()
        try:
            self._query = parse(text, self._known.keys) if text.strip() else All(())
            self._problem = ""
        except FilterError as error:
            at = f"Character {error.start + 1}: " if error.start else ""
            self._problem = f"{at}{error.message} {error.hint}"
            self._wrong = (error.start, error.end - error.start)
        if self._problem or self._begins_key(text):
            self._patience.start()
        else:
            self._settle()

    def _begins_key(self, text: str) -> bool:
        """The word at the cursor may become a key: it is not looked for yet."""
        found = complete(text, self.edit.cursorPosition(), self._known)
        begun = text[found.start : self.edit.cursorPosition()]
        keys = (it for it, _ in found.candidates if it.endswith(":"))
        return self.edit.hasFocus() and any(it.startswith(begun.casefold()) for it in keys)

    def _settle(self) -> None:
        """The person waits, or pressed Enter: filter, or say what is wrong."""
        self._patience.stop()
        self.error.setText(self._problem)
        self.error.setVisible(bool(self._problem))
        self.edit.setAccessibleDescription(self._problem or ABOUT_FIELD)
        if not self._problem:
            self.changed.emit(self._query)

    def _answer(self) -> None:
        """Enter was pressed: what is wrong is chosen, so that the next key replaces it."""
        self._settle()
        if self._problem:
            self.edit.setSelection(*self._wrong)

    def _offer(self) -> None:
        """Show what may follow at the cursor."""
        self._known = self._vocabulary()
        found = complete(self.edit.text(), self.edit.cursorPosition(), self._known)
        self._start = found.start
        shown = found.candidates[:MOST_OFFERED]
        self._words.setStringList([f"{text}{GAP}{what}".rstrip() for text, what in shown])
        if shown and self.edit.isVisible():
            box = self.edit.rect()
            box.setWidth(
                max(FIELD_PX, self._list.sizeHintForColumn(0) + 2 * self._list.frameWidth() + 24)
            )
            self._completer.complete(box)
        else:
            self._list.hide()

    def _insert(self, offered: str) -> None:
        text = offered.split(GAP)[0]
        whole, cursor = self.edit.text(), self.edit.cursorPosition()
        done = f"{whole[: self._start]}{text}"
        rest = whole[cursor:]
        space = "" if text.endswith(":") or rest.startswith(" ") else " "
        self.edit.setText(f"{done}{space}{rest}")
        self.edit.setCursorPosition(len(done) + len(space))
        if text.endswith(":"):
            QTimer.singleShot(0, self._offer)  # the values of the key, once this list has closed

    def _show_help(self) -> None:
        menu = QMenu(self)
        for text, what in EXAMPLES:
            action = menu.addAction(f"{text}\t{what}")
            action.triggered.connect(lambda _=False, text=text: self.setText(text))
        menu.addSeparator()
        for line in (
            "key:value holds · = != < <= > >= compare · - not · or · ( )",
            "Ages: 2h, 3d, 1w. Dates: 2026-01-31. Ctrl+Space completes.",
        ):
            menu.addAction(line).setEnabled(False)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.help.mapToGlobal(self.help.rect().bottomLeft()))


class _Edit(QLineEdit):
    """Ctrl+Space asks for completions; Escape clears."""

    offered = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Keys of its own, then the ordinary ones."""
        control = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        if control and event.key() == Qt.Key.Key_Space:
            self.offered.emit()
        elif event.key() == Qt.Key.Key_Escape and self.text():
            self.clear()
        else:
            super().keyPressEvent(event)
