"""How far reading all rows is, and the way to leave it or take it up again."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.viewmodels.data_items import ItemsViewModel
from app.widgets.actions import PageAction
from app.widgets.controls import Button, label
from app.widgets.theme import Theme

STOP, GO_ON = "Stop reading all rows", "Read all rows"
STOP_TIP = "Items can be looked at all the same; the figures need all rows"


class ReadingProgress(QWidget):
    """A line with the progress of `items`; hidden where there is none."""

    def __init__(self, items: ItemsViewModel, theme: Theme) -> None:
        super().__init__()
        self._items = items
        self.told = label("", "hint")
        self.stop = Button(theme, "", "quiet", "x")
        self.stop.setToolTip(STOP_TIP)
        self.stop.clicked.connect(self._stop_or_go_on)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.told)
        row.addWidget(self.stop)
        row.addStretch(1)
        items.progress.connect(self._show)
        self.refresh()

    def refresh(self) -> None:
        """Show the button as it is now."""
        stopped = self._items.stopped
        self.stop.setText(" Read all rows" if stopped else " Stop")
        self.stop.setAccessibleName(GO_ON if stopped else STOP)
        self.stop.set_icon("caret-right" if stopped else "x")
        self.setVisible(stopped or bool(self.told.text()))

    def page_actions(self) -> tuple[PageAction, ...]:
        """The same from the keyboard."""
        items = self._items
        return (
            PageAction(STOP, items.stop, "", lambda: items.loading, icon="x"),
            PageAction(GO_ON, items.read_all, "", lambda: items.stopped, icon="caret-right"),
        )

    def _show(self, told: str) -> None:
        self.told.setText(f"all rows: {told}" if told else "")
        self.refresh()

    def _stop_or_go_on(self) -> None:
        if self._items.stopped:
            self._items.read_all()
        else:
            self._items.stop()
