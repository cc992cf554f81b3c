"""The lower half of the run page: completions, and scores, guards and log. Loads no pyqtgraph."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QStackedWidget

from app.viewmodels.run import RunViewModel
from app.viewmodels.types import Completion, LogLine
from app.views.score_rows import score_rows
from app.widgets.completions import CompletionView
from app.widgets.controls import Button, Card, Segments
from app.widgets.messages import Empty
from app.widgets.tables import Cell, Column, Table
from app.widgets.theme import Theme

PICKS = (("newest", "newest"), ("best", "best"), ("worst", "worst"), ("random", "random"))
SIDES = (("scores", "Scores"), ("guards", "Guards"), ("log", "Log"))
LOG_BLOCKS = 5000
NO_COMPLETIONS = (
    "While it trains, the student answers prompts in its own words. Its answers stand here beside the "
    "demonstration, each token tinted by how far the student is from the teacher."
)
NO_SCORES = "Each task is scored on base, degraded and recovered; the first scores appear here."
NO_GUARDS = (
    "Guards watch for what goes wrong silently: completions that shrink or never end, entropy that "
    "collapses, phrases copied from the demonstration."
)


class CompletionsCard(Card):
    """Sampled completions: the newest, the one nearest to the teacher, the farthest, or any."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("Completions")
        self._run: RunViewModel | None = None
        self._shown: Completion | None = None
        self.pick = Segments(theme, "Which completion", PICKS)
        self.pick.chosen.connect(lambda _: self._pick_again())
        self.back = Button(theme, "", "quiet", "caret-left")
        self.back.setAccessibleName("Earlier completion")
        self.back.setToolTip("Earlier completion")
        self.back.clicked.connect(lambda: self._move(-1))
        self.forth = Button(theme, "", "quiet", "caret-right")
        self.forth.setAccessibleName("Later completion")
        self.forth.setToolTip("Later completion")
        self.forth.clicked.connect(lambda: self._move(1))
        for tool in (self.pick, self.back, self.forth):
            self.add_tool(tool)
        self.view = CompletionView(theme)
        self._empty = Empty(theme, "chat-text", "No completions yet", NO_COMPLETIONS, small=True)
        self._stack = QStackedWidget()
        self._stack.addWidget(self._empty)
        self._stack.addWidget(self.view)
        self.body.addWidget(self._stack)

    def show_run(self, run: RunViewModel) -> None:
        """Show a run's newest completion."""
        self._run = run
        self._shown = None
        self.pick.choose("newest")
        self.refresh()

    def refresh(self) -> None:
        """Follow the run where the choice is a moving one; a random choice and a manual one stay."""
        found = self._completions()
        for tool in (self.pick, self.back, self.forth):
            tool.setVisible(bool(found))
        if not found:
            self._stack.setCurrentWidget(self._empty)
            self.set_caption("")
            return
        pick = self.pick.current()
        stays = pick == "random" or (pick == "newest" and self._parked)
        if self._shown is None or not stays:
            self._show(choose(found, pick))

    _parked = False

    def _completions(self) -> Sequence[Completion]:
        return self._run.completions() if self._run is not None else ()

    def _pick_again(self) -> None:
        self._parked = False
        found = self._completions()
        if found:
            self._show(choose(found, self.pick.current()))

    def _move(self, delta: int) -> None:
        found = self._completions()
        if not found or self._shown is None:
            return
        places = [place for place, item in enumerate(found) if item is self._shown]
        place = min(max((places[0] if places else len(found) - 1) + delta, 0), len(found) - 1)
        self.pick.choose("newest")
        self._parked = place < len(found) - 1
        self._show(found[place])

    def _show(self, completion: Completion) -> None:
        self._shown = completion
        self._stack.setCurrentWidget(self.view)
        self.view.show_completion(completion)
        self.set_caption(f"step {completion.step} · {completion.item}")


def choose(completions: Sequence[Completion], pick: str) -> Completion:
    """One of the completions; best and worst go by the mean divergence."""
    if pick == "best":
        return min(completions, key=lambda item: item.kl)
    if pick == "worst":
        return max(completions, key=lambda item: item.kl)
    if pick == "random":
        return random.choice(completions)
    return completions[-1]


