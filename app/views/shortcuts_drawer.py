"""The shortcuts drawer: the keys that work here, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QScrollArea,
    QScrollBar,
    QVBoxLayout,
    QWidget,
)

from app.views.overlay import Overlay
from app.views.palette import shown_keys
from app.widgets.actions import PageAction
from app.widgets.controls import Button, label
from app.widgets.theme import Theme

WIDTH = 340
SCROLLED = {
    Qt.Key.Key_Down: QScrollBar.SliderAction.SliderSingleStepAdd,
    Qt.Key.Key_Up: QScrollBar.SliderAction.SliderSingleStepSub,
    Qt.Key.Key_PageDown: QScrollBar.SliderAction.SliderPageStepAdd,
    Qt.Key.Key_PageUp: QScrollBar.SliderAction.SliderPageStepSub,
    Qt.Key.Key_Home: QScrollBar.SliderAction.SliderToMinimum,
    Qt.Key.Key_End: QScrollBar.SliderAction.SliderToMaximum,
}
"""What keys do to the list."""

Sections = Sequence[tuple[str, Sequence[PageAction]]]


class ShortcutsDrawer(Overlay):
    """At the right edge; Esc, its cross, a click beside it or the key that opened it closes it.

    Args:
        parent: the window's ground, which it covers.
        sections: heading and actions; asked at each opening. Those without keys are left out.
        passing: keys that the window heeds while it is open.
    """

    def __init__(
        self,
        parent: QWidget,
        theme: Theme,
        sections: Callable[[], Sections],
        passing: Sequence[str] = (),
    ) -> None:
        super().__init__(parent, passing)
        self._sections = sections
        self.setAccessibleName("Keyboard shortcuts")
        column = QVBoxLayout(self.panel)
        column.setContentsMargins(16, 10, 8, 12)
        head = QHBoxLayout()
        head.addWidget(label("Keyboard shortcuts", "title"))
        head.addStretch(1)
        self.cross = Button(theme, "", "quiet", "x")
        self.cross.setAccessibleName("Close the shortcuts")
        self.cross.setToolTip("Close (Esc)")
        self.cross.clicked.connect(self.close_it)
        head.addWidget(self.cross)
        column.addLayout(head)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        column.addWidget(self._area, 1)

    def open(self) -> None:
        """Show it with the keys of this moment."""
        if self.isVisible():
            return
        self._area.setWidget(_table(self._sections()))  # the one before is deleted by Qt
        super().open()
        self.cross.setFocus()

    def toggle(self) -> None:
        """Open or close."""
        if self.isVisible():
            self.close_it()
        else:
            self.open()

    def place(self) -> None:
        """Along the right edge."""
        width = min(WIDTH, self.width())
        self.panel.setGeometry(self.width() - width - 8, 8, width, self.height() - 16)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The list is longer than some windows: arrows and page keys move it."""
        bar = self._area.verticalScrollBar()
        act = SCROLLED.get(Qt.Key(event.key()))
        if act is None:
            super().keyPressEvent(event)
        else:
            bar.triggerAction(act)
            event.accept()

    def lines(self) -> list[tuple[str, str]]:
        """What is listed: title and keys."""
        return [
            (action.title, shown_keys(action.keys))
            for _, actions in self._sections()
            for action in actions
            if works(action)
        ]


def works(action: PageAction) -> bool:
    """Whether its keys do something now."""
    return bool(action.keys) and action.enabled()


def _table(sections: Sections) -> QWidget:
    table = QWidget()
    grid = QGridLayout(table)
    grid.setContentsMargins(0, 0, 8, 0)
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(6)
    grid.setColumnStretch(0, 1)
    row = 0
    for heading, actions in sections:
        working = [action for action in actions if works(action)]
        if not working:
            continue
        title = label(heading, "section")
        title.setContentsMargins(0, 10, 0, 0)
        grid.addWidget(title, row, 0, 1, 2)
        row += 1
        for action in working:
            keys = shown_keys(action.keys)
            words = label(action.title, wrap=True)
            words.setAccessibleName(f"{action.title}: {keys}")
            cap = label(keys, "key")
            grid.addWidget(words, row, 0)
            grid.addWidget(cap, row, 1, Qt.AlignmentFlag.AlignRight)
            row += 1
    grid.setRowStretch(row, 1)
    return table
