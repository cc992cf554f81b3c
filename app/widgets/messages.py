"""Words where nothing is yet, and words on what just happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.widgets.controls import GAP, Button, label, restyle
from app.widgets.theme import Theme


class Empty(QWidget):
    """What stands where nothing is yet: an icon, what would be here, and the way to it."""

    def __init__(
        self, theme: Theme, icon: str, title: str, text: str, *, small: bool = False
    ) -> None:
        super().__init__()
        self._theme = theme
        self._icon = icon
        self._size = 24 if small else 40
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 8, 16, 8)
        column.setSpacing(4 if small else GAP)
        column.addStretch(1)
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._title = label(title, "heading" if small else "title")
        self._title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._title.setWordWrap(True)
        self._text = label(text, "hint" if small else "caption", wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self._text.setMaximumWidth(460)
        column.addWidget(self._picture)
        column.addWidget(self._title)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self._text, 4)
        row.addStretch(1)
        column.addLayout(row)
        self._actions = QHBoxLayout()
        self._actions.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._actions.setContentsMargins(0, GAP, 0, 0)
        if not small:
            column.addLayout(self._actions)
        column.addStretch(1)
        self._paint()
        theme.changed.connect(self._paint)

    def set(self, title: str, text: str) -> None:
        """Other words."""
        self._title.setText(title)
        self._text.setText(text)

    def add_action(
        self, text: str, icon: str, act: Callable[[], None], *, primary: bool = True
    ) -> Button:
        """A button below the words."""
        made = Button(self._theme, text, "primary" if primary else "", icon)
        made.clicked.connect(act)
        self._actions.addWidget(made)
        return made

    def _paint(self) -> None:
        self._picture.setPixmap(
            self._theme.icon(self._icon, self._theme.tokens.third).pixmap(self._size, self._size)
        )


class Notice(QFrame):
    """A line across the page for what just happened and what to do; closes by its cross."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setProperty("surface", "notice")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 6, 6)
        row.setSpacing(GAP)
        words = QVBoxLayout()
        words.setContentsMargins(0, 4, 0, 4)
        words.setSpacing(4)
        self._text = label(wrap=True)
        self._hint = label(wrap=True)
        self._lines = label(role="log", wrap=True)
        for part in (self._text, self._hint, self._lines):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            part.hide()
            words.addWidget(part)
        words.addStretch(1)
        row.addLayout(words, 1)
        self.remedy = Button(theme, "What helps")
        self.remedy.hide()
        self.remedy.clicked.connect(self._help)
        self._remedy: Callable[[], None] | None = None
        row.addWidget(self.remedy, 0, Qt.AlignmentFlag.AlignTop)
        self._close = Button(theme, "", "quiet", "x")
        self._close.setAccessibleName("Dismiss")
        self._close.clicked.connect(self.hide)
        row.addWidget(self._close, 0, Qt.AlignmentFlag.AlignTop)
        self._theme = theme
        self._row = row
        self.hide()

    def add_action(self, text: str, icon: str, act: Callable[[], None]) -> Button:
        """A button before the cross, whatever is told."""
        made = Button(self._theme, text, "", icon)
        made.clicked.connect(act)
        self._row.insertWidget(self._row.count() - 1, made, 0, Qt.AlignmentFlag.AlignTop)
        return made

    def tell(self, level: str, text: str, hint: str = "", lines: Sequence[str] = ()) -> None:
        """Show a message: what happened, what to do, and lines of a log; `level` is info, warning or error."""
        log = "\n".join(lines)
        for part, words in ((self._text, text), (self._hint, hint), (self._lines, log)):
            part.setText(words)
            part.setVisible(bool(words))
        restyle(self._text, "role", "strong" if hint or log else "")
        restyle(self, "level", level)
        self.setAccessibleName(text)
        self.remedy.hide()
        self.show()

    def leave(self) -> None:
        """The person goes to another page: what was only told goes, what asks for something stays."""
        if self.property("level") == "info" and self.remedy.isHidden():
            self.hide()

    def offer(self, text: str, act: Callable[[], None]) -> None:
        """Put a button beside the message that is shown; the next message takes it away."""
        self._remedy = act
        self.remedy.setText(text)
        self.remedy.setAccessibleName(text)
        self.remedy.show()

    def _help(self) -> None:
        if self._remedy is not None:
            self._remedy()