class DetailsCard(Card):
    """Scores, guards and log behind one row of segments."""

    def __init__(self, theme: Theme) -> None:
        super().__init__("")
        self.setAccessibleName("Scores, guards and log")
        self._theme = theme
        self._run: RunViewModel | None = None
        self._lines = 0
        self.side = Segments(theme, "Details", SIDES)
        self.side.chosen.connect(lambda _: self._choose())
        self.add_tool(self.side)
        self.scores = Table(theme, "Scores")
        self.guards = Table(theme, "Guards")
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LOG_BLOCKS)
        self.log.setFont(theme.mono())
        self.log.setProperty("flat", True)
        self.log.setFrameShape(QFrame.Shape.NoFrame)
        self.log.setAccessibleName("Log")
        self.log.setTabChangesFocus(True)
        self._empty = Empty(theme, "hourglass", "", "", small=True)
        self._stack = QStackedWidget()
        for widget in (self.scores, self.guards, self.log, self._empty):
            self._stack.addWidget(widget)
        self.body.addWidget(self._stack)
        theme.changed.connect(self._rewrite_log)

    def show_run(self, run: RunViewModel) -> None:
        """Show a run."""
        self._run = run
        self.log.clear()
        self._lines = 0
        self.refresh_scores()
        self.refresh_guards()
        self.refresh_log()

    def refresh_scores(self) -> None:
        """Take the score table."""
        if self._run is not None:
            self.scores.show_rows(*score_rows(self._run.score_table(), self._theme))
            self._choose()

    def refresh_guards(self) -> None:
        """Take the guards."""
        if self._run is None:
            return
        rows = []
        for guard in self._run.guards():
            token = "warning_text" if guard.bad else ""
            rows.append(
                [
                    Cell(guard.signal, token, tip=guard.help),
                    Cell(guard.now, token, tip="outside its limit" if guard.bad else ""),
                    Cell(guard.start),
                    Cell(guard.limit),
                ]
            )
        columns = [
            Column("signal", numeric=False, stretch=True),
            Column("now"),
            Column("start"),
            Column("limit"),
        ]
        self.guards.show_rows(columns, rows)
        self._choose()

    def refresh_log(self) -> None:
        """Append the lines that are new."""
        if self._run is None:
            return
        lines = self._run.log()
        if len(lines) < self._lines:
            self.log.clear()
            self._lines = 0
        bar = self.log.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        cursor = QTextCursor(self.log.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        first = max(self._lines, len(lines) - LOG_BLOCKS)
        cursor.beginEditBlock()
        for line in lines[first:]:
            self._write(cursor, line)
        cursor.endEditBlock()
        self._lines = len(lines)
        if at_end:
            bar.setValue(bar.maximum())

    def _write(self, cursor: QTextCursor, line: LogLine) -> None:
        tokens = self._theme.tokens
        style = QTextCharFormat()
        if cursor.position() > 0:
            cursor.insertText("\n")
        style.setForeground(QColor(tokens.third))
        cursor.insertText(f"{line.clock}  ", style)
        hue = {
            "good": tokens.recovered_text,
            "warning": tokens.warning_text,
            "error": tokens.bad_text,
        }.get(line.level, tokens.second)
        style.setForeground(QColor(hue))
        cursor.insertText(line.text, style)

    def _rewrite_log(self) -> None:
        self.log.clear()
        self._lines = 0
        self.refresh_log()

    def _choose(self) -> None:
        run, side = self._run, self.side.current()
        titles = {"scores": "Scores", "guards": "Guards", "log": "Log"}
        self.heading.set_text(titles[side])
        self.set_caption("")
        if side == "scores":
            empty = self.scores.rowCount() == 0
            self._empty.set("No scores yet", NO_SCORES)
            self._stack.setCurrentWidget(self._empty if empty else self.scores)
            self.set_caption("" if empty else "per cent")
        elif side == "guards":
            empty = self.guards.rowCount() == 0
            self._empty.set("Nothing to guard yet", NO_GUARDS)
            self._stack.setCurrentWidget(self._empty if empty else self.guards)
            bad = sum(guard.bad for guard in run.guards()) if run is not None else 0
            quiet = "all quiet" if not bad else f"{bad} outside the limit"
            self.set_caption("" if empty else quiet)
        else:
            self._stack.setCurrentWidget(self.log)
