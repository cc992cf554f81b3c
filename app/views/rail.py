"""The left rail: the pages, and below them the queue of runs."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QButtonGroup, QFrame, QSizePolicy, QVBoxLayout

from app.viewmodels.types import RunSummary
from app.widgets.controls import Button, label
from app.widgets.theme import Theme

RAIL_WIDTH = 176
ITEM_HEIGHT = 44
TEXT_LEFT = 27
MOST_QUEUED = 12


class QueueButton(QAbstractButton):
    """One run of the queue: dot, label, and below them what it is doing and how far it is."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._run: RunSummary | None = None
        self.setFixedHeight(ITEM_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        theme.changed.connect(self.update)

    def set_run(self, run: RunSummary) -> None:
        """Show a run."""
        self._run = run
        words = f"{run.name}, {run.status_text}, {run.note}".rstrip(", ")
        self.setAccessibleName(words)
        self.setToolTip(words)
        self.update()

    def uid(self) -> str:
        """The run it shows."""
        return self._run.uid if self._run else ""

    def sizeHint(self) -> QSize:
        """One line."""
        return QSize(RAIL_WIDTH - 16, ITEM_HEIGHT)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens, as Space does."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the line."""
        if self._run is None:
            return
        run, tokens = self._run, self._theme.tokens
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.underMouse() or self.hasFocus():
            painter.setPen(QPen(QColor(tokens.accent), 1) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.hover))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tokens.status(run.status)))
        painter.drawEllipse(QRectF(10, 9, 8, 8))
        right = self.width() - 8
        room = right - TEXT_LEFT
        self._line(painter, QRect(TEXT_LEFT, 4, room, 18), run.label, tokens.second)
        small = QFont(self.font())
        small.setPixelSize(11)
        painter.setFont(small)
        note = run.brief or run.note or run.status_text
        self._line(painter, QRect(TEXT_LEFT, 21, room, 15), note, tokens.third)
        if run.progress is not None:
            track = QRectF(TEXT_LEFT, self.height() - 5, room, 2)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(tokens.line))
            painter.drawRect(track)
            track.setWidth(track.width() * min(max(run.progress, 0.0), 1.0))
            painter.setBrush(QColor(tokens.status(run.status)))
            painter.drawRect(track)
        painter.end()

    def _line(self, painter: QPainter, box: QRect, text: str, colour: str) -> None:
        painter.setPen(QColor(colour))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)


class Rail(QFrame):
    """Buttons of the pages with their shortcuts, then the queue."""

    chosen = Signal(str)
    run_chosen = Signal(str)

    def __init__(self, theme: Theme, pages: Sequence[tuple[str, str, str]]) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("surface", "rail")
        self.setFixedWidth(RAIL_WIDTH)
        self.setAccessibleName("Pages and queue")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(2)
        self._group = group = QButtonGroup(self)
        self._buttons: dict[str, Button] = {}
        for place, (key, text, icon) in enumerate(pages, start=1):
            button = Button(theme, text, "rail", icon)
            button.setAccessibleName(text)
            button.setCheckable(True)
            button.setToolTip(f"{text} (Ctrl+{place})")
            button.clicked.connect(lambda _=False, key=key: self.chosen.emit(key))
            group.addButton(button)
            column.addWidget(button)
            self._buttons[key] = button
        heading = label("Queue", "section")
        heading.setContentsMargins(10, 10, 0, 2)
        column.addWidget(heading)
        self._empty = label("Nothing is running or waiting.", "section", wrap=True)
        self._empty.setContentsMargins(10, 0, 6, 0)
        column.addWidget(self._empty)
        self._queue = QVBoxLayout()
        self._queue.setSpacing(2)
        column.addLayout(self._queue)
        column.addStretch(1)
        self._items: list[QueueButton] = []

    def select(self, key: str) -> None:
        """Mark a page as the one shown; none for a page that is not in the rail."""
        if key in self._buttons:
            self._buttons[key].setChecked(True)
            return
        self._group.setExclusive(False)
        for button in self._buttons.values():
            button.setChecked(False)
        self._group.setExclusive(True)

    def set_queue(self, runs: Sequence[RunSummary]) -> None:
        """Show these runs; running ones come first."""
        shown = runs[:MOST_QUEUED]
        self._empty.setVisible(not shown)
        while len(self._items) > len(shown):
            gone = self._items.pop()
            self._queue.removeWidget(gone)
            gone.deleteLater()
        while len(self._items) < len(shown):
            made = QueueButton(self._theme)
            made.clicked.connect(lambda _=False, made=made: self.run_chosen.emit(made.uid()))
            self._queue.addWidget(made)
            self._items.append(made)
        for item, run in zip(self._items, shown, strict=True):
            item.set_run(run)
