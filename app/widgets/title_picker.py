"""A picker that is as wide as what is chosen, for headings and narrow rows."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QSizePolicy

from app.widgets.controls import Picker

AROUND = 30
"""The arrow and the padding."""
LEAST = 64


class TitlePicker(Picker):
    """Takes no more room than its choice needs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.currentTextChanged.connect(lambda _: self.updateGeometry())

    def sizeHint(self) -> QSize:
        """As wide as the text that is shown."""
        width = self.fontMetrics().horizontalAdvance(self.currentText()) + AROUND
        return QSize(width, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Longer texts give way."""
        return QSize(min(LEAST, self.sizeHint().width()), super().minimumSizeHint().height())
