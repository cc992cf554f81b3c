"""The legend under a chart: one toggle per curve, reached by the keyboard like any button."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from app.widgets.controls import Button, colour_of
from app.widgets.theme import Theme

LEFT = 34
ICON_PX = 14
AROUND_TEXT_PX = ICON_PX + 20
LEAST_TEXT_PX = 36
MOST_TEXT_PX = 220


class Legend(QWidget):
    """Entries are (key, text, token); hidden when there are fewer than two.

    Texts are shortened in the middle to share the width; entries for which there is no room are left out.
    """

    toggled = Signal(str, bool)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._row = QHBoxLayout(self)
        self._row.setSpacing(2)
        self._row.setContentsMargins(LEFT, 0, 0, 0)
        self._row.addStretch(1)
        self._buttons: dict[str, Button] = {}
        self._entries: tuple[tuple[str, str, str], ...] = ()
        self.hide()
        theme.changed.connect(self._paint)

    @property
    def buttons(self) -> dict[str, Button]:
        """The toggles by key."""
        return dict(self._buttons)

    def set_entries(self, entries: Iterable[tuple[str, str, str]]) -> None:
        """Show these entries; only what differs is rebuilt."""
        wanted = tuple(entries)
        wanted = wanted if len(wanted) > 1 else ()
        if wanted == self._entries:
            return
        self._entries = wanted
        keys = {key for key, _, _ in wanted}
        for key in [key for key in self._buttons if key not in keys]:
            gone = self._buttons.pop(key)
            self._row.removeWidget(gone)
            gone.deleteLater()
        for place, (key, text, _) in enumerate(wanted):
            if key not in self._buttons:
                self._buttons[key] = self._button(key)
            self._row.insertWidget(place, self._buttons[key])
            self._buttons[key].setAccessibleName(f"Show {text}")
            self._buttons[key].setToolTip(f"Show or hide {text}")
        self.setVisible(bool(wanted))
        self._fit()
        self._paint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if not self._entries:
            return
        width = self.width() - LEFT
        room = max(width // (AROUND_TEXT_PX + LEAST_TEXT_PX), 1)
        share = width // min(room, len(self._entries)) - AROUND_TEXT_PX
        for place, (key, text, _) in enumerate(self._entries):
            button = self._buttons[key]
            shown = button.fontMetrics().elidedText(
                text, Qt.TextElideMode.ElideMiddle, min(max(share, LEAST_TEXT_PX), MOST_TEXT_PX)
            )
            button.setText(shown)
            button.setVisible(place < room)

    def _button(self, key: str) -> Button:
        made = Button(self._theme, "", "legend")
        made.setCheckable(True)
        made.setChecked(True)
        made.setIconSize(QSize(ICON_PX, ICON_PX))
        made.toggled.connect(lambda on: self._flip(key, on))
        return made

    def _flip(self, key: str, on: bool) -> None:
        self._paint()
        self.toggled.emit(key, on)

    def _paint(self) -> None:
        for key, _, token in self._entries:
            button = self._buttons[key]
            on = button.isChecked()
            colour = colour_of(self._theme, token if on else "third")
            button.setIcon(self._theme.icon("minus-bold" if on else "eye-slash", colour, colour))
