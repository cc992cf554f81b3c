"""A completion for reading: tokens tinted by their divergence, beside the demonstration.

All text comes from models and data and is inserted as plain text, never as markup. The divergence of a token is
its colour, stands in its tooltip, and below the text while the keyboard's cursor is on it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import isfinite
from typing import Protocol

from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QColor,
    QPainter,
    QPaintEvent,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QTextEdit, QVBoxLayout, QWidget

from app.widgets.controls import Elided, label
from app.widgets.theme import Theme
from app.widgets.tokens import Tokens, mix

LINE_PX = 18
LOW_NATS = 0.05
MIDDLE_NATS = 0.5
HIGH_NATS = 2.0
LOWEST_TINT = 0.10
TINT = 0.42
SCALE_SIZE = (150, 18)
SCALE_TEXT_PX, SCALE_GAP = 11, 4
MOST_HITS = 200


class CompletionLike(Protocol):
    """What the view reads; the view models' completion has this shape."""

    @property
    def stage(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def item(self) -> str: ...
    @property
    def prompt(self) -> str: ...
    @property
    def demonstration(self) -> str: ...
    @property
    def tokens(self) -> tuple[str, ...]: ...
    @property
    def divergence(self) -> tuple[float | None, ...]: ...
    @property
    def kl(self) -> float: ...
    @property
    def agreement(self) -> float: ...
    @property
    def ended(self) -> bool: ...


def tint(tokens: Tokens, nats: float | None) -> str | None:
    """Background of a token: green for near agreement, amber, then red; None where it carries no loss.

    Green and red are never the only sign: the strength grows with the divergence, and the value is in the
    tooltip.
    """
    if nats is None or nats != nats:
        return None
    if nats <= LOW_NATS:
        return mix(tokens.recovered, tokens.panel, LOWEST_TINT)
    if nats <= MIDDLE_NATS:
        share = (nats - LOW_NATS) / (MIDDLE_NATS - LOW_NATS)
        hue = mix(tokens.degraded, tokens.recovered, share)
        return mix(hue, tokens.panel, LOWEST_TINT + (TINT - LOWEST_TINT) * 0.6 * share)
    share = min((nats - MIDDLE_NATS) / (HIGH_NATS - MIDDLE_NATS), 1.0)
    hue = mix(tokens.bad, tokens.degraded, share)
    return mix(hue, tokens.panel, LOWEST_TINT + (TINT - LOWEST_TINT) * (0.6 + 0.4 * share))


def reading_pane(theme: Theme, name: str) -> QTextEdit:
    """A frameless read-only pane in the monospace font."""
    pane = QTextEdit()
    pane.setReadOnly(True)
    pane.setAcceptRichText(False)
    pane.setProperty("flat", True)
    pane.setFrameShape(QFrame.Shape.NoFrame)
    pane.setTabChangesFocus(True)
    pane.setFont(theme.mono())
    pane.document().setDocumentMargin(0)
    pane.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse
        | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    pane.setAccessibleName(name)
    return pane


class CompletionView(QWidget):
    """Prompt above; the student's tokens at the left, the demonstration at the right, figures below."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._shown: CompletionLike | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.prompt = Elided("", "caption")
        column.addWidget(self.prompt)
        row = QHBoxLayout()
        row.setSpacing(16)
        self._student_title = label("student", "caption")
        self.student = reading_pane(theme, "Completion of the student")
        self.demonstration = reading_pane(theme, "Demonstration")
        for title, pane in (
            (self._student_title, self.student),
            (label("demonstration (seen by the teacher)", "caption"), self.demonstration),
        ):
            side = QVBoxLayout()
            side.setSpacing(2)
            side.addWidget(title)
            side.addWidget(pane, 1)
            row.addLayout(side, 1)
        column.addLayout(row, 1)
        below = QHBoxLayout()
        below.setSpacing(16)
        self.figures = Elided("", "caption")
        self.scale = TintScale(theme)
        below.addWidget(self.figures, 1)
        below.addWidget(self.scale)
        column.addLayout(below)
        self._sought = ""
        self._starts: list[int] = []
        self.student.cursorPositionChanged.connect(self._tell_token)
        theme.changed.connect(self._recolour)

    @property
    def reading(self) -> bool:
        """A person is in the middle of it: the focus or a selection is in a text, or it was scrolled."""
        return any(
            pane.hasFocus()
            or pane.textCursor().hasSelection()
            or pane.verticalScrollBar().value() > 0
            for pane in (self.student, self.demonstration)
        )

    def show_completion(self, completion: CompletionLike) -> None:
        """Show one completion; the same one again changes nothing."""
        if completion is self._shown:
            return
        self._shown = completion
        self._recolour()

    def _recolour(self) -> None:
        tokens = self._theme.tokens
        self._student_title.setStyleSheet(f"color: {tokens.recovered_text};")
        shown = self._shown
        if shown is None:
            return
        self.prompt.set_text(question(shown.prompt))
        self.prompt.setToolTip(shown.prompt)
        self._fill(shown.tokens, shown.divergence)
        plain = QTextCharFormat()
        plain.setForeground(QColor(tokens.ink))
        self._write(self.demonstration, [(shown.demonstration, plain)])
        self.figures.set_text(self._facts(shown))
        self._mark_hits()

    def _facts(self, shown: CompletionLike) -> str:
        ending = "" if shown.ended else " · cut at the length limit"
        divergence = (
            f"mean divergence {shown.kl:.2f} nats/token"
            if isfinite(shown.kl)
            else "no divergence measured"
        )
        return f"{divergence} · top-1 agreement {shown.agreement:.0f} %{ending} · {shown.stage}"

    def seek(self, text: str) -> None:
        """Mark where `text` stands, in any case; "" marks nothing."""
        self._sought = text
        self._mark_hits()

    def _mark_hits(self) -> None:
        style = QTextCharFormat()
        style.setBackground(QColor(self._theme.tokens.accent))
        style.setForeground(QColor(self._theme.tokens.on_accent))
        for pane in (self.student, self.demonstration):
            pane.setExtraSelections(_hits(pane, self._sought, style))

    def _tell_token(self) -> None:
        """Below the text: the token at the keyboard's cursor and its divergence."""
        shown = self._shown
        if shown is None or not self.student.hasFocus() or not self._starts:
            return
        place = bisect_right(self._starts, self.student.textCursor().position()) - 1
        place = min(max(place, 0), len(shown.tokens) - 1)
        self.figures.set_text(
            f"“{shown.tokens[place]}” {_nats(shown.divergence[place])} · {self._facts(shown)}"
        )

    def _fill(self, pieces: Sequence[str], divergence: Sequence[float | None]) -> None:
        styled = []
        lengths = [len(piece.encode("utf-16-le")) // 2 for piece in pieces]  # as Qt counts
        self._starts = [0, *accumulate(lengths)][: len(lengths)]
        for piece, nats in zip(pieces, divergence, strict=False):
            style = QTextCharFormat()
            colour = tint(self._theme.tokens, nats)
            if colour is not None:
                style.setBackground(QColor(colour))
                style.setToolTip(_nats(nats))
            else:
                style.setForeground(QColor(self._theme.tokens.third))
                style.setToolTip(_nats(None))
            styled.append((piece, style))
        self._write(self.student, styled)

    def _write(self, pane: QTextEdit, pieces: Sequence[tuple[str, QTextCharFormat]]) -> None:
        pane.clear()
        cursor = pane.textCursor()
        spaced = QTextBlockFormat()
        spaced.setLineHeight(LINE_PX, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        cursor.setBlockFormat(spaced)
        for text, style in pieces:
            cursor.insertText(text, style)
        cursor.movePosition(QTextCursor.MoveOperation.Start)
        pane.setTextCursor(cursor)


class TintScale(QWidget):
    """What the colours of tokens mean: the tints from no divergence to much."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self.setFixedSize(*SCALE_SIZE)
        self.setAccessibleName(f"Colour: divergence of a token, 0 to {HIGH_NATS:g} nats and more")
        self.setToolTip(self.accessibleName())
        theme.changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the tints, with words at both ends."""
        tokens = self._theme.tokens
        painter = QPainter(self)
        font = self._theme.font()
        font.setPixelSize(SCALE_TEXT_PX)
        painter.setFont(font)
        painter.setPen(QColor(tokens.second))
        before, after = "0", f"{HIGH_NATS:g} nats"
        metrics = painter.fontMetrics()
        left = metrics.horizontalAdvance(before) + SCALE_GAP
        right = self.width() - metrics.horizontalAdvance(after) - SCALE_GAP
        painter.drawText(0, 0, left, self.height(), Qt.AlignmentFlag.AlignVCenter, before)
        end = self.rect().adjusted(right + SCALE_GAP, 0, 0, 0)
        painter.drawText(end, Qt.AlignmentFlag.AlignVCenter, after)
        for x in range(left, right):
            colour = tint(tokens, HIGH_NATS * (x - left) / max(right - left - 1, 1))
            painter.fillRect(
                x, SCALE_GAP, 1, self.height() - 2 * SCALE_GAP, QColor(colour or "#000000")
            )
        painter.end()


def _nats(nats: float | None) -> str:
    return "carries no loss" if nats is None or nats != nats else f"{nats:.3f} nats"


def _hits(pane: QTextEdit, text: str, style: QTextCharFormat) -> list[QTextEdit.ExtraSelection]:
    found: list[QTextEdit.ExtraSelection] = []
    if not text:
        return found
    cursor = pane.document().find(text, 0)
    while not cursor.isNull() and len(found) < MOST_HITS:
        hit = QTextEdit.ExtraSelection()
        hit.cursor, hit.format = cursor, style
        found.append(hit)
        cursor = pane.document().find(text, cursor)
    return found


def question(prompt: str) -> str:
    """The end of a prompt in one line, from its last question mark on; without one, its last line."""
    lines = [line.strip() for line in prompt.splitlines() if line.strip()]
    asked = [place for place, line in enumerate(lines) if line.endswith("?")]
    return " ".join(lines[asked[-1] if asked else -1 :])
