"""A word with a dotted underline that explains itself: under the pointer, with the keyboard, at a click.

The text comes from the page (`app.viewmodels.glossary` has it); this widget only shows it.
"""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import QApplication, QToolTip

from app.widgets.controls import Card, Elided
from app.widgets.scale import SMALL_RADIUS

BELOW = 4
"""Between the word and its explanation."""
TAB_REASONS = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
SHOWING_KEYS = (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter)


class Explained(Elided):
    """A one-line label for a word that not everybody knows.

    Args:
        text: what is shown, which may be more than the word itself ("CKA by layer").
        explanation: one or two sentences.
        role: the label's variant in the style sheet.
    """

    def __init__(self, text: str, explanation: str, role: str = "") -> None:
        self._explanation = explanation
        super().__init__(text, role)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.WhatsThisCursor)
        self.setAccessibleDescription(explanation)

    @property
    def explanation(self) -> str:
        """The sentences."""
        return self._explanation

    def explain(self) -> None:
        """Show the explanation below the word until the pointer or the focus leaves."""
        at = self.mapToGlobal(QPoint(0, self.height() + BELOW))
        QToolTip.showText(at, self.toolTip(), self, self.rect())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """A click explains at once. Qt hides what was shown before the release."""
        self.explain()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space and Enter explain, Esc puts the explanation away."""
        if event.key() in SHOWING_KEYS:
            self.explain()
        elif event.key() == Qt.Key.Key_Escape and QToolTip.isVisible():
            QToolTip.hideText()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Coming by Tab explains."""
        super().focusInEvent(event)
        self.update()
        if event.reason() in TAB_REASONS:
            self.explain()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Leaving puts the explanation away."""
        super().focusOutEvent(event)
        self.update()
        QToolTip.hideText()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The word, dots under it, and a ring while it has the focus."""
        super().paintEvent(event)
        painter = QPainter(self)
        # The widget's own palette has its colours from the style sheet, which knows no placeholder.
        colours = QApplication.palette()
        metrics = self.fontMetrics()
        shown = min(metrics.horizontalAdvance(self.text()), self.width())
        left = self.width() - shown if self.alignment() & Qt.AlignmentFlag.AlignRight else 0
        line = (self.height() + metrics.height()) // 2 - metrics.descent() + 2
        pen = QPen(colours.color(QPalette.ColorRole.PlaceholderText), 1)
        pen.setDashPattern([1.0, 2.0])
        painter.setPen(pen)
        painter.drawLine(left, line, left + shown, line)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(colours.color(QPalette.ColorRole.Highlight)), 1))
            ring = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
            painter.drawRoundedRect(ring, SMALL_RADIUS, SMALL_RADIUS)
        painter.end()

    def _fit(self) -> None:
        super()._fit()
        words = escape(self._explanation)
        whole = "" if self.text() == self.whole() else f"<b>{escape(self.whole())}</b><br>"
        # Rich text, because Qt breaks the lines of no other tooltip.
        self.setToolTip(f"<p>{whole}{words}</p>")


def explain_heading(card: Card, explanation: str) -> Explained:
    """Let a card's heading explain itself."""
    made = Explained(card.heading.whole(), explanation, "heading")
    card.replace_heading(made)
    return made
