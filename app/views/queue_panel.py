"""The queue at the top of the run list: what is at work, what waits, in an order that mouse and keys change."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QMenu

from app.viewmodels.run_queue import RunQueue
from app.views.queue_table import ROW_PX, QueueTable
from app.widgets.controls import Button, Card
from app.widgets.row_hover import RowHover
from app.widgets.theme import Theme

MOST_ROWS = 5
"""Lines that are seen without scrolling."""


class QueuePanel(Card):
    """Hidden while nothing is at work or waits."""

    opened = Signal(str)
    removed = Signal(str)
    """A waiting run is to leave the queue."""

    def __init__(self, theme: Theme, queue: RunQueue) -> None:
        super().__init__("Queue", "")
        self._queue = queue
        self.pause = Button(theme, "Pause", "", "pause")
        self.pause.clicked.connect(self.toggle_pause)
        self.add_tool(self.pause)
        self.table = QueueTable(theme, queue)
        RowHover(self.table, theme)
        self.table.acted.connect(self._act)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._menu)
        self.table.doubleClicked.connect(lambda _: self._act("open"))
        self.body.addWidget(self.table)
        queue.changed.connect(self._show)
        self._show()

    def toggle_pause(self) -> None:
        """Pause the queue, or go on."""
        self._queue.pause(not self._queue.paused)

    def _show(self) -> None:
        lines = self._queue.lines
        self.setVisible(bool(lines))
        waiting, paused = self._queue.waiting, self._queue.paused
        at_work = len(lines) - waiting
        parts = [f"{at_work} running"] if at_work else []
        parts += [f"{waiting} waiting"] if waiting else []
        parts += ["paused: nothing that waits is started"] if paused else []
        self.set_caption(" · ".join(parts))
        words = "Continue" if paused else "Pause"
        self.pause.setText(words)
        self.pause.setAccessibleName(words)
        self.pause.set_icon("play" if paused else "pause")
        self.pause.setToolTip(
            "Start what waits, in this order (P)"
            if paused
            else "Start nothing that waits; what runs goes on (P)"
        )
        edges = 2 * self.table.frameWidth() + 1
        seen = min(max(1, len(lines)), MOST_ROWS)
        self.table.setFixedHeight(self.table.horizontalHeader().height() + ROW_PX * seen + edges)

    def _act(self, what: str) -> None:
        if what == "pause":
            self.toggle_pause()
            return
        uid = self.table.chosen()
        row = self._queue.row_of(uid)
        if row < 0:
            return
        waits = self._queue.lines[row].place >= 0
        match what:
            case "open":
                self.opened.emit(uid)
            case "up" | "down" if waits:
                self._queue.move(uid, -1 if what == "up" else 1)
            case "next" if waits:
                self._queue.run_next(uid)
            case "remove" if waits:
                self.removed.emit(uid)
        self.table.choose(uid)

    def _menu(self, at: QPoint) -> None:
        row = self._queue.row_of(self.table.chosen())
        if row < 0:
            return
        waits = self._queue.lines[row].place >= 0
        menu = QMenu(self.table)
        for key, text in (
            ("open", "Open\tEnter"),
            ("up", "Move up\tAlt+Up"),
            ("down", "Move down\tAlt+Down"),
            ("next", "Run next\tAlt+Home"),
            ("remove", "Remove from the queue\tDel"),
        ):
            action = menu.addAction(text)
            action.setEnabled(waits or key == "open")
            action.triggered.connect(lambda _=False, key=key: self._act(key))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.table.viewport().mapToGlobal(at))
