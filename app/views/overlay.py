"""What lies over the window for a moment: its ground, its keys, a click beside it, and the focus it gives back."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QFrame, QWidget
from shiboken6 import isValid

SHADE = 90
"""Opacity of the ground, of 255."""


class Overlay(QWidget):
    """Covers its parent while it is open; `panel` is what is seen. Made once and shown again and again.

    Args:
        parent: what it covers.
        passing: keys that the window heeds while this is open; all its other ones rest.
    """

    closed = Signal()

    def __init__(self, parent: QWidget, passing: Sequence[str] = ()) -> None:
        super().__init__(parent)
        self._passing = frozenset(passing)
        self._ground = parent
        self._before: QWidget | None = None
        self.panel = QFrame(self)
        self.panel.setProperty("surface", "card")
        parent.installEventFilter(self)
        self.hide()

    def open(self) -> None:
        """Show it over the parent; a second call does nothing."""
        if self.isVisible():
            return
        self._before = QApplication.focusWidget()
        self.setGeometry(self._ground.rect())
        self.place()
        self.show()
        self.raise_()

    def close_it(self) -> None:
        """Hide it and give the focus back."""
        if not self.isVisible():
            return
        self.hide()
        if self._before is not None and isValid(self._before) and self._before.isVisible():
            self._before.setFocus()
        self._before = None
        self.closed.emit()

    def place(self) -> None:
        """Put the panel where it belongs; called whenever the parent changes its size."""
        raise NotImplementedError

    def event(self, event: QEvent) -> bool:
        """Take the keys that would act below, on what is covered."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            pressed = QKeySequence(event.keyCombination()).toString(
                QKeySequence.SequenceFormat.PortableText
            )
            if not self._passing & {pressed, event.text()}:
                event.accept()
            return True
        return super().event(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the parent's size."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.setGeometry(self._ground.rect())
            self.place()
        return False

    def focusNextPrevChild(self, onwards: bool) -> bool:
        """Tab stays inside: what lies below cannot be reached while it is covered."""
        inside = [
            widget
            for widget in self.panel.findChildren(QWidget)
            if widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        ]
        if inside:
            now = QApplication.focusWidget()
            at = inside.index(now) if now in inside else -1
            inside[(at + (1 if onwards else -1)) % len(inside)].setFocus(
                Qt.FocusReason.TabFocusReason if onwards else Qt.FocusReason.BacktabFocusReason
            )
        return True

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes; nothing goes on to the window."""
        if event.key() == Qt.Key.Key_Escape:
            self.close_it()
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click beside the panel closes."""
        if not self.panel.geometry().contains(event.position().toPoint()):
            self.close_it()
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Dim what lies below."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(0, 0, 0, SHADE))
        painter.end()
